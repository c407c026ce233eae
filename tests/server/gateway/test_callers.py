"""The caller: who leaves, who is slow, who waits for a place, and what headers tell and ask."""

import asyncio
import socket

import orjson
import pytest

from db.vocabulary import ProviderKind
from tests.server.gateway.world import CHAT, ENDPOINTS, HELLO, KINDS, MESSAGES, World


@pytest.fixture
def world(sqlite_world: World) -> World:
    """No database has a say in it."""
    return sqlite_world


@pytest.mark.parametrize("kind", KINDS)
async def test_a_caller_who_leaves_ends_the_attempt(world: World, kind: ProviderKind) -> None:
    await world.chain("first", "second", kind=kind)
    for number, (fault, stream) in enumerate(
        (("silent", False), ("silent", True), ("stall-after-3", False), ("stall-after-3", True)), 1
    ):
        world.script(first=[fault], second=["ok"])
        asking = asyncio.ensure_future(world.ask(ENDPOINTS[number % 2], stream=stream))
        seen = await world.until_seen(number)
        asking.cancel()
        async with asyncio.timeout(10):
            assert await seen.until_ended() == "client_gone"
        # Nothing else was asked in its place.
        assert len(world.seen) == number
        await world.until(lambda: world.services.gateway.means.slots.depth(1) == (0, 0))
    # It was the caller's wish, and says nothing of the model.
    stored = await world.stored()
    assert {one.outcome for one in stored} == {"CANCELLED"}
    assert all(one.attempts[0].cancelled for one in stored)
    assert world.services.gateway.breakers.admit(1, 1) is not None


async def test_a_caller_who_leaves_while_a_place_is_awaited_takes_none(world: World) -> None:
    slots = world.services.gateway.means.slots
    slots.most_running = 1
    await world.chain("first")
    world.script(first=["silent", "ok"])
    running = asyncio.ensure_future(world.ask())
    await world.until_seen(1)
    waiting = asyncio.ensure_future(world.ask())
    await world.until(lambda: slots.depth(1) == (1, 1))
    waiting.cancel()
    await world.until(lambda: slots.depth(1) == (1, 0))
    running.cancel()
    await world.until(lambda: slots.depth(1) == (0, 0))
    assert (await world.ask()).status == 200


async def test_requests_to_a_provider_wait_in_order_and_no_more_than_so_many(world: World) -> None:
    slots = world.services.gateway.means.slots
    slots.most_running, slots.most_waiting = 1, 2
    await world.chain("first")
    world.script(first=["silent", "ok"])
    running = asyncio.ensure_future(world.ask())
    await world.until_seen(1)
    waiting = []
    for number in (1, 2):
        message = [{"role": "user", "content": f"waits as number {number}"}]
        waiting.append(asyncio.ensure_future(world.ask(messages=message)))
        await world.until(lambda number=number: slots.depth(1) == (1, number))  # type: ignore[misc]
    refused = await world.ask()
    assert (refused.status, refused.error["code"], refused.attempts) == (429, "rate_limited", 0)
    assert refused.headers["x-should-retry"] == "false"
    assert "BUSY" in refused.error["message"]
    assert len(world.seen) == 1
    running.cancel()
    assert [(await one).status for one in waiting] == [200, 200]
    assert [f"number {n}".encode() in world.seen[n].body for n in (1, 2)] == [True, True]
    assert slots.depth(1) == (0, 0)


async def test_a_caller_says_how_long_they_wait(world: World) -> None:
    await world.chain("first", "second")
    world.script(first=["silent"], second=["ok"])
    for number, stream in enumerate((False, True), 1):
        asking = asyncio.ensure_future(
            world.ask(headers={"x-trunkline-timeout": "2.5"}, stream=stream)
        )
        await world.until_seen(number)
        world.time.advance(2.5)
        reply = await asking
        assert (reply.status, reply.error["code"]) == (504, "timeout")
        # No time was left for the next step.
        assert len(world.seen) == number
    for wrong in ("0", "-1", "soon", "nan", ""):
        reply = await world.ask(headers={"x-trunkline-timeout": wrong})
        assert (reply.status, reply.error["code"]) == (400, "invalid_request"), wrong
    assert (await world.ask(model=world.named("second"), headers={
        "x-trunkline-timeout": "inf"
    })).status == 200  # fmt: skip


