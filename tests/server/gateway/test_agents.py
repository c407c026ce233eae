"""Whose request it is, and how many names there is room for."""

import asyncio
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import orjson
import pytest
from sqlalchemy import select

from db.tables import usage_events
from db.vocabulary import ProviderKind
from tests.server.gateway.world import ENDPOINTS, MESSAGES, World


async def agents(world: World) -> list[str]:
    """Of what was counted."""
    await world.stored()
    async with world.services.database.read() as connection:
        found = await connection.scalars(select(usage_events.c.agent))
    # What is stored together has no order among itself.
    return sorted(found)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_the_header_counts_before_the_body(sqlite_world: World, endpoint: str) -> None:
    world = sqlite_world
    await world.chain("sim-ok")
    named = {"x-trunkline-agent": " by header "}
    await world.ask(endpoint, headers=named, metadata={"agent": "by body"})
    await world.ask(endpoint, metadata={"agent": "by body"})
    await world.ask(endpoint, metadata={"user_id": "somebody"})
    assert await agents(world) == ["", "by body", "by header"]
    assert [one.agent for one in await world.stored()] == ["by header", "by body", None]


@pytest.mark.parametrize("stream", [False, True])
async def test_anthropic_is_not_told_whose_request_it_is(sqlite_world: World, stream: bool) -> None:
    """It refuses metadata that it doesn't know."""
    world = sqlite_world
    await world.chain("sim-ok", kind=ProviderKind.ANTHROPIC)
    for told in ({"user_id": "somebody"}, {}):
        reply = await world.ask(MESSAGES, stream=stream, metadata={"agent": "by body"} | told)
        assert reply.status == 200
        assert orjson.loads(world.seen[-1].body)["metadata"] == told
    assert await agents(world) == ["by body", "by body"]


async def test_a_name_that_can_not_be_kept_is_refused(sqlite_world: World) -> None:
    world = sqlite_world
    await world.chain("sim-ok")
    for name in ("x" * 201, "a\0b", "a\nb", "a\tb"):
        reply = await world.ask(metadata={"agent": name})
        assert (reply.status, reply.error["param"]) == (400, "metadata.agent")
    assert world.seen == []
    # What isn't a text names nobody.
    for odd in (7, None, ["a"], {"a": 1}):
        assert (await world.ask(metadata={"agent": odd})).status == 200
    assert await agents(world) == [""] * 4


async def test_a_header_may_name_it_in_utf_8_or_latin_1(sqlite_world: World) -> None:
    world = sqlite_world
    await world.chain("sim-ok")
    body = orjson.dumps({"model": "chain/test", "messages": [{"role": "user", "content": "x"}]})

    def ask(name: bytes) -> int:
        connection = HTTPConnection(urlsplit(world.url).netloc)
        headers = world.bearer | {"x-trunkline-agent": name}
        with closing(connection):
            connection.request("POST", "/v1/chat/completions", body, headers)
            return connection.getresponse().status

    for name in ("bücher-京".encode(), "bücher".encode("latin-1")):
        assert await asyncio.to_thread(ask, name) == 200
    assert await agents(world) == ["bücher", "bücher-京"]
    reply = await world.ask(headers={"x-trunkline-agent": "x" * 201})
    assert (reply.status, reply.error["param"]) == (400, "x-trunkline-agent")


async def test_there_is_room_for_so_many_agents(world: World) -> None:
    world.services.agents._most = 2
    await world.chain("sim-ok")
    statuses = [
        (await world.ask(headers={"x-trunkline-agent": name})).status
        for name in ("one", "two", "three", "one", "two")
    ]
    assert statuses == [200, 200, 400, 200, 200]
    refused = await world.ask(headers={"x-trunkline-agent": "run-4711"})
    assert refused.error["code"] == "too_many_agents"
    assert "TRUNKLINE_MOST_AGENTS" in refused.error["message"]
    assert (await world.ask()).status == 200
    assert await agents(world) == ["", "one", "one", "two", "two"]
