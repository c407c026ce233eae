"""A gateway that is killed under load has counted what had ended, but for the last moment, once."""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import func, select

from db.engine import Database
from db.gateway_attempts import attempts_from_json
from db.tables import gateway_requests, usage_events
from db.vocabulary import ProviderKind
from server.simulated.app import running_simulator
from server.simulated.behaviour import Behaviour
from server.wiring import services_on
from tests.conftest import SECRET_KEY
from tests.console.live_server import ADMIN_TOKEN, PATIENCE_SECONDS, _started, _wait_for_link
from tests.server.gateway.world import CHAT, HELLO, MESSAGES
from tests.server.test_durability import check
from trunkline.catalog.changes import NewModel, create_model
from trunkline.catalog.price_overrides import PriceOverride
from trunkline.failover.chains import NewChain, create_chain
from trunkline.failover.steps import StepInput
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.secrets import Secrets

PRICE = PriceOverride(input_per_million=3_000_000_000, output_per_million=15_000_000_000)
CLIENTS = 12
BEFORE_THE_KILL = 150
COMMITS_BEFORE_THE_KILL = 6
AFTERWARDS = 20


@pytest.mark.slow
async def test_a_killed_gateway_has_counted_what_had_ended(
    database_url: str, tmp_path: Path
) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")},
        "TRUNKLINE_DATA_DIR": str(tmp_path / "data"),
        "TRUNKLINE_DATABASE_URL": database_url,
        "TRUNKLINE_ADMIN_TOKEN": ADMIN_TOKEN,
        "TRUNKLINE_SECRET_KEYS": SECRET_KEY,
    }
    database = Database.open(database_url)
    async with running_simulator(Behaviour(api_key=None)) as simulator:
        await set_up(database, simulator)
        answered: dict[str, float] = {}
        with (tmp_path / "log").open("w") as errors:
            with _started(environment, errors.fileno()) as process:
                url = _wait_for_link(process, tmp_path / "log").partition("/graphiql")[0]
                clients = [
                    asyncio.create_task(ask_until_it_dies(url, client, answered))
                    for client in range(CLIENTS)
                ]
                changes = await commits_seen(database, answered, clients)
                process.send_signal(signal.SIGKILL)
                await asyncio.gather(*clients)
                process.wait(PATIENCE_SECONDS)
            stored = await stored_ids(database)
            assert len(stored) == len(set(stored))
            # The last commits that were seen are two at least, and each began after the one before
            # it: whatever had ended before the third last is in one of them.
            due = {one for one, at in answered.items() if at < changes[-3]}
            assert len(due) > CLIENTS
            assert due <= set(stored)

            # The next server counts on, and one that is stopped in peace leaves nothing out.
            later: dict[str, float] = {}
            with _started(environment, errors.fileno()) as process:
                url = _wait_for_link(process, tmp_path / "log").partition("/graphiql")[0]
                async with aiohttp.ClientSession() as session:
                    for number in range(AFTERWARDS):
                        await ask(session, url, number, later)
                process.send_signal(signal.SIGINT)
                await asyncio.to_thread(process.wait, PATIENCE_SECONDS)
        assert await stored_ids(database) == [*stored, *later]
    await check_events(database)
    await database.close()
    # And each level of the rollups is their sum.
    await check(database_url, set())


async def set_up(database: Database, simulator: str) -> None:
    """The chain `test`: a model that fails now and then, and one that answers."""
    async with services_on(database, Secrets([SECRET_KEY])) as services:
        provider = await create_provider(
            services,
            NewProvider(
                slug="local", name="Local", kind=ProviderKind.OPENAI_COMPATIBLE,
                base_url=f"{simulator}/v1", api_key="simulated-key",
            ),
        )  # fmt: skip
        steps = [
            StepInput(
                model_id=(
                    await create_model(
                        services,
                        NewModel(provider_id=provider.id, wire_name=name, price_override=PRICE),
                    )
                ).id,
                max_retries=0,
            )
            for name in ("sim-flap-1-2-tokens-30", "sim-tokens-20")
        ]
        await create_chain(services, NewChain(name="Test", slug="test", steps=steps))


async def ask(
    session: aiohttp.ClientSession, url: str, number: int, answered: dict[str, float]
) -> None:
    """Ask plain and streamed, in both protocols, and note when the whole answer was there."""
    path = (CHAT, MESSAGES)[number % 2]
    body = {
        "model": "chain/test", "messages": HELLO, "max_tokens": 100, "stream": number % 4 > 1,
    }  # fmt: skip
    async with session.post(
        url + path, json=body, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}
    ) as response:
        answer = await response.read()
        assert response.status == 200, answer
    answered[response.headers["x-trunkline-request-id"]] = time.monotonic()


async def ask_until_it_dies(url: str, client: int, answered: dict[str, float]) -> None:
    async with aiohttp.ClientSession() as session:
        number = client
        while True:
            try:
                await ask(session, url, number, answered)
            except (aiohttp.ClientError, OSError):
                return
            number += 1


async def commits_seen(
    database: Database, answered: dict[str, float], clients: Sequence["asyncio.Task[None]"]
) -> list[float]:
    """When it was seen that the server had committed more; once that was often enough."""
    changes: list[float] = []
    before = 0
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(answered) < BEFORE_THE_KILL or len(changes) < COMMITS_BEFORE_THE_KILL:
            async with database.read() as connection:
                count = await connection.scalar(select(func.count()).select_from(gateway_requests))
            if count != before:
                before = count or 0
                changes.append(time.monotonic())
            assert not all(client.done() for client in clients)
            await asyncio.sleep(0.01)
    return changes


async def stored_ids(database: Database) -> list[str]:
    async with database.read() as connection:
        columns = gateway_requests.c
        return list(await connection.scalars(select(columns.request_id).order_by(columns.id)))


async def check_events(database: Database) -> None:
    """Each attempt that was sent is one event, and there are no others."""
    async with database.read() as connection:
        rows = (await connection.execute(select(gateway_requests))).mappings().all()
        counted = (await connection.execute(select(usage_events))).mappings().all()
    events: dict[str, Any] = {one["idempotency_key"]: one for one in counted}
    assert len(events) == len(counted)
    expected = {
        f"gw:{row['request_id']}:{number}": attempt
        for row in rows
        for number, attempt in enumerate(attempts_from_json(row["attempts"]), 1)
        if attempt.sent
    }
    assert set(events) == set(expected)
    for key, attempt in expected.items():
        one = events[key]
        assert (one["model_id"], one["input_tokens"], one["output_tokens"]) == (
            attempt.model_id, attempt.input_tokens, attempt.output_tokens,
        )  # fmt: skip
        assert one["succeeded"] == (attempt.outcome is None and not attempt.cancelled)
    assert any(not one["succeeded"] for one in counted)
