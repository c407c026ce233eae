"""Every fault of a stream, in every protocol of providers: what a caller gets who streams, and who
has the answer held back until it is whole.
"""

from itertools import product
from typing import Any

import pytest

from db.vocabulary import Delivery, ProviderKind
from server.simulated.script import Script
from server.simulated.timing import HeldTiming
from tests.server.gateway.world import CHAT, ENDPOINTS, KINDS, MESSAGES, Reply, World, rest_of

CUTS = ("cut-after-5", "reset-after-5", "end-after-5", "no-finish")
"""Tokens have come, but no finish reason: the answer isn't whole."""
BEFORE_A_TOKEN = (
    "reset", "cut-after-0", "reset-after-0", "error-after-0", "end-after-0", "web-page", "huge",
    "empty", "not-json", "other-json",
)  # fmt: skip
HARMLESS = ("no-done", "malformed-after-5", "slow-bytes", "slow-first-token-3s-pings", "no-usage")


@pytest.fixture
def world(sqlite_world: World) -> World:
    """No database has a say in it."""
    return sqlite_world


async def ask_for(world: World, fault: str, endpoint: str, **body: Any) -> Reply:
    """The chain `test`, whose first model meets this fault and whose second answers."""
    world.behaviour.requests.clear()
    world.behaviour.set_script(Script({"first": [fault], "second": ["ok"]}))
    # What came of the last fault says nothing of this one.
    world.services.gateway.breakers._circuits.clear()
    return await world.ask(endpoint, **body)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_that_breaks_off_ends_with_an_error(
    world: World, kind: ProviderKind
) -> None:
    await world.chain("first", "second", kind=kind)
    for fault, endpoint in product(CUTS, ENDPOINTS):
        reply = await ask_for(world, fault, endpoint, stream=True)
        assert reply.status == 200, fault
        assert not reply.broken, fault
        assert reply.text, fault
        assert reply.stream_error is not None, (fault, reply.body[-200:])
        assert reply.stream_error["message"], fault
        assert not reply.is_whole, fault
        assert b"[DONE]" not in reply.body
        assert b"message_stop" not in reply.body
        assert b"second" not in reply.body
        if endpoint == MESSAGES:
            assert reply.events[-1]["type"] == "error"
        # Nothing but the first was asked, and once.
        assert world.seen_models == ["first"], fault
        stored = (await world.stored())[-1]
        assert stored.outcome == "CUT"
        assert stored.attempts[0].output_tokens > 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_an_error_within_a_stream_ends_it(
    world: World, kind: ProviderKind, endpoint: str
) -> None:
    timing = world.behaviour.timing = HeldTiming()
    await world.chain("first", "second", kind=kind)
    world.script(first=["error-after-5-tps-1"])
    async with world.asking(endpoint, stream=True) as response:
        begun = await response.content.readany()
        await timing.until_asleep()
        # From here on the caller has a part of it.
        timing.advance(10)
        reply = await rest_of(response, begun)
    assert reply.text
    assert reply.stream_error is not None
    assert not reply.is_whole
    assert world.seen_models == ["first"]
    [attempt] = await world.attempts()
    assert attempt.outcome in {"TRANSIENT", "RATE_LIMITED"}


@pytest.mark.parametrize("kind", KINDS)
async def test_before_a_token_a_fault_costs_the_caller_nothing(
    world: World, kind: ProviderKind
) -> None:
    await world.chain("first", "second", kind=kind, max_retries=0)
    for fault, endpoint in zip(BEFORE_A_TOKEN, ENDPOINTS * 5, strict=True):
        reply = await ask_for(world, fault, endpoint, stream=True)
        assert reply.is_whole, fault
        assert world.seen_models == ["first", "second"], fault
        assert reply.headers["x-trunkline-model"].endswith("/second")
        assert reply.attempts == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_a_whole_answer_that_is_broken_is_never_passed_on(
    world: World, kind: ProviderKind
) -> None:
    await world.chain("first", "second", kind=kind, max_retries=0)
    faults = (
        "reset", "cut-after-5", "reset-after-5", "malformed-after-5", "end-after-5", "web-page",
        "huge", "empty", "not-json", "other-json",
    )  # fmt: skip
    for fault, endpoint in zip(faults, ENDPOINTS * 5, strict=True):
        reply = await ask_for(world, fault, endpoint)
        assert reply.status == 200, (fault, reply.body)
        assert reply.text, fault
        assert world.seen_models == ["first", "second"], fault
        attempts = await world.attempts()
        assert [one.outcome for one in attempts] == ["TRANSIENT", None], fault


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_harmless_is_mended_on_the_way(world: World, kind: ProviderKind) -> None:
    await world.chain("first", "second", kind=kind)
    for endpoint in ENDPOINTS:
        good = await ask_for(world, "ok", endpoint, stream=True)
        assert good.is_whole
        for fault in HARMLESS:
            reply = await ask_for(world, fault, endpoint, stream=True)
            assert world.seen_models == ["first"], fault
            assert reply.is_whole, fault
            assert reply.text == good.text, fault
            assert reply.stream_error is None
        assert (await ask_for(world, "wrong-content-type", endpoint)).text == good.text


@pytest.mark.parametrize("kind", KINDS)
async def test_assured_answers_fall_through_whatever_breaks(
    world: World, kind: ProviderKind
) -> None:
    await world.chain("first", "second", kind=kind, delivery=Delivery.ASSURED, max_retries=0)
    for fault, endpoint in zip(
        (*CUTS, "error-after-5", *BEFORE_A_TOKEN), ENDPOINTS * 8, strict=False
    ):
        reply = await ask_for(world, fault, endpoint, stream=True)
        assert reply.status == 200
        assert reply.is_whole, fault
        assert world.seen_models == ["first", "second"], fault
        assert reply.headers["x-trunkline-model"].endswith("/second")
        whole = await world.ask(endpoint, model=world.named("second", kind))
        assert reply.text == whole.text, fault
        assert (await world.stored())[-2].outcome == "ANSWERED"


async def test_a_flapping_model_is_left_and_taken_again(world: World) -> None:
    await world.chain("first", "second", max_retries=0)
    world.script(first=["flap-2-2"], second=["ok"])
    models = [(await world.ask(CHAT)).headers["x-trunkline-model"][-6:] for _ in range(8)]
    assert models == [*["second"] * 2, *["/first"] * 2] * 2
