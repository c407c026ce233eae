"""The live hub: what goes out when, by a clock that is set, on both databases."""

import asyncio
import gc
from dataclasses import replace

import pytest

from db.usage import UsageCondition
from db.vocabulary import ProviderKind, UsageDimension, UsageGranularity, UsagePeriod
from tests.conftest import SetClock
from tests.trunkline.usage.live import (
    TODAY,
    Counted,
    arrives,
    eventually,
    nothing_arrives,
    quiet,
    record,
    watching,
    with_hub,
)
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
from trunkline.usage.delta import Delta, Snapshot
from trunkline.usage.feed import LONGEST_RETRY_SECONDS, REST, TICK_SECONDS
from trunkline.usage.points import Point
from trunkline.usage.reading import read_series
from trunkline.usage.windows import WindowRequest

PROVIDERS = replace(TODAY, dimension=UsageDimension.PROVIDER)


@pytest.fixture
def computed() -> Counted:
    return Counted()


@pytest.fixture
def time(clock: SetClock) -> Time:
    return Time(clock)


@pytest.fixture
async def services(services: Services, time: Time, computed: Counted) -> Services:
    await create_provider(
        services, NewProvider(slug="local", name="Local", kind=ProviderKind.OLLAMA)
    )

    return with_hub(services, time, computed)


async def test_a_snapshot_comes_first_then_a_delta_at_once(
    services: Services, time: Time, computed: Counted
) -> None:
    await record(services, "before")
    async with watching(services) as updates:
        first = await arrives(updates)
        assert isinstance(first, Snapshot)
        assert first.series.totals.requests == 1
        await quiet(time)
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
        for seconds in range(1, 4):
            for _ in range(20):  # a second, in steps of 50 ms, with a change in each
                number += 1
                await record(services, f"{number}")
                time.advance(seconds=0.05)
                await asyncio.sleep(0.005)
            assert computed.count <= 1 + 4 * seconds, "the snapshot, and four a second"
        while held.totals.requests < number:
            time.advance(seconds=TICK_SECONDS)
            held = merge(held, await arrives(updates))


async def test_a_series_that_changes_as_often_as_it_is_read_is_not_late_for_good(
    services: Services, time: Time, computed: Counted
) -> None:
    """Though its first change comes a moment after another reading."""
    async with watching(services) as updates:
        held = merge(None, await arrives(updates))
        await quiet(time)
        time.advance(seconds=TICK_SECONDS)
        await record(services, "before")
        held = merge(held, await arrives(updates))
        await eventually(lambda: bool(time.sleepers))
        time.advance(seconds=0.01)
        for number in range(2, 7):
            await record(services, f"{number}")
            held = merge(held, await arrives(updates))
            assert (held.totals.requests, computed.count) == (number, number + 1)
            await eventually(lambda: bool(time.sleepers))
            time.advance(seconds=TICK_SECONDS)


async def test_a_thousand_watchers_cost_one_computation(
    services: Services, time: Time, computed: Counted
) -> None:
    watchers = [services.hub.watch(TODAY) for _ in range(1_000)]
    firsts = await asyncio.gather(*(arrives(updates) for updates in watchers))
    assert (computed.count, services.hub.feed_count) == (1, 1)
    await quiet(time)
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
            await quiet(time)
            await record(services, f"{number}", agent=f"agent-{number}")
            quick_held = merge(quick_held, await arrives(quick))
        slow_held = merge(slow_held, await arrives(slow))
        assert slow_held == quick_held
        assert slow_held.totals.requests == 6
        await nothing_arrives(slow)


async def test_names_and_deletions_are_changes(
    services: Services, time: Time, computed: Counted
) -> None:
    await record(services, "a")
    async with watching(services, PROVIDERS) as updates:
        held = merge(None, await arrives(updates))
        subject = held.groups[0].subject
        assert subject is not None
        await quiet(time)
        await update_provider(services, ProviderUpdate(id=subject.id, name="Renamed"))
        delta = await arrives(updates)
        assert isinstance(delta, Delta)
        assert [(one.label, one.points) for one in delta.changes] == [("Renamed", ())]
        await quiet(time)
        await delete_provider(services, subject.id, None)
        held = merge(merge(held, delta), await arrives(updates))
        assert held.groups[0].subject == replace(subject, label="Renamed", living=False)
        assert held == await read_series(services.database, PROVIDERS, services.clock)


