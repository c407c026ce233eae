"""`graphql/operations/`: valid, named once, carried by the page, and typed without a warning."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.console.live_server import LiveServer

OPERATIONS = Path(__file__).parents[2] / "graphql" / "operations"


@pytest.mark.node
def test_each_file_validates_by_itself(run_node: Callable[..., str]) -> None:
    printed = run_node("checks/operations.mjs", "../graphql/schema.graphql")
    operations = json.loads(printed)
    assert {one["kind"] for one in operations} == {"query", "mutation", "subscription"}
    assert {one["file"] for one in operations} == {path.name for path in OPERATIONS.iterdir()}


@pytest.mark.slow
@pytest.mark.node
def test_typed_code_comes_without_a_warning(run_node: Callable[..., str]) -> None:
    printed = run_node("checks/codegen.mjs")
    assert "warn" not in printed.lower()
    # Strictly typed, and used as a front end would.
    run_node("node_modules/typescript/bin/tsc", "--noEmit", "--project", "checks/tsconfig.json")


@pytest.mark.slow
@pytest.mark.node
def test_every_operation_runs(live_server: LiveServer, run_node: Callable[..., str]) -> None:
    """The tour of a dashboard is in `console/checks/tour.mjs`; it leaves no operation out."""
    run_node(
        "checks/tour.mjs",
        TRUNKLINE_URL=live_server.url,
        TRUNKLINE_ADMIN_TOKEN=live_server.admin_token,
    )


def test_the_page_carries_the_operations(page: Path) -> None:
    carried = {path.name: path.read_text() for path in (page / "operations").iterdir()}
    assert carried == {path.name: path.read_text() for path in OPERATIONS.glob("*.graphql")}


@pytest.mark.node
def test_examples_run_as_they_are(run_node: Callable[..., str]) -> None:
    """Each operation is an example with variables of its own; nothing is left behind or made up."""
    run_node("checks/examples.mjs")
