"""Recording usage on both databases: checked, priced, counted once, told after the commit."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.columns import to_microseconds
from db.models import load_models_by_name
from db.paging import PageRequest
from db.providers import find_provider_by_slug
from db.usage import UsageCondition, UsageEventRow, page_events, read_clock
from db.usage_rollups import sum_groups
from db.vocabulary import ModelSource, ProviderKind, UsageDimension
from tests.conftest import SetClock
from trunkline.catalog.changes import ModelUpdate, update_model
from trunkline.catalog.price_overrides import PriceOverride
from trunkline.errors import Refused
from trunkline.events import ModelChanged, UsageRecorded
from trunkline.failover.chains import NewChain, create_chain
from trunkline.failover.steps import StepInput
from trunkline.providers.changes import NewProvider, create_provider, delete_provider
from trunkline.services import Services
from trunkline.usage.group_commit import Recorded
from trunkline.usage.intake import NewUsageEvent, fingerprint
from trunkline.usage.recording import record_usage

KNOWN = "claude-sonnet-4-5"


@pytest.fixture
async def services(services: Services) -> Services:
    """With two providers, one of them free, and a chain."""
    await create_provider(
        services, NewProvider(slug="anthropic", name="Anthropic", kind=ProviderKind.ANTHROPIC)
    )
    await create_provider(
        services, NewProvider(slug="local", name="Local", kind=ProviderKind.OLLAMA)
    )
    await create_chain(
        services,
        NewChain(name="Support", steps=[StepInput(model_id=await model_id(services, KNOWN))]),
    )
    return services


async def model_id(services: Services, wire_name: str, slug: str = "anthropic") -> int:
    async with services.database.read() as connection:
        provider = await find_provider_by_slug(connection, slug)
        assert provider is not None
        name = (provider.id, wire_name)
        return (await load_models_by_name(connection, [name]))[name].id


def event(key: str, **fields: Any) -> NewUsageEvent:
    made = NewUsageEvent(
        idempotency_key=key, provider_slug="anthropic", model_name=KNOWN, input_tokens=1_000
    )
    return replace(made, **fields)


async def recorded(services: Services) -> Sequence[UsageEventRow]:
    async with services.database.read() as connection:
        page = await page_events(connection, PageRequest(first=500), UsageCondition(), None)
    return page.nodes


async def refusal(services: Services, *events: NewUsageEvent) -> set[tuple[str, ...]]:
    """Code and path of every problem; nothing may have changed."""
    async with services.database.read() as connection:
        before = await read_clock(connection)
    count = len(await recorded(services))
    with pytest.raises(Refused) as refused:
        await record_usage(services, events)
    async with services.database.read() as connection:
        assert await read_clock(connection) == before
    assert len(await recorded(services)) == count
    found = [(problem.code.value, *(problem.field or ())) for problem in refused.value.problems]
    assert len(set(found)) == len(found), "each problem once"
    return set(found)


async def test_the_same_event_counts_once_however_often_it_comes(services: Services) -> None:
    assert await record_usage(services, [event("a"), event("a"), event("b")]) == Recorded(2, 1)
    assert await record_usage(services, [event("b"), event("c")]) == Recorded(1, 1)
    async with services.database.read() as connection:
        as_of = await read_clock(connection)
    assert await record_usage(services, [event("c")]) == Recorded(0, 1)
    async with services.database.read() as connection:
        assert await read_clock(connection) == as_of, "a duplicate changes nothing"
    assert len(await recorded(services)) == 3


async def test_a_retry_without_a_time_is_a_duplicate(services: Services, clock: SetClock) -> None:
    await record_usage(services, [event("a")])
    clock.advance(hours=3)
    assert await record_usage(services, [event("a")]) == Recorded(0, 1)


async def test_a_retry_is_a_duplicate_whatever_has_become_of_what_it_names(
    services: Services,
) -> None:
    sent = event("a", failover_chain_slug="support", provider_slug="local", model_name="llama")
    await record_usage(services, [sent])
    async with services.database.read() as connection:
        provider = await find_provider_by_slug(connection, "local")
    assert provider is not None
    await delete_provider(services, provider.id, None)
    assert await record_usage(services, [sent]) == Recorded(0, 1)
    assert await refusal(services, replace(sent, idempotency_key="b")) == {
        ("NOT_FOUND", "events", "0", "providerSlug")
    }


async def test_another_event_under_the_same_key_is_refused_with_the_whole_batch(
    services: Services,
) -> None:
    await record_usage(services, [event("a")])
    other = event("a", input_tokens=1_001)
    assert await refusal(services, event("b"), other, event("a"), event("b", agent="x")) == {
        ("KEY_REUSED", "events", "1", "idempotencyKey"),
        ("KEY_REUSED", "events", "3", "idempotencyKey"),
    }


CHANGES: dict[str, Any] = {
    "provider_slug": "local",
    "model_name": "other",
    "agent": "somebody",
    "failover_chain_slug": "support",
    "occurred_at": datetime(2026, 1, 1, tzinfo=UTC),
    "succeeded": False,
    "input_tokens": 1_001,
    "cache_read_tokens": 1,
    "cache_write_tokens": 1,
    "output_tokens": 1,
    "reasoning_tokens": 1,
    "estimated": True,
    "latency_ms": 0,
    "cost_nanos": 0,
}


@pytest.mark.parametrize("field", CHANGES)
def test_every_part_of_an_event_is_in_its_fingerprint(field: str) -> None:
    assert fingerprint(event("a", **{field: CHANGES[field]})) != fingerprint(event("a"))
    assert fingerprint(event("a")) == fingerprint(event("b"))


async def test_every_problem_comes_at_once_with_its_path(
    services: Services, clock: SetClock
) -> None:
    await record_usage(services, [event("known")])
    soon = clock() + timedelta(minutes=5, microseconds=1)
    found = await refusal(
        services,
        event("", agent="", model_name=" "),
        event("gw:1", model_name="a\0b", agent="\ud800", latency_ms=-1),
        event("k" * 201, agent="a\nb", cost_nanos=10_000 * 10**9 + 1),
        event("a", input_tokens=10**9 + 1, output_tokens=-1),
        event("b", cache_read_tokens=600, cache_write_tokens=401, reasoning_tokens=1),
        event("c", occurred_at=soon),
        event("d", occurred_at=datetime(1979, 12, 31, tzinfo=UTC)),
        event("e", provider_slug="nobody", failover_chain_slug="nothing"),
        event("f", provider_slug="\ud800", failover_chain_slug="a\0"),
        event("known", agent="another"),
    )
    assert found == {
        ("INVALID", "events", "0", "idempotencyKey"),
        ("INVALID", "events", "0", "agent"),
        ("INVALID", "events", "0", "modelName"),
        ("INVALID", "events", "1", "idempotencyKey"),
        ("INVALID", "events", "1", "modelName"),
        ("INVALID", "events", "1", "agent"),
        ("INVALID", "events", "1", "latencyMs"),
        ("INVALID", "events", "2", "idempotencyKey"),
        ("INVALID", "events", "2", "agent"),
        ("INVALID", "events", "2", "costUsd"),
        ("INVALID", "events", "3", "inputTokens"),
        ("INVALID", "events", "3", "outputTokens"),
        ("INVALID", "events", "4", "inputTokens"),
        ("INVALID", "events", "4", "outputTokens"),
        ("INVALID", "events", "5", "occurredAt"),
        ("INVALID", "events", "6", "occurredAt"),
        ("NOT_FOUND", "events", "7", "providerSlug"),
        ("NOT_FOUND", "events", "7", "failoverChainSlug"),
        ("NOT_FOUND", "events", "8", "providerSlug"),
        ("NOT_FOUND", "events", "8", "failoverChainSlug"),
        ("KEY_REUSED", "events", "9", "idempotencyKey"),
    }


async def test_a_batch_has_one_to_a_thousand_events(services: Services) -> None:
    assert await refusal(services) == {("TOO_FEW", "events")}
    many = [event(str(number)) for number in range(1_001)]
    assert await refusal(services, *many) == {("TOO_MANY", "events")}
    assert await record_usage(services, many[:1_000]) == Recorded(1_000, 0)


async def test_the_bounds_themselves_are_taken(services: Services, clock: SetClock) -> None:
    extreme = event(
        "k" * 200,
        agent="ä" * 200,
        input_tokens=10**9,
        cache_read_tokens=10**9,
        output_tokens=10**9,
        reasoning_tokens=10**9,
        cost_nanos=10_000 * 10**9,
        latency_ms=0,
        occurred_at=clock() + timedelta(minutes=5),
    )
    oldest = event("b", occurred_at=datetime(1980, 1, 1, tzinfo=UTC))
    assert await record_usage(services, [extreme, oldest]) == Recorded(2, 0)
    newest, old = await recorded(services)
    assert newest.occurred_at == clock(), "a little ahead is taken as now"
    assert old.occurred_at == oldest.occurred_at


async def test_an_event_is_priced_once_at_the_price_in_force_when_it_occurred(
    services: Services, clock: SetClock
) -> None:
    changed = await model_id(services, KNOWN)
    before = clock()
    clock.advance(hours=1)
    override = PriceOverride(input_per_million=10**9, output_per_million=0)
    await update_model(services, ModelUpdate(id=changed, price_override=override))
    clock.advance(hours=1)
    await update_model(services, ModelUpdate(id=changed, price_override=None))
    await record_usage(
        services,
        [
            event("catalog", occurred_at=before),
            event("override", occurred_at=before + timedelta(hours=1)),
            event("ended"),
            event("billed", cost_nanos=5),
            event("unknown", model_name="nobody-knows-it"),
            event("free", provider_slug="local", model_name="anything"),
        ],
    )
    costs = {row.id: row.cost_usd for row in await recorded(services)}
    # 1,000 tokens at $3 and at $1 a million.
    assert sorted(costs.items()) == [
        (1, 5), (2, 3_000_000), (3, 3_000_000), (4, 0), (5, 1_000_000), (6, None)
    ]  # fmt: skip  # inserted by key
    span = (before - timedelta(minutes=15), clock() + timedelta(minutes=15))
    async with services.database.read() as connection:
        sums = await sum_groups(connection, UsageDimension.AGENT, span, UsageCondition())
    assert (sums[""][7], sums[""][8]) == (7_000_005, 1), "unknown is counted, never zero"


async def test_a_model_that_the_provider_lacks_is_added_as_discovered(services: Services) -> None:
    with services.events.subscribe(ModelChanged, UsageRecorded) as changes:
        await record_usage(services, [event("a", model_name="new-one"), event("b")])
        heard = [await anext(changes), await anext(changes)]
    assert [type(one) for one in heard] == [ModelChanged, UsageRecorded]
    added = await model_id(services, "new-one")
    assert isinstance(heard[0], ModelChanged)
    assert (heard[0].id, heard[0].provider_slug) == (added, "anthropic")
    async with services.database.read() as connection:
        name = (heard[0].provider_id, "new-one")
        row = (await load_models_by_name(connection, [name]))[name]
    assert (row.source, row.pricing, row.enabled) == (ModelSource.DISCOVERED, None, True)


async def test_recorders_that_race_add_a_model_once_and_count_each_key_once(
    services: Services,
) -> None:
    batches = [
        [event(f"{key}", model_name=f"new-{key % 3}") for key in range(place, place + 20)]
        for place in range(0, 60, 10)
    ]
    results = await asyncio.gather(*(record_usage(services, batch) for batch in batches))
    assert sum(one.recorded for one in results) == 70
    assert sum(one.duplicates for one in results) == 50
    assert len({row.model_id for row in await recorded(services)}) == 3


async def test_a_batch_that_is_refused_tells_nobody(services: Services) -> None:
    with services.events.subscribe(UsageRecorded, ModelChanged) as changes:
        await refusal(services, event("a", model_name="new"), event("b", provider_slug="nobody"))
        await record_usage(services, [event("c")])
        assert isinstance(await anext(changes), UsageRecorded), "and nothing before it"


async def test_what_was_committed_is_told_even_where_the_caller_is_gone(
    services: Services,
) -> None:
    with services.events.subscribe(UsageRecorded) as changes:
        caller = asyncio.create_task(record_usage(services, [event("a")]))
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        heard = await asyncio.wait_for(anext(changes), 10)
    assert isinstance(heard, UsageRecorded)
    assert len(await recorded(services)) == 1


async def test_a_price_that_would_overflow_the_sums_refuses_the_event(services: Services) -> None:
    override = PriceOverride(input_per_million=10**15, output_per_million=10**15)
    changed = await model_id(services, KNOWN)
    await update_model(services, ModelUpdate(id=changed, price_override=override))
    assert await refusal(services, event("a"), event("b", input_tokens=10**9)) == {
        ("INVALID", "events", "1", "modelName")
    }
    assert await record_usage(services, [event("b", input_tokens=10**7)]) == Recorded(1, 0)


async def test_a_rollup_that_would_overflow_refuses_the_batch(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.usage.intake.MOST_COST_NANOS", 2**63)
    monkeypatch.setattr("trunkline.usage.priced_events.MOST_PRICED_NANOS", 2**63)
    await record_usage(services, [event("a", cost_nanos=2**63 - 1)])
    assert await refusal(services, event("b", cost_nanos=1)) == {("INVALID", "events")}


@given(
    st.text(st.characters()),
    st.none() | st.text(st.characters()),
    st.none() | st.datetimes(timezones=st.just(UTC)),
    st.booleans(),
    st.none() | st.integers(),
)
def test_a_fingerprint_is_of_any_text_that_is_taken_and_stays_what_was_stored(
    agent: str, chain: str | None, occurred: datetime | None, succeeded: bool, cost: int | None
) -> None:
    made = event(
        "a",
        agent=agent,
        failover_chain_slug=chain,
        occurred_at=occurred,
        succeeded=succeeded,
        cost_nanos=cost,
    )
    moment = None if occurred is None else to_microseconds(occurred)
    contents = [
        "anthropic", KNOWN, agent, chain, moment, succeeded, 1_000, 0, 0, 0, 0, False, None, cost
    ]  # fmt: skip
    stored = hashlib.sha256(json.dumps(contents).encode()).digest()[:16]
    assert fingerprint(made) == stored
