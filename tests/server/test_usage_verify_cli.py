"""`trunkline usage verify`: the program itself, on both databases, beside a server and without."""

import asyncio
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from db.engine import Connection, Database
from db.tables import usage_rollups
from db.vocabulary import ProviderKind
from tests.conftest import SECRET_KEY, SetClock
from tests.console.live_server import LiveServer, running_server
from tests.program import run_program
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.services import Services
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.recording import record_usage

PROGRAM = str(Path(sys.executable).with_name("trunkline"))
TODAY = datetime(2026, 11, 23, tzinfo=UTC)
DAYS = 60


def verify(environment: Mapping[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return run_program(["usage", "verify", *arguments], environment)


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
    return kept | {
        "TRUNKLINE_DATA_DIR": str(tmp_path),
        "TRUNKLINE_DATABASE_URL": database_url,
        "TRUNKLINE_ADMIN_TOKEN": "token-for-the-command-line",
        "TRUNKLINE_SECRET_KEYS": SECRET_KEY,
    }


@pytest.fixture
async def recorded(services: Services, clock: SetClock) -> Services:
    """An event a day."""
    await create_provider(
        services, NewProvider(slug="local", name="Local", kind=ProviderKind.OLLAMA)
    )
    await record_usage(
        services,
        [
            NewUsageEvent(
                idempotency_key=f"key-{day}",
                provider_slug="local",
                model_name="llama",
                agent="it's\u202e",
                occurred_at=clock() - timedelta(days=day),
                input_tokens=100,
            )
            for day in range(DAYS)
        ],
    )
    return services


async def miscount(database: Database) -> None:
    """Behind everybody's back: a day's sums by agent, and a quarter hour's of everything."""

    async def work(connection: Connection) -> None:
        await connection.execute(
            update(usage_rollups)
            .where(usage_rollups.c.level.in_([0, 7]), usage_rollups.c.bucket_start >= TODAY)
            .values(requests=5, input_tokens=usage_rollups.c.input_tokens - 1)
        )

    await database.transact(work)


async def test_right_totals_are_said_to_be(recorded: Services, environment: dict[str, str]) -> None:
    done = await asyncio.to_thread(verify, environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{DAYS} days verified, 0 differences\n"


@pytest.mark.slow
async def test_differences_are_told_and_mended(
    recorded: Services, environment: dict[str, str]
) -> None:
    await miscount(recorded.database)
    told = await asyncio.to_thread(verify, environment)
    assert told.returncode == 1
    first, second, counted = told.stdout.splitlines()
    assert first == (
        'quarter hour at 2026-11-23T15:00:00Z, provider 1, model 1, agent "it\'s\\u202e", '
        "chain 0, latency bin -1: requests 5, should be 1; input_tokens 99, should be 100"
    )
    assert second == (
        'day at 2026-11-23T00:00:00Z, agent "it\'s\\u202e": '
        "requests 5, should be 1; input_tokens 99, should be 100"
    )
    assert counted == f"{DAYS} days verified, 2 differences"
    assert "--repair" in told.stderr
    assert told.stderr.count("\n") == 1

    mended = await asyncio.to_thread(verify, environment, "--repair")
    assert mended.returncode == 1
    assert mended.stdout.splitlines()[-1] == (
        f"{DAYS} days verified, 2 differences, 2 rollups mended"
    )
    assert mended.stderr == ""
    again = await asyncio.to_thread(verify, environment)
    assert (again.returncode, again.stdout) == (0, f"{DAYS} days verified, 0 differences\n")


@pytest.mark.parametrize("template", ["sqlite"], indirect=True)
async def test_progress_is_shown_on_a_terminal(
    recorded: Services, environment: dict[str, str]
) -> None:
    controller, terminal = pty.openpty()
    shown = bytearray()

    def read() -> None:
        try:
            while part := os.read(controller, 4_096):
                shown.extend(part)
        except OSError:  # The other end is closed.
            return

    reader = threading.Thread(target=read)
    reader.start()
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "usage", "verify",
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=terminal,
    )  # fmt: skip
    os.close(terminal)
    out, _ = await process.communicate()
    reader.join(10)
    os.close(controller)
    assert out.decode() == f"{DAYS} days verified, 0 differences\n"
    assert b" days verified, 0 differences, at 2026-" in shown
    assert b" of 2026-11-23" in shown
    assert shown.endswith(b"\r\x1b[K"), "the line is taken away"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--nonsense"], "--nonsense"),
        (["surplus"], "surplus"),
        (["--database-url", "sqlite:////no/such/x.db"], "trunkline serve"),
        (["--database-url", "mysql://x"], "TRUNKLINE_DATABASE_URL"),
    ],
)
@pytest.mark.parametrize("template", ["sqlite"], indirect=True)
def test_a_mistake_is_one_line_and_exit_2(
    environment: dict[str, str], arguments: list[str], expected: str
) -> None:
    ended = verify(environment, *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert expected in ended.stderr
    assert ended.stderr.startswith("trunkline: ")
    assert ended.stderr.count("\n") == 1


def ask(server: LiveServer, query: str, **variables: object) -> dict[str, Any]:
    answer = httpx2.post(
        f"{server.url}/graphql",
        json={"query": query, "variables": variables},
        headers={"Authorization": f"Bearer {server.admin_token}"},
        timeout=30,
    ).json()
    assert "errors" not in answer, answer
    data: dict[str, Any] = answer["data"]
    return data


RECORD = """mutation($events: [UsageEventInput!]!) {
  recordUsage(input: { events: $events }) { recorded userErrors { message } }
}"""
TOTALS = """{ usageSeries(input: {
  dimension: AGENT, window: { period: LAST_30_DAYS }, timezone: "UTC"
}) { totals { requests inputTokens } } }"""


@pytest.mark.slow
def test_it_works_while_a_server_records(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        recorded = 0
        ended = threading.Event()

        def record() -> None:
            nonlocal recorded
            while not ended.is_set():
                events = [
                    {
                        "idempotencyKey": f"key-{recorded + number}",
                        "providerSlug": "ollama",
                        "modelName": "llama3.2",
                        "agent": f"agent-{number % 7}",
                        "inputTokens": 10,
                    }
                    for number in range(50)
                ]
                answer = ask(server, RECORD, events=events)["recordUsage"]
                assert answer == {"recorded": 50, "userErrors": []}
                recorded += 50

        recorder = threading.Thread(target=record)
        recorder.start()
        try:
            for _ in range(2):
                done = verify(server.environment)
                assert (done.returncode, done.stderr) == (0, "")
            database = Database.open(f"sqlite+aiosqlite:///{tmp_path}/data/trunkline.db")
            asyncio.run(_miscount_all(database))
            mended = verify(server.environment, "--repair")
            assert mended.returncode == 1
            assert " rollups mended" in mended.stdout
        finally:
            ended.set()
            recorder.join(30)
        done = verify(server.environment)
        assert (done.returncode, done.stderr) == (0, "")
        totals = ask(server, TOTALS)["usageSeries"]["totals"]
        assert totals == {"requests": recorded, "inputTokens": 10 * recorded}
        assert recorded > 0


async def _miscount_all(database: Database) -> None:
    async def work(connection: Connection) -> None:
        await connection.execute(update(usage_rollups).values(requests=7, input_tokens=3))

    await database.transact(work)
    await database.close()
