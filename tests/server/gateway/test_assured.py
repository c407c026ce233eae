"""Answers that are held back until they are whole: what the caller sees meanwhile, and bounds."""

import asyncio

import pytest

from db.vocabulary import Delivery
from tests.server.gateway.world import ENDPOINTS, MESSAGES, World, rest_of
from trunkline.failover import held


@pytest.fixture
def world(sqlite_world: World) -> World:
    """No database has a say in it."""
    return sqlite_world


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_the_caller_is_kept_company_until_the_answer_is_whole(
    world: World, endpoint: str
) -> None:
    await world.chain("first", "second", delivery=Delivery.ASSURED, timeout_seconds=25)
    world.script(first=["stall-after-5"], second=["ok"])
    asking = asyncio.ensure_future(world.session.post(
        world.url + endpoint,
        json={"model": "chain/test", "stream": True, "max_tokens": 99,
              "messages": [{"role": "user", "content": "hello"}]},
        headers=world.bearer,
    ))  # fmt: skip
    first = await world.until_seen(1)
    await world.until(lambda: first.tokens_sent == 5)
    await asyncio.sleep(0.02)
    assert not asking.done()
    world.time.advance(10)
    # Headers and a sign of life; which model will answer is not known yet.
    response = await asking
    sign = await response.content.readany()
    assert sign == (
        b'event: ping\ndata: {"type":"ping"}\n\n' if endpoint == MESSAGES else b": keep-alive\n\n"
    )
    assert "x-trunkline-model" not in response.headers
    assert "x-trunkline-request-id" in response.headers
    world.time.advance(10)
    assert await response.content.readany() == sign
    world.time.advance(5)
    reply = await rest_of(response)
    assert reply.is_whole
    assert b": x-trunkline-model: openai-compatible/second\n" in reply.body
    assert b": x-trunkline-attempts: 2\n" in reply.body
    assert world.seen_models == ["first", "second"]
    attempts = await world.attempts()
    assert [(one.outcome, one.milliseconds) for one in attempts] == [("TIMEOUT", 25_000), (None, 0)]


async def test_a_failure_after_a_sign_of_life_is_an_event(world: World) -> None:
    await world.chain("first", delivery=Delivery.ASSURED, timeout_seconds=15)
    world.script(first=["stall-after-5"])
    asking = asyncio.ensure_future(world.ask(stream=True))
    first = await world.until_seen(1)
    await world.until(lambda: first.tokens_sent == 5)
    await asyncio.sleep(0.02)
    world.time.advance(10)
    await asyncio.sleep(0.02)
    world.time.advance(5)
    reply = await asking
    assert reply.status == 200
    assert reply.stream_error is not None
    assert "TIMEOUT" in reply.stream_error["message"]
    assert not reply.is_whole
    assert reply.text == ""


async def test_an_answer_beyond_what_is_held_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "LARGEST_ANSWER", 3_000)
    await world.chain("sim-tokens-100", "sim-ok", delivery=Delivery.ASSURED)
    reply = await world.ask(stream=True)
    assert (reply.status, reply.error["code"]) == (503, "unavailable")
    assert "use a chain that streams" in reply.error["message"]
    assert world.seen_models == ["sim-tokens-100"]
    assert await world.seen[0].until_ended() in {"client_gone", "answered"}
    assert world.services.gateway.means.held.used == 0


async def test_what_all_hold_together_is_bounded_and_given_back(world: World) -> None:
    assert (held.LARGEST_ANSWER, held.LARGEST_TOGETHER) == (8 * 2**20, 256 * 2**20)
    memory = world.services.gateway.means.held
    await world.chain("sim-ok", delivery=Delivery.ASSURED)
    others = held.LARGEST_TOGETHER - 2_000
    memory.used = others
    reply = await world.ask(stream=True)
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert "too many answers are held back" in reply.error["message"]
    assert memory.used == others
    memory.used = 0
    assert (await world.ask(stream=True)).is_whole
    assert memory.used == 0


async def test_a_caller_who_leaves_a_held_answer_frees_all_of_it(world: World) -> None:
    await world.chain("sim-stall-after-5", delivery=Delivery.ASSURED)
    asking = asyncio.ensure_future(world.ask(stream=True))
    first = await world.until_seen(1)
    await world.until(lambda: world.services.gateway.means.held.used > 0)
    asking.cancel()
    assert await first.until_ended() == "client_gone"
    [attempt] = await world.attempts()
    assert attempt.cancelled
    assert attempt.output_tokens > 0
    assert world.services.gateway.means.held.used == 0
