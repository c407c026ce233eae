"""Node, Chromium and a real server for the tests of the page and of the JavaScript clients.

Where Node, what `npm ci` installs, or Chromium is missing, tests are skipped with the reason, and
fail instead when CI=true.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.console.live_server import LiveServer, running_server

ROOT = Path(__file__).parents[2]
CONSOLE = ROOT / "console"
PAGE = ROOT / "server" / "page"

RunNode = Callable[..., str]


@pytest.fixture
def live_server(tmp_path: Path) -> Iterator[LiveServer]:
    """`trunkline serve` on a free port, with a database of its own."""
    with running_server(tmp_path) as server:
        yield server


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """The same, one for all of a module's tests: what one recorded, the next finds."""
    with running_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="session")
def node() -> Path:
    """Node, with the packages of `console/` installed."""
    # Where the system has none, the build took it from PyPI into this environment.
    path = f"{os.environ['PATH']}{os.pathsep}{Path(sys.executable).parent}"
    found = shutil.which("node", path=path)
    if found is None:
        _skip_or_fail("no Node")
    if not (CONSOLE / "node_modules" / ".package-lock.json").is_file():
        _skip_or_fail("the packages are not installed: run `make page`")
    return Path(found)


@pytest.fixture(scope="session")
def page() -> Path:
    """The folder of the built page."""
    if not (PAGE / "index.html").is_file():
        _skip_or_fail("the page is not built: run `make page`")
    return PAGE


@pytest.fixture(scope="session")
def chromium() -> str:
    """The system's Chromium, or the one that TRUNKLINE_CHROMIUM names."""
    found = os.environ.get("TRUNKLINE_CHROMIUM") or shutil.which("chromium")
    if found is None:
        _skip_or_fail("no Chromium: `apt-get install chromium`, or name one in TRUNKLINE_CHROMIUM")
    return found


@pytest.fixture(scope="session")
def run_node(node: Path) -> RunNode:
    """Run a script of `console/` to its end; gives what it printed, and fails where it failed."""

    def run(*command: str, **environment: str) -> str:
        done = subprocess.run(
            [node, *command],
            cwd=CONSOLE,
            env=os.environ | {"NO_COLOR": "1"} | environment,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
        )
        if done.returncode != 0:
            pytest.fail(f"node {' '.join(command)}\n{done.stdout}", pytrace=False)
        return done.stdout

    return run


def _skip_or_fail(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have it: {reason}", pytrace=False)
    pytest.skip(reason)