async def test_a_store_that_fails_is_tried_again_next_tick_then_less_often(
    services: Services, time: Time, computed: Counted
) -> None:
    async with watching(services) as updates:
        held = merge(None, await arrives(updates))
        await quiet(time)
        computed.failure = OSError("the disk is away")
        await record(services, "a")
        # No further change, only time that passes.
        waited = 0.0
        for tries in range(2, 12):
            await eventually(lambda tries=tries: computed.count == tries)  # type: ignore[misc]  # bound now
            await eventually(lambda: bool(time.sleepers))
            began = time.passed
            while time.sleepers:
                time.advance(seconds=TICK_SECONDS)
            waited = time.passed - began
            assert tries > 2 or waited == TICK_SECONDS
        assert waited == LONGEST_RETRY_SECONDS
        computed.failure = None
        await eventually(lambda: bool(time.sleepers))
        time.advance(seconds=LONGEST_RETRY_SECONDS)
        assert merge(held, await arrives(updates)).totals.requests == 1


async def test_a_series_that_takes_long_is_read_a_fifth_of_the_time_at_most(
    services: Services, time: Time, computed: Counted
) -> None:
    async with watching(services) as updates:
        held = merge(None, await arrives(updates))
        await quiet(time)
        computed.meanwhile = lambda: time.advance(seconds=2)
        await record(services, "first")
        # After a quiet time it waits for nothing, however long it takes.
        held = merge(held, await arrives(updates))
        assert (held.totals.requests, computed.count) == (1, 2)
        await eventually(lambda: bool(time.sleepers))
        await record(services, "second")
        time.advance(seconds=2 * REST - TICK_SECONDS)
        await nothing_arrives(updates)
        assert computed.count == 2, "it rests"
    async with watching(services) as updates:
        # A new feed; the rest ends when it is over.
        computed.meanwhile = lambda: None
        held = merge(None, await arrives(updates))
        computed.meanwhile = lambda: time.advance(seconds=2)
        await quiet(time)
        await record(services, "third")
        held = merge(held, await arrives(updates))
        await eventually(lambda: bool(time.sleepers))
        await record(services, "fourth")
        time.advance(seconds=2 * REST)
        assert merge(held, await arrives(updates)).totals.requests == 4


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
        await quiet(time)
        await record(services, "a", agent="theirs")
        delta = await arrives(updates)
        assert isinstance(delta, Delta)
        assert (delta.changes, delta.order) == ((), ())
        assert merge(held, delta) == await read_series(services.database, request, services.clock)


async def test_a_refused_series_is_tried_again_though_a_slow_subscriber_has_not_heard(
    services: Services, time: Time, computed: Counted
) -> None:
    async with watching(services) as slow:
        await arrives(slow)
        await quiet(time)
        computed.failure = BadRequest("too many points")
        await record(services, "a")
        await eventually(lambda: computed.count == 2)
        computed.failure = None
        async with watching(services) as updates:
            assert merge(None, await arrives(updates)).totals.requests == 1
            with pytest.raises(BadRequest, match="too many points"):
                await arrives(slow)
            assert services.hub.feed_count == 1
            await quiet(time)
            await record(services, "b")
            assert isinstance(await arrives(updates), Delta)
    assert services.hub.feed_count == 0


async def test_whoever_leaves_at_once_leaves_no_task(services: Services, time: Time) -> None:
    """Whether nothing had begun, the series was being read, or was there."""
    before = asyncio.all_tasks()
    await services.hub.watch(TODAY).aclose()
    for turns in range(0, 60, 3):
        updates = services.hub.watch(TODAY)
        first = asyncio.ensure_future(anext(updates))
        for _ in range(turns):
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await updates.aclose()
        assert asyncio.all_tasks() == before
        assert services.hub.feed_count == 0
    async with watching(services) as updates:
        await arrives(updates)
    assert asyncio.all_tasks() == before
    assert not services.events._subscriptions


@pytest.mark.slow
async def test_subscribers_that_stopped_reading_hold_nearly_nothing_of_their_own(
    services: Services, time: Time, computed: Counted
) -> None:
    """Each stands at another state of a large series; what didn't change is there once."""
    month = replace(
        TODAY,
        window=WindowRequest(
            "UTC", UsagePeriod.LAST_30_DAYS, granularity=UsageGranularity.QUARTER_HOUR
        ),
    )
    for number in range(10):
        await record(services, f"{number}", agent=f"agent-{number}")
    points = 10 * (29 * 96 + 15 * 4 + 1)
    stopped = [services.hub.watch(month) for _ in range(20)]
    before = _points_alive()
    for place, updates in enumerate(stopped):
        await arrives(updates)
        await quiet(time)
        await record(services, f"change-{place}", agent=f"agent-{place % 10}")
        await eventually(lambda reads=2 + place: computed.count == reads)  # type: ignore[misc]  # bound now
    await eventually(lambda: bool(time.sleepers))
    assert points <= _points_alive() - before <= points + 100
    expected = await read_series(services.database, month, services.clock)
    for updates in stopped:
        update = await arrives(updates)
        assert isinstance(update, Delta)
        assert (update.as_of, update.totals) == (expected.as_of, expected.totals)
        await updates.aclose()


def _points_alive() -> int:
    gc.collect()
    return sum(type(one) is Point for one in gc.get_objects())