async def test_a_caller_who_does_not_read_stops_the_provider(world: World) -> None:
    tokens = 40_000
    await world.chain(f"sim-tokens-{tokens}")
    body = orjson.dumps({"model": "chain/test", "messages": HELLO, "stream": True})
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {world.bearer['Authorization']}"
        f"\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    loop = asyncio.get_running_loop()
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        slow.setblocking(False)
        await loop.sock_connect(slow, ("127.0.0.1", int(world.url.rpartition(":")[2])))
        await loop.sock_sendall(slow, head + body)
        seen = await world.until_seen(1)
        still, before = 0, 0
        while still < 25:
            await asyncio.sleep(0.02)
            still = still + 1 if seen.tokens_sent == before and before else 0
            before = seen.tokens_sent
        assert before < tokens / 2
        assert seen.outcome is None
        # Once they read, all of it comes.
        answer = bytearray()
        while b"[DONE]" not in answer[-100:]:
            answer += await loop.sock_recv(slow, 2**20)
    assert await seen.until_ended() == "answered"
    assert seen.tokens_sent == tokens


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_headers_tell_what_came_of_it(world: World, endpoint: str) -> None:
    await world.chain("first", "second", max_retries=0)
    world.script(first=["overloaded"], second=["ok"])
    ids = set()
    for stream in (False, True):
        reply = await world.ask(endpoint, stream=stream)
        assert reply.headers["x-trunkline-model"] == "openai-compatible/second"
        assert reply.headers["x-trunkline-attempts"] == "2"
        assert float(reply.headers["x-trunkline-overhead-ms"]) >= 0
        assert "x-trunkline-dropped" not in reply.headers
        ids.add(reply.headers["x-trunkline-request-id"])
    assert ids == {one.request_id for one in await world.stored()}


async def test_what_a_model_does_not_take_is_left_out_and_told(world: World) -> None:
    await world.chain("sim-ok", kind=ProviderKind.ANTHROPIC)
    for stream in (False, True):
        reply = await world.ask(stream=stream, seed=7, presence_penalty=0.5, temperature=0.2)
        assert reply.status == 200
        dropped = reply.headers["x-trunkline-dropped"].split(", ")
        assert {"seed", "presence_penalty"} <= set(dropped)
        assert "temperature" not in dropped
        sent = world.seen[-1].json()
        assert sent["temperature"] == 0.2
        assert "seed" not in sent


async def test_what_no_model_can_do_is_refused_before_anything_is_sent(world: World) -> None:
    await world.chain("sim-ok", kind=ProviderKind.ANTHROPIC)
    for endpoint in ENDPOINTS:
        bad = await world.ask(endpoint, messages=[{"role": "user", "content": 7}])
        if endpoint == CHAT:
            assert (bad.status, bad.error["code"]) == (400, "invalid_request")
            assert bad.error["param"].startswith("messages")
            assert world.seen == []
    several = await world.ask(n=3)
    assert several.status == 400
    assert several.error["type"] == "invalid_request_error"


async def test_a_picture_goes_to_a_model_that_sees(world: World) -> None:
    await world.model("blind", capabilities=())
    await world.chain("blind", "seeing")
    world.script(blind=["ok"], seeing=["ok"])
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    reply = await world.ask(messages=[{"role": "user", "content": [picture]}])
    assert reply.status == 200
    assert world.seen_models == ["seeing"]
    assert [one.outcome for one in await world.attempts()] == ["UNSUPPORTED", None]
    only = await world.ask(
        MESSAGES,
        model=world.named("blind"),
        messages=[{"role": "user", "content": [{"type": "image", "source": {}}]}],
    )
    assert (only.status, only.error["type"]) == (400, "invalid_request_error")
    assert "takes no images" in only.error["message"]


async def test_an_answer_has_its_id_where_each_protocol_s_sdks_look(sqlite_world: World) -> None:
    await sqlite_world.chain("sim-ok")
    for path, name in (("/v1/chat/completions", "x-request-id"), ("/v1/messages", "request-id")):
        reply = await sqlite_world.ask(path, max_tokens=50)
        assert reply.headers[name] == reply.headers["x-trunkline-request-id"]
