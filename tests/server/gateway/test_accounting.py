"""What is counted: each attempt that was sent, once, with the tokens that are known of it."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import RowMapping, select

from db.tables import usage_events
from db.vocabulary import ProviderKind
from tests.server.gateway.world import ENDPOINTS, HELLO, KINDS, MESSAGES, World
from trunkline.catalog.price_overrides import PriceOverride
from trunkline.gateway.accounting import store_requests
from trunkline.gateway.ledger import EndedRequest, Ledger

PRICE = PriceOverride(input_per_million=3_000_000_000, output_per_million=15_000_000_000)
TOKENS = ("inputTokens", "cacheReadTokens", "cacheWriteTokens", "outputTokens", "reasoningTokens")
REQUESTS = """query { gatewayRequests(first: 100) { nodes { attempts {
  sent outcome cancelled estimated costUsd
  inputTokens cacheReadTokens cacheWriteTokens outputTokens reasoningTokens } } } }"""
SERIES = """query ($input: UsageSeriesInput!) { usageSeries(input: $input) { totals {
  requests failures estimatedRequests costUsd
  inputTokens cacheReadTokens cacheWriteTokens outputTokens reasoningTokens } } }"""


async def events(world: World) -> Sequence[RowMapping]:
    """What was counted, in order."""
    await world.stored()
    async with world.services.database.read() as connection:
        found = await connection.execute(select(usage_events).order_by(usage_events.c.id))
    return found.mappings().all()


async def test_each_attempt_that_was_sent_is_counted_under_its_own_model(world: World) -> None:
    first = await world.model("first", price_override=PRICE)
    second = await world.model("second", price_override=PRICE)
    chain = await world.chain("first", "second", max_retries=1)
    world.script(first=["status-500"], second=["ok"])
    reply = await world.ask(headers={"x-trunkline-agent": "tester"})
    request_id = reply.headers["x-trunkline-request-id"]
    counted = await events(world)
    assert [one["idempotency_key"] for one in counted] == [
        f"gw:{request_id}:{number}" for number in (1, 2, 3)
    ]
    assert [one["model_id"] for one in counted] == [first, first, second]
    assert [one["succeeded"] for one in counted] == [False, False, True]
    assert {one["agent"] for one in counted} == {"tester"}
    assert {one["chain_id"] for one in counted} == {chain.id}
    assert [one["cost_nanos"] for one in counted[:2]] == [0, 0]
    usage = reply.json()["usage"]
    last = counted[2]
    assert (last["input_tokens"], last["output_tokens"]) == (
        usage["prompt_tokens"], usage["completion_tokens"],
    )  # fmt: skip
    assert last["cost_nanos"] == 3_000 * last["input_tokens"] + 15_000 * last["output_tokens"]
    assert not any(one["estimated"] for one in counted)


async def test_what_was_not_sent_is_not_counted(sqlite_world: World) -> None:
    world = sqlite_world
    await world.chain("first", "second", max_retries=4)
    world.script(first=["overloaded"], second=["ok"])
    await world.ask()
    before = len(await events(world))
    request_id = (await world.ask()).headers["x-trunkline-request-id"]
    counted = await events(world)
    # Its first attempt was to be passed by: the circuit is open.
    assert [one["idempotency_key"] for one in counted[before:]] == [f"gw:{request_id}:2"]


@pytest.mark.parametrize("kind", KINDS)
async def test_every_class_of_tokens_is_counted_inclusively(
    sqlite_world: World, kind: ProviderKind
) -> None:
    world = sqlite_world
    name = "sim-cached-50-thinking-16-tokens-40"
    await world.chain(name, kind=kind)
    prompt = [{"role": "user", "content": "a long prompt " * 100}]
    counts = set()
    for endpoint in ENDPOINTS:
        for stream in (False, True):
            reply = await world.ask(
                endpoint, messages=prompt, stream=stream, stream_options={"include_usage": True}
            )
            assert reply.status == 200
            [attempt] = await world.attempts()
            assert not attempt.estimated
            counts.add((
                attempt.input_tokens, attempt.cache_read_tokens, attempt.output_tokens,
                attempt.reasoning_tokens,
            ))  # fmt: skip
    [(asked, cached, output, reasoning)] = counts
    assert 340 < asked < 400
    assert output > 40
    if kind is not ProviderKind.OLLAMA:  # Which counts neither.
        assert cached == asked // 2
    if kind in {ProviderKind.OPENAI_COMPATIBLE, ProviderKind.GOOGLE}:
        assert reasoning == 16


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_provider_does_not_say_is_estimated_and_marked(
    sqlite_world: World, kind: ProviderKind, endpoint: str
) -> None:
    world = sqlite_world
    await world.chain("sim-no-usage", kind=kind)
    for stream in (False, True):
        reply = await world.ask(endpoint, stream=stream)
        counted = (await events(world))[-1]
        assert counted["succeeded"]
        if kind is ProviderKind.ANTHROPIC and not counted["estimated"]:
            continue  # A message always holds some usage.
        assert counted["estimated"]
        assert counted["output_tokens"] == -(-len(reply.text) // 4)
        assert counted["input_tokens"] > 0
        assert (await world.attempts())[0].estimated


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_that_broke_off_is_counted_as_far_as_it_came(
    sqlite_world: World, kind: ProviderKind
) -> None:
    world = sqlite_world
    await world.chain("sim-cut-after-12", kind=kind)
    reply = await world.ask(stream=True)
    counted = (await events(world))[-1]
    assert not counted["succeeded"]
    assert counted["estimated"]
    assert counted["output_tokens"] == -(-len(reply.text) // 4)
    assert counted["input_tokens"] > 0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_who_leaves_is_counted_once_and_marked(world: World, stream: bool) -> None:
    await world.chain("first")
    world.script(first=["stall-after-9"])
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(world.ask(stream=stream))
        first = await world.until_seen(1)
        await world.until(lambda: first.tokens_sent == 9 or not stream)
        await asyncio.sleep(0.05)
        asking.cancel()
    assert await first.until_ended() == "client_gone"
    async with asyncio.timeout(20):
        while not await world.stored():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    [counted] = await events(world)
    assert counted["estimated"]
    assert not counted["succeeded"]
    assert counted["input_tokens"] > 0
    assert (counted["output_tokens"] > 0) == stream
    [stored] = await world.stored()
    assert (stored.outcome, stored.attempts[0].cancelled) == ("CANCELLED", True)


async def test_what_is_stored_twice_is_counted_once(world: World) -> None:
    """As after a commit whose word got lost: the ledger can't know, and stores it again."""
    stored: list[EndedRequest] = []
    await world.chain("sim-ok")
    ledger = world.services.gateway.ledger

    def note_and_add(request: EndedRequest) -> None:
        stored.append(request)
        Ledger.add(ledger, request)

    ledger.add = note_and_add  # type: ignore[method-assign]  # sees what passes
    await world.ask()
    before = await events(world)
    await store_requests(world.services, stored)
    await store_requests(world.services, stored * 2)
    assert await events(world) == before
    assert len(await world.stored()) == 1
    assert (await totals(world))["requests"] == 1


