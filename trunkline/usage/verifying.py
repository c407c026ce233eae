"""Verifying usage: whether the rollups, which every total is read from, are what the events sum up
to; and putting them right.

Each day is compared in one snapshot, in which events and rollups always agree, so that a server
may record meanwhile. What retention has deleted events of is left alone: it can't be recomputed.
Mending takes the write lock for an hour's usage at a time, so that recorders wait for no more.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from db import usage_verify as store
from db.columns import from_microseconds
from db.engine import Connection
from db.rollup_levels import DAY, HOUR
from db.usage import advance_clock
from db.usage_verify import Difference, Totals
from trunkline.events import Event, UsageRecorded
from trunkline.services import Services

MOST_LISTED = 100
"""Differences that a report lists; the others are counted."""

Mend = Callable[[Connection, int], Awaitable[int]]


@dataclass(slots=True)
class VerifyReport:
    """How far it is, and what was found and mended up to there. Filled while it runs."""

    days: int = 0
    differences: int = 0
    mended: int = 0
    listed: list[Difference] = field(default_factory=list)
    # The hour that is being compared, and the last that has events; None where it is no date.
    hour: datetime | None = None
    last: datetime | None = None

    @property
    def left_out(self) -> int:
        """Differences that were found and are not listed."""
        return self.differences - len(self.listed)


async def _nothing() -> None:
    pass


async def verify_usage(
    services: Services,
    *,
    repair: bool = False,
    report: VerifyReport | None = None,
    on_hour: Callable[[], Awaitable[None]] = _nothing,
    on_mended: Callable[[], Awaitable[None]] = _nothing,
) -> VerifyReport:
    """Compare all days whose events are kept, and with `repair` mend what differs.

    `on_hour` is awaited after each hour that was compared, within a transaction that only reads;
    `on_mended` after each that was mended, between transactions. Stopped anywhere it has done no
    harm: run again, it finds what is left.
    """
    report = VerifyReport() if report is None else report
    async with services.database.read() as connection:
        report.last = moment_of(await store.last_moment(connection))
    since: int | None = None
    while True:
        async with services.database.read() as connection:
            # Anew for each day: events may expire meanwhile.
            kept = await store.kept_since(connection)
            first = await store.next_hour(connection, kept if since is None else max(kept, since))
            if first is None:
                return report
            day = first // DAY * DAY
            hours = set()
            async for difference in _compared(connection, day, report, on_hour):
                hours.add(difference.key.bucket_start // HOUR * HOUR)
                report.differences += 1
                if len(report.listed) < MOST_LISTED:
                    report.listed.append(difference)
        report.days += 1
        if repair and hours:
            for hour in sorted(hours):
                report.mended += await _mend(services, store.mend_hour, hour)
                await on_mended()
            report.mended += await _mend(services, store.mend_day, day)
            await on_mended()
        since = day + DAY


def moment_of(microseconds: int | None) -> datetime | None:
    """The date that is stored as so many microseconds, where it is one."""
    try:
        return None if microseconds is None else from_microseconds(microseconds)
    except OverflowError:
        return None


async def _compared(
    connection: Connection,
    day: int,
    report: VerifyReport,
    on_hour: Callable[[], Awaitable[None]],
) -> AsyncIterator[Difference]:
    daily = Totals(store.DAILY)
    hour = await store.next_hour(connection, day)
    while hour is not None and hour < day + DAY:
        report.hour = moment_of(hour)
        async for difference in store.hour_differences(connection, hour, daily):
            yield difference
        await on_hour()
        hour = await store.next_hour(connection, hour + HOUR)
    async for difference in store.day_differences(connection, day, daily):
        yield difference


async def _mend(services: Services, mend: Mend, begin: int) -> int:
    """In a transaction of its own, which reads the events again under the write lock."""

    async def work(connection: Connection) -> tuple[int, list[Event]]:
        await store.hold_rollups(connection)
        if begin < await store.kept_since(connection):
            return 0, []  # Its events have expired since.
        count = await mend(connection, begin)
        if not count:
            return 0, []
        clock = await advance_clock(connection, services.clock())
        return count, [UsageRecorded(clock.as_of)]

    return await services.commit(work)
