"""Two servers on one PostgreSQL: what happens in either, subscribers of both hear."""

import asyncio
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from db.engine import Database
from server.failures import CannotStart
from server.settings import read_settings
from server.wiring import open_bus
from tests.conftest import EmptiedPostgres, administer, postgres_url
from tests.redis_server import RedisServer, own_redis
from tests.server.two_servers import (
    WATCH_PROVIDERS,
    WATCH_USAGE,
    Pair,
    Watch,
    ask,
    ids_of_providers,
    made_event,
    record,
    rename,
    requests_in,
    running_pair,
    watching,
)

# A name that a provider has already is no change.
_names = count()
CREATE_TOKEN = """mutation ($name: String!) {
  createAccessToken(input: { name: $name, scopes: [READ] }) { token } }"""


@pytest.fixture(scope="module")
def empty_database(postgres: EmptiedPostgres) -> Iterator[str]:
    """The URL of a database in which nothing was made yet. Skips where there is no PostgreSQL."""
    name = f"trunkline_pair_{uuid4().hex}"
    asyncio.run(administer(f'CREATE DATABASE "{name}"'))
    yield postgres_url(name)
    asyncio.run(administer(f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with own_redis("hunter2-hunter2", started=False) as server:
        yield server


async def next_change(watch: Watch, name: str) -> str:
    """How a change after which a provider has this name is told: as READY, or in full."""
    while True:
        change = (await watch.next())["providerChanged"]
        if change["kind"] == "READY" or change["provider"]["name"] == name:
            kind: str = change["kind"]
            return kind


async def counts_up_to(watch: Watch, requests: int) -> None:
    while requests_in(await watch.next()) < requests:
        pass


async def everything_arrives(pair: Pair) -> None:
    """Whatever happens in one server or on the command line moves the other's subscriptions."""
    ids = await ids_of_providers(pair.first)
    async with (
        watching(pair.second, WATCH_PROVIDERS) as providers,
        watching(pair.first, WATCH_USAGE) as usage,
        watching(pair.second, WATCH_USAGE) as also_usage,
    ):
        assert (await providers.next())["providerChanged"]["kind"] == "READY"
        had = requests_in(await usage.next())
        assert requests_in(await also_usage.next()) == had
        for server in (pair.first, pair.second):
            name = f"Name {next(_names)}"
            await rename(server, ids["google"], name)
            await next_change(providers, name)
        await record(pair.second)
        await counts_up_to(usage, had + 1)
        await counts_up_to(also_usage, had + 1)
        line = json.dumps(made_event())
        assert await pair.run("usage", "import", "-", given=line) == 0
        await counts_up_to(usage, had + 2)
        await counts_up_to(also_usage, had + 2)


async def revoked_everywhere(pair: Pair) -> None:
    """A token that one server gave out and a command revoked ends at the other."""
    name = f"token {next(_names)}"
    made = await ask(pair.first, CREATE_TOKEN, name=name)
    sent = {"Authorization": f"Bearer {made['createAccessToken']['token']}"}
    async with (
        aiohttp.ClientSession(headers=sent) as session,
        session.ws_connect(f"{pair.second}/graphql", protocols=["graphql-transport-ws"]) as socket,
        asyncio.timeout(60),
    ):
        await socket.send_json({"type": "connection_init"})
        assert (await socket.receive_json())["type"] == "connection_ack"
        assert await pair.run("token", "revoke", name) == 0
        while not socket.closed:
            await socket.receive()
        assert socket.close_code == 4403
        async with session.get(f"{pair.second}/schema.graphql") as response:
            assert response.status == 401


async def told_in_full(pair: Pair) -> None:
    """Changes come over the bus, both ways: by the poll it is only known that something changed."""
    provider = (await ids_of_providers(pair.first))["openai"]
    for server, other in ((pair.first, pair.second), (pair.second, pair.first)):
        async with watching(other, WATCH_PROVIDERS) as changes, asyncio.timeout(60):
            await changes.next()
            kind = "READY"
            while kind != "UPDATED":
                name = f"Name {next(_names)}"
                await rename(server, provider, name)
                kind = await next_change(changes, name)


@pytest.mark.slow
async def test_two_servers_and_the_command_line_hear_of_each_other_without_a_bus(
    empty_database: str, tmp_path: Path
) -> None:
    with running_pair(tmp_path, empty_database) as pair:
        # Both started at once on an empty database, and one of them seeded it.
        ids = await ids_of_providers(pair.first)
        assert sorted(ids) == ["anthropic", "google", "ollama", "openai"]
        assert await ids_of_providers(pair.second) == ids
        await everything_arrives(pair)
        await revoked_everywhere(pair)


@pytest.mark.slow
async def test_redis_hastens_it_and_may_come_and_go(
    empty_database: str, redis: RedisServer, tmp_path: Path
) -> None:
    with running_pair(tmp_path, empty_database, redis.url) as pair:
        redis.start()
        await told_in_full(pair)
        redis.kill()
        await everything_arrives(pair)
        redis.start()
        await told_in_full(pair)
    for name in ("first", "second"):
        log = (tmp_path / f"{name}.log").read_text()
        assert "hunter2" not in log
        assert "Traceback" not in log
        assert (log.count("Redis is away"), log.count("Redis is back")) == (2, 2)


async def test_a_bus_url_that_names_no_redis_stops_the_start(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_BUS_URL", "redis://:hunter2@host?timeout=hunter2")
    with pytest.raises(CannotStart, match=r"^TRUNKLINE_BUS_URL: give redis://") as caught:
        async with open_bus(read_settings(), database):
            pass
    assert "hunter2" not in str(caught.value)