async def test_the_attempts_of_all_requests_add_up_to_the_series(world: World) -> None:
    names = ("first", "second", "third")
    for name in names:
        await world.model(name, price_override=PRICE)
    await world.chain(*names, max_retries=1)
    world.script(
        first=["ok", "status-503", "cut-after-7", "rate-limited", "no-usage", "cached-50", "ok"],
        second=["ok", "reset", "thinking"],
        third=["ok", "refusal"],
    )
    for number in range(12):
        path = MESSAGES if number % 3 == 0 else "/v1/chat/completions"
        await world.ask(path, stream=number % 2 == 0, messages=HELLO * (number + 1))
    await world.stored()
    found = (await world.execute(REQUESTS))["gatewayRequests"]["nodes"]
    sent = [one for request in found for one in request["attempts"] if one["sent"]]
    assert len(sent) > 12
    assert await totals(world) == {
        "requests": len(sent),
        "failures": sum(one["outcome"] is not None or one["cancelled"] for one in sent),
        "estimatedRequests": sum(one["estimated"] for one in sent),
        "costUsd": sum(Decimal(one["costUsd"]) for one in sent),
        **{name: sum(one[name] for one in sent) for name in TOKENS},
    }


async def totals(world: World) -> dict[str, Any]:
    window = {"range": {"from": "2026-11-23T00:00:00Z", "to": "2026-11-24T00:00:00Z"}}
    asked = {"dimension": "MODEL", "timezone": "UTC", "window": window}
    found = (await world.execute(SERIES, input=asked))["usageSeries"]["totals"]
    return dict(found) | {"costUsd": Decimal(found["costUsd"])}
