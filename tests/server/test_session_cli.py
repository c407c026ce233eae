"""`trunkline session …`: the program itself, on a file that a server may have open."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from db.engine import Database
from server.sign_in import Browser, Gate
from tests.conftest import SECRET_KEY
from trunkline.clock import system_clock

PROGRAM = str(Path(sys.executable).with_name("trunkline"))


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
    settings = {
        "TRUNKLINE_DATA_DIR": str(folder),
        "TRUNKLINE_ADMIN_TOKEN": "token-for-the-command-line",
        "TRUNKLINE_SECRET_KEYS": SECRET_KEY,
    }
    return subprocess.run(
        [PROGRAM, "session", *arguments],
        env=kept | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
async def test_sessions_are_listed_and_ended(sqlite_database: Database, tmp_path: Path) -> None:
    gate = Gate(sqlite_database, system_clock, "token-for-the-command-line")
    begun = [
        await gate.begin_session(await gate.issue_code(), Browser(f"Firefox {number}", "::1"))
        for number in (1, 2, 3)
    ]
    assert all(begun)
    heading, third, *_, first = run(tmp_path, "list").stdout.splitlines()
    assert heading.split()[:2] == ["NO", "SIGNED"]
    assert third.startswith("3   link            Firefox 3  ::1")
    assert first.startswith("1 ")
    assert run(tmp_path, "revoke", "2").stderr == "session 2 is ended\n"
    again = run(tmp_path, "revoke", "2")
    assert (again.returncode, again.stdout) == (2, "")
    assert "there is no such browser session" in again.stderr
    assert run(tmp_path, "revoke", "--all").stderr == "2 sessions are ended\n"
    assert len(run(tmp_path, "list").stdout.splitlines()) == 1


@pytest.mark.parametrize("arguments", [("revoke",), ("revoke", "1", "--all")])
def test_it_is_said_which(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "--all" in line


@pytest.mark.slow
@pytest.mark.parametrize("number", ["0", str(2**63), "9" * 100])
async def test_a_number_that_none_can_have_is_told(
    sqlite_database: Database, tmp_path: Path, number: str
) -> None:
    done = run(tmp_path, "revoke", number)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"there is no session {number}: `trunkline session list`" in line
