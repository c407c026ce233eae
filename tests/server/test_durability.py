"""A server that is killed in the middle of its work has what it acknowledged, once."""

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import func, select

from db.engine import Database
from db.rollup_levels import LEVELS
from db.tables import usage_events, usage_rollups
from tests.conftest import SECRET_KEY
from tests.console.live_server import ADMIN_TOKEN, _started, _wait_for_link

RECORD = """mutation ($events: [UsageEventInput!]!) {
  recordUsage(input: { events: $events }) { recorded duplicates userErrors { code message } }
}"""
CLIENTS = 32
BEFORE_THE_KILL = 300
SUMS = ("input_tokens", "output_tokens", "cost_nanos")


@pytest.mark.slow
async def test_a_killed_server_keeps_what_it_acknowledged_and_nothing_twice(
    database_url: str, tmp_path: Path
) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")},
        "TRUNKLINE_DATA_DIR": str(tmp_path / "data"),
        "TRUNKLINE_DATABASE_URL": database_url,
        "TRUNKLINE_ADMIN_TOKEN": ADMIN_TOKEN,
        "TRUNKLINE_SECRET_KEYS": SECRET_KEY,
    }
    acknowledged: set[str] = set()
    with (tmp_path / "log").open("w") as errors:
        with _started(environment, errors.fileno()) as process:
            link = _wait_for_link(process, tmp_path / "log")
            url = link.partition("/graphiql")[0]
            clients = [
                asyncio.create_task(record_until_it_dies(url, client, acknowledged))
                for client in range(CLIENTS)
            ]
            while len(acknowledged) < BEFORE_THE_KILL:
                await asyncio.sleep(0.01)
                assert not all(client.done() for client in clients)
            process.send_signal(signal.SIGKILL)
            await asyncio.gather(*clients)

        with _started(environment, errors.fileno()) as process:
            link = _wait_for_link(process, tmp_path / "log")
            url = link.partition("/graphiql")[0]
            async with aiohttp.ClientSession() as session:
                again = await record(session, url, sorted(acknowledged)[:500])
            process.send_signal(signal.SIGINT)
            await asyncio.to_thread(process.wait, 30)
    assert again == {
        "recorded": 0, "duplicates": min(500, len(acknowledged)), "userErrors": []
    }  # fmt: skip
    await check(database_url, acknowledged)


async def record_until_it_dies(url: str, client: int, acknowledged: set[str]) -> None:
    async with aiohttp.ClientSession() as session:
        for number in range(10_000):
            key = f"client-{client}-{number}"
            try:
                answer = await record(session, url, [key])
            except (aiohttp.ClientError, OSError):
                return
            assert answer == {"recorded": 1, "duplicates": 0, "userErrors": []}
            acknowledged.add(key)


async def record(session: aiohttp.ClientSession, url: str, keys: list[str]) -> object:
    events = [
        {
            "idempotencyKey": key,
            "providerSlug": "anthropic",
            "modelName": "claude-sonnet-4-5",
            "agent": f"agent-{len(key)}",
            "inputTokens": 1_000 + len(key),
            "outputTokens": 10,
        }
        for key in keys
    ]
    async with session.post(
        f"{url}/graphql",
        json={"query": RECORD, "variables": {"events": events}},
        headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
    ) as response:
        body = await response.json()
    assert "errors" not in body, body
    return body["data"]["recordUsage"]


async def check(database_url: str, acknowledged: set[str]) -> None:
    """Every acknowledged event is there, none twice, and every level of rollups is their sum."""
    database = Database.open(database_url)
    async with database.read() as connection:
        keys = list(await connection.scalars(select(usage_events.c.idempotency_key)))
        counted = (
            await connection.execute(
                select(func.count(), *(func.sum(usage_events.c[name]) for name in SUMS))
            )
        ).one()
        rolled = (
            await connection.execute(
                select(
                    usage_rollups.c.level,
                    func.sum(usage_rollups.c.requests),
                    *(func.sum(usage_rollups.c[name]) for name in SUMS),
                ).group_by(usage_rollups.c.level)
            )
        ).all()
    await database.close()
    assert acknowledged <= set(keys)
    assert len(keys) == len(set(keys))
    by_level = {level: tuple(map(int, sums)) for level, *sums in rolled}
    assert by_level == {level.number: tuple(map(int, counted)) for level in LEVELS}
