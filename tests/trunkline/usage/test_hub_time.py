"""What the live hub pushes because time passes: midnights, clock changes, a clock that is set."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from db.vocabulary import ProviderKind, UsageDimension, UsageGranularity, UsagePeriod
from tests.conftest import SetClock
from tests.trunkline.usage.live import (
    Counted,
    Updates,
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
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.services import Services
from trunkline.usage.delta import Delta, Snapshot
from trunkline.usage.feed import LONGEST_SLEEP_SECONDS, TICK_SECONDS
from trunkline.usage.reading import SeriesRequest, read_series
from trunkline.usage.series import Series
from trunkline.usage.windows import WindowRequest


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


def asked(
    zone: str,
    period: UsagePeriod = UsagePeriod.TODAY,
    granularity: UsageGranularity = UsageGranularity.HOUR,
    *,
    with_previous: bool = False,
) -> SeriesRequest:
    window = WindowRequest(zone, period, granularity=granularity)
    return SeriesRequest(UsageDimension.AGENT, window, with_previous=with_previous)


class Watcher:
    """A client that merges, and expects to hold what the query returns."""

    def __init__(self, services: Services, request: SeriesRequest, updates: Updates) -> None:
        self.services = services
        self.request = request
        self.updates = updates
        self.held: Series | None = None

    async def reads(self) -> str:
        """Take the next update and give its kind; what is held then is what is answered."""
        update = await arrives(self.updates)
        self.held = merge(self.held, update)
        services = self.services
        assert self.held == await read_series(services.database, self.request, services.clock)
        return "snapshot" if isinstance(update, Snapshot) else "delta"

    @property
    def series(self) -> Series:
        assert self.held is not None
        return self.held

    @property
    def hours(self) -> list[float]:
        """How long its buckets are."""
        window = self.series.window
        pairs = zip(window.bucket_starts, window.bucket_ends, strict=True)
        return [(end - start) / timedelta(hours=1) for start, end in pairs]

    @property
    def requests(self) -> list[int]:
        """Of its one group, bucket by bucket."""
        (group,) = self.series.groups
        return [point.requests for point in group.points]


async def pass_time(time: Time, until: datetime) -> None:
    """Let time pass up to an instant, as it does: a little at a time, the feeds after it."""
    while (left := (until - time.clock()).total_seconds()) > 0:
        time.advance(seconds=min(left, 60))
        for _ in range(5):
            await asyncio.sleep(0)


async def settle(time: Time) -> None:
    """Let the ticks be over of feeds whose updates were all taken: they rest by then."""
    time.advance(seconds=TICK_SECONDS)
    for _ in range(10):
        await asyncio.sleep(0)


async def test_midnight_comes_in_two_zones_one_after_the_other(
    services: Services, time: Time, clock: SetClock
) -> None:
    # 23:50 in Kathmandu (5:45 ahead); 18:05 in UTC, where midnight is six hours off.
    clock.now = datetime(2026, 11, 23, 18, 5, tzinfo=UTC)
    day = UsageGranularity.DAY
    here, there = asked("UTC", granularity=day), asked("Asia/Kathmandu", granularity=day)
    async with watching(services, here) as ours, watching(services, there) as theirs:
        utc, kathmandu = Watcher(services, here, ours), Watcher(services, there, theirs)
        assert [await utc.reads(), await kathmandu.reads()] == ["snapshot", "snapshot"]
        await settle(time)
        await record(services, "before both")
        assert [await utc.reads(), await kathmandu.reads()] == ["delta", "delta"]
        await settle(time)

        await pass_time(time, datetime(2026, 11, 23, 18, 14, 59, tzinfo=UTC))
        await nothing_arrives(theirs)
        kathmandu.updates = theirs = services.hub.watch(there)
        await kathmandu.reads()
        await pass_time(time, datetime(2026, 11, 23, 18, 15, tzinfo=UTC))
        assert await kathmandu.reads() == "snapshot"
        assert kathmandu.series.from_ == datetime(2026, 11, 23, 18, 15, tzinfo=UTC)
        assert kathmandu.series.totals.requests == 0
        await settle(time)
        await record(services, "between the two")
        assert [await utc.reads(), await kathmandu.reads()] == ["delta", "delta"]
        assert (utc.requests, kathmandu.requests) == ([2], [1])
        await settle(time)

        await pass_time(time, datetime(2026, 11, 24, tzinfo=UTC))
        assert await utc.reads() == "snapshot"
        assert utc.series.from_ == datetime(2026, 11, 24, tzinfo=UTC)
        await settle(time)
        await record(services, "after both")
        assert [await utc.reads(), await kathmandu.reads()] == ["delta", "delta"]
        assert (utc.requests, kathmandu.requests) == ([1], [2])
        await theirs.aclose()


@pytest.mark.parametrize(
    ("zone", "change", "length"),
    [
        # 2:00 comes twice in Berlin: 25 hours. It never comes in New York: 23.
        ("Europe/Berlin", datetime(2026, 10, 25, 1, 0, tzinfo=UTC), 25),
        ("America/New_York", datetime(2026, 3, 8, 7, 0, tzinfo=UTC), 23),
        # Half an hour: the hour around it has 90 minutes.
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, 0, tzinfo=UTC), 24.5),
    ],
)
async def test_a_day_on_which_the_clocks_change_is_watched_hour_by_hour(
    services: Services, time: Time, clock: SetClock, zone: str, change: datetime, length: float
) -> None:
    clock.now = change - timedelta(hours=1, minutes=30)
    request = asked(zone)
    async with watching(services, request) as updates:
        watcher = Watcher(services, request, updates)
        await watcher.reads()
        await settle(time)
        begun, count = watcher.series.from_, 0
        while watcher.series.from_ == begun:
            now = clock()
            await record(services, f"{count}")
            count += 1
            assert await watcher.reads() == "delta"
            assert watcher.series.totals.requests == watcher.requests[-1] + sum(
                watcher.requests[:-1]
            )
            assert watcher.series.window.bucket_starts[-1] <= now < watcher.series.to
            day = watcher.hours
            await settle(time)
            # One bucket further: a snapshot, with a bucket more, or of the next day.
            await pass_time(time, watcher.series.to)
            assert await watcher.reads() == "snapshot"
            await settle(time)
        assert sum(day) == length
        assert watcher.series.from_ - begun == timedelta(hours=length)
        assert watcher.series.totals.requests == 0
        assert set(day) <= ({1.0, 1.5} if "Howe" in zone else {1.0})


async def test_a_month_turns(services: Services, time: Time, clock: SetClock) -> None:
    clock.now = datetime(2026, 11, 30, 22, 58, tzinfo=UTC)
    request = asked("Europe/Berlin", UsagePeriod.MONTH_TO_DATE, UsageGranularity.DAY)
    async with watching(services, request) as updates:
        watcher = Watcher(services, request, updates)
        await watcher.reads()
        await settle(time)
        await record(services, "on the last day")
        assert await watcher.reads() == "delta"
        assert (len(watcher.hours), watcher.requests[-1]) == (30, 1)
        await settle(time)
        await pass_time(time, datetime(2026, 11, 30, 23, 0, tzinfo=UTC))
        assert await watcher.reads() == "snapshot"
        assert watcher.series.from_ == datetime(2026, 11, 30, 23, 0, tzinfo=UTC)
        assert watcher.series.totals.requests == 0


async def test_what_a_day_is_compared_with_grows_with_every_quarter_hour(
    services: Services, time: Time, clock: SetClock
) -> None:
    yesterday = clock() - timedelta(days=1)
    await record(services, "a", occurred_at=yesterday)
    await record(services, "b", occurred_at=yesterday + timedelta(minutes=15))
    request = asked("UTC", granularity=UsageGranularity.DAY, with_previous=True)
    async with watching(services, request) as updates:
        first = await arrives(updates)
        assert isinstance(first, Snapshot)
        assert first.series.previous_totals is not None
        assert first.series.previous_totals.requests == 1
        await settle(time)
        await pass_time(time, clock() + timedelta(minutes=15))
        moved = await arrives(updates)
        # Nothing was recorded, and the day is the same: what is held stays, but for this.
        assert isinstance(moved, Delta)
        assert moved.changes == ()
        assert moved.previous_totals is not None
        assert moved.previous_totals.requests == 2


async def test_a_clock_that_is_set_back_takes_the_window_back(
    services: Services, time: Time, clock: SetClock
) -> None:
    clock.now = datetime(2026, 11, 23, 16, 5, tzinfo=UTC)
    request = asked("UTC")
    async with watching(services, request) as updates:
        watcher = Watcher(services, request, updates)
        await watcher.reads()
        assert watcher.series.to.hour == 17
        await settle(time)
        await record(services, "at five past")
        assert await watcher.reads() == "delta"
        await settle(time)
        time.set_clock(minutes=-10)
        time.advance(seconds=LONGEST_SLEEP_SECONDS)
        assert await watcher.reads() == "snapshot"
        assert watcher.series.to.hour == 16, "the query's window ends there again"
        await settle(time)
        # What is recorded now lies in the hour that was shown already.
        await record(services, "at five to, again")
        assert await watcher.reads() == "delta"
        assert watcher.requests[-1] == 1
        before = watcher.series.as_of
        await settle(time)
        await pass_time(time, datetime(2026, 11, 23, 16, 0, tzinfo=UTC))
        assert await watcher.reads() == "snapshot"
        assert watcher.requests[-2:] == [1, 1]
        assert watcher.series.as_of >= before


async def test_a_machine_that_slept_over_midnight_shows_the_new_day_soon(
    services: Services, time: Time, clock: SetClock, computed: Counted
) -> None:
    """Sleeps don't count the time of a suspended machine; its clock goes on."""
    request = asked("UTC", granularity=UsageGranularity.DAY)
    async with watching(services, request) as updates:
        watcher = Watcher(services, request, updates)
        await watcher.reads()
        await quiet(time)
        await eventually(lambda: bool(time.sleepers))
        time.set_clock(hours=10)
        time.advance(seconds=LONGEST_SLEEP_SECONDS)
        assert await watcher.reads() == "snapshot"
        assert watcher.series.from_.day == 24
        assert computed.count == 2


async def test_time_moves_no_fixed_range(
    services: Services, time: Time, clock: SetClock, computed: Counted
) -> None:
    start = datetime(2026, 11, 23, tzinfo=UTC)
    window = WindowRequest("UTC", None, start, start + timedelta(days=1))
    request = SeriesRequest(UsageDimension.AGENT, window)
    async with watching(services, request) as updates:
        watcher = Watcher(services, request, updates)
        await watcher.reads()
        await settle(time)
        await pass_time(time, start + timedelta(days=3))
        await nothing_arrives(updates)
        assert computed.count == 1
