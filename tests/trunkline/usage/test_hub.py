"""The live hub: what goes out when, by a clock that is set, on both databases."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from db.usage import UsageCondition
from db.vocabulary import ProviderKind, UsageDimension, UsageGranularity, UsagePeriod
from tests.conftest import SetClock
from tests.trunkline.usage.merging import merge
from tests.trunkline.usage.timing import Time
from trunkline.errors import BadRequest
from trunkline.providers.changes import (
    NewProvider,
    ProviderUpdate,
    create_provider,
    delete_provider,
    update_provider,
)
from trunkline.services import Services
from trunkline.usage import hub as hub_module
from trunkline.usage.delta import Delta, Snapshot, Update
from trunkline.usage.hub import TICK_SECONDS, UsageHub
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.reading import SeriesRequest, read_series
from trunkline.usage.recording import record_usage
from trunkline.usage.windows import WindowRequest

TODAY = SeriesRequest(UsageDimension.AGENT, WindowRequest("UTC", UsagePeriod.TODAY))
PROVIDERS = replace(TODAY, dimension=UsageDimension.PROVIDER)
Updates = AsyncGenerator[Update]


class Counted:
    """How often a series was computed."""

    def __init__(self) -> None:
        self.count = 0
        self.failure: Exception | None = None


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted()

    async def counting(*arguments: Any) -> Any:
        counted.count += 1
        if counted.failure is not None:
            raise counted.failure
        return await read_series(*arguments)

    monkeypatch.setattr(hub_module, "read_series", counting)
    return counted


@pytest.fixture
def time(clock: SetClock) -> Time:
    return Time(clock)


@pytest.fixture
async def services(services: Services, time: Time) -> Services:
    await create_provider(
        services, NewProvider(slug="local", name="Local", kind=ProviderKind.OLLAMA)
    )
    hub = UsageHub(services.database, services.events, services.clock, sleep=time.sleep)
    return replace(services, hub=hub)


async def record(services: Services, key: str, **fields: Any) -> None:
    event = NewUsageEvent(
        idempotency_key=key, provider_slug="local", model_name="llama", input_tokens=5
    )
    await record_usage(services, [replace(event, **fields)])


@asynccontextmanager
async def watching(services: Services, request: SeriesRequest = TODAY) -> AsyncIterator[Updates]:
    updates = services.hub.watch(request)
    try:
        yield updates
    finally:
        await updates.aclose()


async def eventually(condition: Callable[[], bool]) -> None:
    """Let the tasks run, and the database's threads, until something is so."""
    for _ in range(2_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to be")


async def arrives(updates: Updates) -> Update:
    return await asyncio.wait_for(anext(updates), 10)


async def quiet(time: Time, computed: Counted) -> None:
    """Wait until the feed has done what there was to do, and its tick is over."""
    await eventually(lambda: bool(time.sleepers))
    time.advance(seconds=TICK_SECONDS)
    await asyncio.sleep(0.02)


async def nothing_arrives(updates: Updates) -> None:
    waiting: Awaitable[Update] = anext(updates)
    task = asyncio.ensure_future(waiting)
    await asyncio.sleep(0.03)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_snapshot_comes_first_then_a_delta_at_once(
    services: Services, time: Time, computed: Counted
) -> None:
    await record(services, "before")
    async with watching(services) as updates:
        first = await arrives(updates)
        assert isinstance(first, Snapshot)
        assert first.series.totals.requests == 1
        await quiet(time, computed)
        await record(services, "after")
        # The clock stands still: the first change after a quiet time waits for nothing.
        delta = await arrives(updates)
        assert isinstance(delta, Delta)
        assert delta.totals.requests == 2
        assert merge(first.series, delta) == await read_series(
            services.database, TODAY, services.clock
        )


async def test_changes_within_a_tick_are_merged_into_one(
    services: Services, time: Time, computed: Counted
) -> None:
    async with watching(services) as updates:
        held = merge(None, await arrives(updates))
        for number in range(5):
            await record(services, f"{number}")
        await asyncio.sleep(0.02)
        assert computed.count == 1, "the tick is not over"
        await eventually(lambda: bool(time.sleepers))
        time.advance(seconds=TICK_SECONDS)
        held = merge(held, await arrives(updates))
        assert (held.totals.requests, computed.count) == (5, 2)


async def test_at_most_four_go_out_a_second_however_much_happens(
    services: Services, time: Time, computed: Counted
) -> None:
    async with watching(services) as updates:
        held = merge(None, await arrives(updates))
        number = 0
        for _ in range(20):  # a second, in steps of 50 ms, with a change in each
            number += 1
            await record(services, f"{number}")
            time.advance(seconds=0.05)
            await asyncio.sleep(0.005)
        assert computed.count <= 5, "the snapshot, and four"
        while held.totals.requests < number:
            time.advance(seconds=TICK_SECONDS)
            held = merge(held, await arrives(updates))


async def test_a_thousand_watchers_cost_one_computation(
    services: Services, time: Time, computed: Counted
) -> None:
    watchers = [services.hub.watch(TODAY) for _ in range(1_000)]
    firsts = await asyncio.gather(*(arrives(updates) for updates in watchers))
    assert (computed.count, services.hub.feed_count) == (1, 1)
    await quiet(time, computed)
    await record(services, "a")
    deltas = await asyncio.gather(*(arrives(updates) for updates in watchers))
    assert computed.count == 2
    assert all(one is firsts[0] for one in firsts)
    assert all(one is deltas[0] for one in deltas), "and one comparison"
    for updates in watchers[1:]:
        await updates.aclose()
    assert services.hub.feed_count == 1
    await watchers[0].aclose()
    assert services.hub.feed_count == 0


async def test_the_last_to_leave_frees_the_series_and_the_bus(
    services: Services, time: Time
) -> None:
    for _ in range(3):
        async with watching(services) as updates:
            await arrives(updates)
            assert len(services.events._subscriptions) == 1
        assert services.hub.feed_count == 0
        assert not services.events._subscriptions


async def test_leaving_while_the_series_is_read_leaves_the_store_usable(
    services: Services,
) -> None:
    for turn in range(20):
        updates = services.hub.watch(TODAY)
        first = asyncio.ensure_future(anext(updates))
        for _ in range(turn):
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await updates.aclose()
    await record(services, "a")
    assert (await read_series(services.database, TODAY, services.clock)).totals.requests == 1


async def test_a_slow_reader_gets_the_newest_state_and_holds_up_nobody(
    services: Services, time: Time, computed: Counted
) -> None:
    async with watching(services) as quick, watching(services) as slow:
        quick_held = merge(None, await arrives(quick))
        slow_held = merge(None, await arrives(slow))
        for number in range(6):
            await quiet(time, computed)
            await record(services, f"{number}", agent=f"agent-{number}")
            quick_held = merge(quick_held, await arrives(quick))
        slow_held = merge(slow_held, await arrives(slow))
        assert slow_held == quick_held
        assert slow_held.totals.requests == 6
        await nothing_arrives(slow)


async def test_a_snapshot_comes_when_a_bucket_begins(
    services: Services, time: Time, computed: Counted
) -> None:
    async with watching(services) as updates:
        first = await arrives(updates)
        assert isinstance(first, Snapshot)
        await quiet(time, computed)
        await eventually(lambda: bool(time.sleepers))
        # Sleeps are short, so that a clock that is set meanwhile is noticed.
        time.advance(minutes=60)
        moved = await arrives(updates)
        assert isinstance(moved, Snapshot)
        assert len(moved.series.window.bucket_starts) == 17
        assert moved.series.to == first.series.to + timedelta(hours=1)


async def test_a_snapshot_comes_at_local_midnight(
    services: Services, time: Time, computed: Counted
) -> None:
    request = replace(
        TODAY, window=WindowRequest("Asia/Kolkata", UsagePeriod.TODAY,
                                    granularity=UsageGranularity.DAY)
    )  # fmt: skip
    await record(services, "a")
    async with watching(services, request) as updates:
        first = await arrives(updates)
        assert isinstance(first, Snapshot)
        assert first.series.totals.requests == 1
        await quiet(time, computed)
        await eventually(lambda: bool(time.sleepers))
        time.advance(hours=3.5)  # 18:30 in UTC
        moved = await arrives(updates)
        assert isinstance(moved, Snapshot)
        assert (
            moved.series.from_
            == first.series.to
            == services.clock() - timedelta(seconds=TICK_SECONDS)
        )
        assert moved.series.totals.requests == 0


async def test_names_and_deletions_are_changes(
    services: Services, time: Time, computed: Counted
) -> None:
    await record(services, "a")
    async with watching(services, PROVIDERS) as updates:
        held = merge(None, await arrives(updates))
        subject = held.groups[0].subject
        assert subject is not None
        await quiet(time, computed)
        await update_provider(services, ProviderUpdate(id=subject.id, name="Renamed"))
        delta = await arrives(updates)
        assert isinstance(delta, Delta)
        assert [(one.label, one.points) for one in delta.changes] == [("Renamed", ())]
        await quiet(time, computed)
        await delete_provider(services, subject.id, None)
        held = merge(merge(held, delta), await arrives(updates))
        assert held.groups[0].subject == replace(subject, label="Renamed", living=False)
        assert held == await read_series(services.database, PROVIDERS, services.clock)


async def test_a_store_that_fails_is_tried_again_next_tick(
    services: Services, time: Time, computed: Counted
) -> None:
    async with watching(services) as updates:
        held = merge(None, await arrives(updates))
        await quiet(time, computed)
        computed.failure = OSError("the disk is away")
        await record(services, "a")
        await eventually(lambda: computed.count == 2)
        computed.failure = None
        # No further change, only the tick.
        await eventually(lambda: bool(time.sleepers))
        time.advance(seconds=TICK_SECONDS)
        assert merge(held, await arrives(updates)).totals.requests == 1


async def test_a_series_that_cannot_be_is_refused_to_everybody(services: Services) -> None:
    request = replace(TODAY, top_groups=0)
    for _ in range(2):
        async with watching(services, request) as updates:
            with pytest.raises(BadRequest, match="topGroups takes 1 to 100"):
                await arrives(updates)
    assert services.hub.feed_count == 0


async def test_usage_that_the_filter_leaves_out_moves_only_the_state(
    services: Services, time: Time, computed: Counted
) -> None:
    request = replace(TODAY, condition=UsageCondition(agents=("mine",)))
    async with watching(services, request) as updates:
        held = merge(None, await arrives(updates))
        await quiet(time, computed)
        await record(services, "a", agent="theirs")
        delta = await arrives(updates)
        assert isinstance(delta, Delta)
        assert (delta.changes, delta.order) == ((), ())
        assert merge(held, delta) == await read_series(services.database, request, services.clock)
