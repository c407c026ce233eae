"""`trunkline usage export` and `import`: the program itself, on both databases."""

import asyncio
import gzip
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select

from db.engine import Database
from db.tables import usage_events
from db.vocabulary import UsageDimension, UsagePeriod
from server.database_lock import sole_server
from server.progress import Progress
from server.store_commands import is_served
from tests.conftest import SECRET_KEY
from tests.console.live_server import running_server
from tests.program import run_program
from trunkline.catalog.known import KnownCatalog
from trunkline.clock import system_clock
from trunkline.providers.seeding import seed_providers
from trunkline.usage.reading import SeriesRequest, read_series
from trunkline.usage.recording import MOST_PAGE_EVENTS
from trunkline.usage.windows import WindowRequest

PROGRAM = str(Path(sys.executable).with_name("trunkline"))


@dataclass
class CommandLine:
    """The program beside a database that a server has set up."""

    environment: dict[str, str]
    database_url: str

    def run(self, *arguments: str, given: str | None = None) -> "subprocess.CompletedProcess[str]":
        return run_program(["usage", *arguments], self.environment, given=given)

    @contextmanager
    def importing_stdin(self) -> Iterator["subprocess.Popen[bytes]"]:
        with subprocess.Popen(
            [PROGRAM, "usage", "import", "-"],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    async def count(self) -> int:
        """How many events are in the store."""
        database = Database.open(self.database_url)
        async with database.read() as connection:
            found = await connection.scalar(select(func.count()).select_from(usage_events))
        await database.close()
        return found or 0

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(30):
            while True:
                if await self.count() >= count:
                    return
                await asyncio.sleep(0.02)

    async def requests_in_series(self) -> int:
        database = Database.open(self.database_url)
        window = WindowRequest("UTC", period=UsagePeriod.LAST_30_DAYS)
        series = await read_series(
            database, SeriesRequest(UsageDimension.MODEL, window), system_clock
        )
        await database.close()
        return series.totals.requests


@pytest.fixture
async def command_line(database_url: str, tmp_path: Path) -> CommandLine:
    database = Database.open(database_url)
    await seed_providers(database, KnownCatalog(), system_clock)
    await database.close()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
    return CommandLine(
        kept
        | {
            "TRUNKLINE_DATA_DIR": str(tmp_path),
            "TRUNKLINE_DATABASE_URL": database_url,
            "TRUNKLINE_ADMIN_TOKEN": "token-for-the-command-line",
            "TRUNKLINE_SECRET_KEYS": SECRET_KEY,
        },
        database_url,
    )


def line(key: str, **fields: Any) -> str:
    event = {
        "idempotencyKey": key,
        "providerSlug": "anthropic",
        "modelName": "claude-sonnet-4-5",
        "inputTokens": 1_000,
        **fields,
    }
    return f"{json.dumps(event)}\n"


def lines(count: int) -> str:
    return "".join(line(f"key-{number}") for number in range(count))


def test_a_file_goes_in_and_comes_out(command_line: CommandLine, tmp_path: Path) -> None:
    source = tmp_path / "in.ndjson"
    source.write_text(line("a", agent="support") + line("b"))
    done = command_line.run("import", str(source))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "2 recorded, 0 recorded before, 0 refused\n"
    assert "0 recorded, 2 recorded before" in command_line.run("import", str(source)).stdout

    out = command_line.run("export", "--agent", "support", "--provider", "anthropic")
    assert (out.returncode, out.stderr) == (0, "")
    (event,) = [json.loads(one) for one in out.stdout.splitlines()]
    assert (event["idempotencyKey"], event["costUsd"]) == ("a", "0.003")

    target = tmp_path / "out.csv"
    target.write_text("what was there before")
    filed = command_line.run("export", "--format", "csv", "--output", str(target))
    assert (filed.returncode, filed.stdout) == (0, "")
    assert target.read_text().count("\n") == 3
    assert not list(tmp_path.glob(".*.part"))


def test_a_series_comes_out(command_line: CommandLine) -> None:
    command_line.run("import", "-", given=line("a") + line("b"))
    out = command_line.run(
        "export", "--what", "series", "--dimension", "model", "--timezone", "Europe/Berlin",
        "--period", "today", "--granularity", "day", "--top-groups", "5", "--rank-by", "tokens",
    )  # fmt: skip
    (row,) = [json.loads(one) for one in out.stdout.splitlines()]
    assert (row["requests"], row["inputTokens"], row["costUsd"]) == (2, 2_000, "0.006")


def test_bad_lines_are_told_and_the_others_go_in(command_line: CommandLine) -> None:
    given = line("a") + "nonsense\n" + line("b", inputTokens=-1) + line("c")
    done = command_line.run("import", "-", given=given)
    assert done.returncode == 1
    assert done.stdout == "2 recorded, 0 recorded before, 2 refused\n"
    first, second = done.stderr.splitlines()
    assert first.startswith("line 2: this is not valid JSON")
    assert second == "line 3: inputTokens takes 0 to 1000000000"


def test_only_so_many_bad_lines_are_told(command_line: CommandLine) -> None:
    done = command_line.run("import", "-", given="x\n" * 1_003)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1_001
    assert done.stderr.endswith("and 3 more lines were refused\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["import", "/no/such/file"], "/no/such/file"),
        (["import", "/"], "directory"),
        (["import"], "'FILE'"),
        (["export", "--nonsense"], "--nonsense"),
        (["export", "--format", "xml"], "format is one of csv, ndjson"),
        (["export", "--from", "yesterday"], "from: give an instant"),
        (["export", "--provider", "antropic"], "there is none, and never was"),
        (["export", "--what", "series"], "needs a dimension"),
        (["export", "--output", "/no/such/folder/file"], "/no/such/folder/file"),
        (["export", "--data-dir", "/no/such", "--database-url", "sqlite:////no/such/x.db"],
         "trunkline serve"),
        (["import", "-", "--database-url", "sqlite:////no/such/x.db"], "trunkline serve"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("template", ["sqlite"], indirect=True)
def test_a_mistake_is_one_line_and_exit_2(
    command_line: CommandLine, arguments: list[str], expected: str
) -> None:
    ended = command_line.run(*arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert expected in ended.stderr
    assert ended.stderr.startswith("trunkline: ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("template", ["sqlite"], indirect=True)
def test_gzip_is_told_as_what_it_is(command_line: CommandLine, tmp_path: Path) -> None:
    packed = tmp_path / "november.ndjson.gz"
    packed.write_bytes(gzip.compress(b"x\n" * 1_003))
    done = command_line.run("import", str(packed))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("trunkline: this is gzip: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("template", ["sqlite"], indirect=True)
def test_an_export_that_is_refused_leaves_the_file_as_it_was(
    command_line: CommandLine, tmp_path: Path
) -> None:
    target = tmp_path / "out.ndjson"
    target.write_text("what was there before")
    ended = command_line.run("export", "--provider", "antropic", "--output", str(target))
    assert ended.returncode == 2
    assert target.read_text() == "what was there before"
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize("template", ["sqlite"], indirect=True)
def test_a_reader_that_has_had_enough_ends_an_export_quietly(command_line: CommandLine) -> None:
    command_line.run("import", "-", given=lines(2 * MOST_PAGE_EVENTS))
    with subprocess.Popen(
        [PROGRAM, "usage", "export"],
        env=command_line.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("{")
        process.stdout.close()
        assert process.wait(30) == 1
        assert process.stderr.read() == ""


@pytest.mark.slow
async def test_a_killed_import_kept_its_pages_and_a_second_run_completes(
    command_line: CommandLine,
) -> None:
    everything = lines(2 * MOST_PAGE_EVENTS + 10)
    with command_line.importing_stdin() as process:
        assert process.stdin is not None
        process.stdin.write(everything[: len(everything) * 3 // 4].encode())
        process.stdin.flush()
        await command_line.wait_for(MOST_PAGE_EVENTS)
        process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(process.wait, 30)
    kept = await command_line.count()
    assert kept == MOST_PAGE_EVENTS
    again = await asyncio.to_thread(command_line.run, "import", "-", given=everything)
    assert again.stdout == (
        f"{MOST_PAGE_EVENTS + 10:,} recorded, {kept:,} recorded before, 0 refused\n"
    )
    total = 2 * MOST_PAGE_EVENTS + 10
    assert await command_line.count() == await command_line.requests_in_series() == total


@pytest.mark.parametrize("template", ["sqlite"], indirect=True)
async def test_ctrl_c_ends_an_import_that_waits_and_says_what_is_in(
    command_line: CommandLine,
) -> None:
    with command_line.importing_stdin() as process:
        assert process.stdin is not None
        process.stdin.write(lines(MOST_PAGE_EVENTS + 1).encode())
        process.stdin.flush()
        await command_line.wait_for(MOST_PAGE_EVENTS)
        process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(process.wait, 30) == 130
        assert process.stderr is not None
        said = process.stderr.read().decode()
    assert said.startswith(f"{MOST_PAGE_EVENTS:,} recorded, 0 recorded before, 0 refused so far")
    assert "Traceback" not in said


@pytest.mark.slow
def test_both_work_beside_a_running_server(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        environment = server.environment
        beside = CommandLine(environment, "")
        done = beside.run("import", "-", given=lines(MOST_PAGE_EVENTS + 1))
        assert (done.returncode, done.stderr) == (0, "")
        assert beside.run("export").stdout.count("\n") == MOST_PAGE_EVENTS + 1
        answer = httpx2.post(
            f"{server.url}/graphql",
            json={
                "query": """{ usageSeries(input: {
                  dimension: MODEL, window: { period: TODAY }, timezone: "UTC"
                }) { totals { requests } } }"""
            },
            headers={"Authorization": f"Bearer {server.admin_token}"},
        )
        totals = answer.json()["data"]["usageSeries"]["totals"]
        assert totals == {"requests": MOST_PAGE_EVENTS + 1}


def test_an_import_knows_whether_it_must_make_way_for_a_server(tmp_path: Path) -> None:
    path = tmp_path / "trunkline.db"
    assert not is_served(path)
    with sole_server(path):
        assert is_served(path)
    assert not is_served(path)
    assert not is_served(None)


class Screen(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def shown_on(screen: Screen) -> str:
    seconds = 0.0
    progress = Progress(screen, lambda: seconds)
    for second in range(1, 26):
        seconds = float(second)
        progress.show(f"at {second}")
        progress.show("too soon")
    progress.note("line 7: no")
    progress.clear()
    return screen.getvalue()


def test_progress_is_written_over_on_a_terminal_and_told_now_and_then_elsewhere() -> None:
    terminal = shown_on(Screen(terminal=True))
    assert terminal.endswith("\r\x1b[Kat 25\r\x1b[Kline 7: no\n\r\x1b[K")
    assert "too soon" not in terminal
    assert terminal.count("\n") == 1
    assert shown_on(Screen(terminal=False)) == "at 10\nat 20\nline 7: no\n"
