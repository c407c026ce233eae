"""The official `graphql-ws` and `graphql-sse` clients from npm against a real server."""

from collections.abc import Callable

import pytest

from tests.console.live_server import LiveServer

RunNode = Callable[..., str]


@pytest.mark.slow
@pytest.mark.node
@pytest.mark.parametrize("check", ["ws-usage", "ws-merge", "sse-usage"])
def test_official_client_on_usage(check: str, live_server: LiveServer, run_node: RunNode) -> None:
    """What each check asserts is in `console/checks/subscriptions.mjs`."""
    run_check(check, live_server, run_node)


@pytest.mark.node
@pytest.mark.xdist_group("subscription clients")
@pytest.mark.parametrize(
    "check",
    [
        "ws-provider-changes",
        "ws-query",
        "ws-bad-token",
        "ws-no-token",
        "sse-provider-changes",
        "sse-query",
        "sse-bad-token",
    ],
)
def test_official_client(check: str, shared_server: LiveServer, run_node: RunNode) -> None:
    """As above, with what leaves the usage as it is."""
    run_check(check, shared_server, run_node)


def run_check(check: str, server: LiveServer, run_node: RunNode) -> None:
    run_node(
        "checks/subscriptions.mjs",
        check,
        TRUNKLINE_URL=server.url,
        TRUNKLINE_ADMIN_TOKEN=server.admin_token,
    )
