"""Windows of time and their buckets, in any time zone.

A bucket begins at a local boundary and ends at the next. Since 1980 every zone's offset is a
multiple of 15 minutes, so every boundary lies on a quarter hour of UTC, where rollups begin.

- A local day runs from its first instant to the next day's: 23, 24 or 25 hours, 23.5 or 24.5 at
  Lord Howe; a day that a zone skipped (30 December 2011 in Apia) has no bucket.
- An hour begins where local minutes are 0. Lord Howe sets its clock by half an hour: forward from
  2:00 to 2:30, back from 2:00 to 1:30. Either way 90 minutes lie between two full hours, 1:00 to
  3:00 in spring and 1:00 to 2:00 in autumn, and they are one bucket.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from db.vocabulary import UsageGranularity, UsagePeriod
from trunkline.errors import BadRequest

QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
MOST_POINTS = 50_000
_LONGEST_KEPT = timedelta(days=32)
EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)
# A year before the calendar ends, so that the day after a window's last always exists.
LATEST = datetime(9999, 1, 1, tzinfo=UTC)
_HOURLY_UP_TO = timedelta(days=2)
DAYS = {UsagePeriod.TODAY: 1, UsagePeriod.LAST_7_DAYS: 7, UsagePeriod.LAST_30_DAYS: 30}


@dataclass(frozen=True, slots=True)
class WindowRequest:
    """Which time: a period that follows the present, or a fixed range (`start` in, `end` out)."""

    timezone: str
    period: UsagePeriod | None = None
    start: datetime | None = None
    end: datetime | None = None
    granularity: UsageGranularity | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` inclusive to `end` exclusive, in UTC, both on a quarter hour."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Window:
    """`start` inclusive, `end` exclusive; the buckets cover it without a gap, oldest first."""

    start: datetime
    end: datetime
    timezone: str
    granularity: UsageGranularity
    bucket_starts: tuple[datetime, ...]

    @property
    def bucket_ends(self) -> tuple[datetime, ...]:
        """The end of each bucket."""
        return (*self.bucket_starts[1:], self.end)


def window_of(request: WindowRequest, now: datetime) -> Window:
    """The window that is asked for, as it lies now. Raises `BadRequest`."""
    zone = zone_of(request.timezone)
    span = span_of(request, now)
    granularity = request.granularity or _default(span, zone)
    _check_length(span, granularity)
    buckets = _buckets(span, granularity, zone)
    if len(buckets) > MOST_POINTS:
        raise _too_many()
    return Window(
        start=span.start,
        end=span.end,
        timezone=request.timezone,
        granularity=granularity,
        bucket_starts=buckets,
    )


def span_of(request: WindowRequest, now: datetime) -> Span:
    """Where the window begins and ends, whatever its buckets. Raises `BadRequest`."""
    zone = zone_of(request.timezone)
    if request.period is not None:
        return _period(request.period, request.granularity, zone, now)
    if request.start is None or request.end is None:
        raise BadRequest("window takes exactly one of period and range")
    return checked_span(request.start, request.end)


def checked_span(start: datetime, end: datetime) -> Span:
    """A fixed range, once it is found to be one. Raises `BadRequest`."""
    for name, instant in (("from", start), ("to", end)):
        if not EARLIEST <= instant <= LATEST:
            raise BadRequest(f"{name} must lie between the years {EARLIEST.year} and {LATEST.year}")
        if instant != floor_quarter(instant):
            raise BadRequest(
                f"{name} must lie on a quarter hour: minutes 00, 15, 30 or 45, without seconds"
            )
    if start >= end:
        raise BadRequest("from must lie before to")
    return Span(start, end)


@lru_cache(maxsize=1_000)
def zone_of(name: str) -> ZoneInfo:
    """The zone with this IANA name. Raises `BadRequest`."""
    if name not in _zone_names():
        raise BadRequest(
            f"timezone {name[:64]!r} is unknown: give an IANA name such as Europe/Berlin or UTC"
        )
    return ZoneInfo(name)


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    # What else lies among the machine's zone files is no name that means the same elsewhere:
    # `localtime` is this machine's own, and those under `right/` count leap seconds.
    return frozenset(available_timezones() - {"localtime", "Factory"})


def first_instant(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a local day, in UTC; of a skipped day, that of the next.

    Midnight comes twice on some days: the first counts. Where it never comes (clocks set forward
    across it), the day begins at the change.
    """
    instant = datetime.combine(day, time(), zone).astimezone(UTC)
    while (instant - QUARTER).astimezone(zone).date() == day:
        instant -= QUARTER
    return instant


def days_before(day: date, count: int, zone: ZoneInfo) -> date:
    """The local day `count` days before; days that the zone skipped don't count."""
    for _ in range(count):
        day -= timedelta(days=1)
        if first_instant(day, zone) == first_instant(day + timedelta(days=1), zone):
            day -= timedelta(days=1)
    return day


def today_in(zone: ZoneInfo, now: datetime) -> date:
    """The local day that has begun: where clocks go back across midnight the calendar shows
    yesterday again, and it counts to the new day.
    """
    today = now.astimezone(zone).date()
    tomorrow = today + timedelta(days=1)
    return tomorrow if first_instant(tomorrow, zone) <= now else today


def floor_quarter(instant: datetime) -> datetime:
    """The beginning of the quarter hour that holds an instant."""
    return instant - timedelta(
        minutes=instant.minute % 15, seconds=instant.second, microseconds=instant.microsecond
    )


def _period(
    period: UsagePeriod, granularity: UsageGranularity | None, zone: ZoneInfo, now: datetime
) -> Span:
    today = today_in(zone, now)
    first = (
        today.replace(day=1)
        if period is UsagePeriod.MONTH_TO_DATE
        else days_before(today, DAYS[period] - 1, zone)
    )
    start = first_instant(first, zone)
    if granularity is None:
        hourly = Span(start, _bucket_end(now, UsageGranularity.HOUR, zone, today))
        granularity = _default(hourly, zone)
    return Span(start, _bucket_end(now, granularity, zone, today))


def _bucket_end(
    now: datetime, granularity: UsageGranularity, zone: ZoneInfo, today: date
) -> datetime:
    """The end of the bucket that holds the present."""
    if granularity is UsageGranularity.DAY:
        day = today + timedelta(days=1)
        while (end := first_instant(day, zone)) <= now:
            day += timedelta(days=1)
        return end
    end = floor_quarter(now) + QUARTER
    while granularity is UsageGranularity.HOUR and end.astimezone(zone).minute != 0:
        end += QUARTER
    return end


def _default(span: Span, zone: ZoneInfo) -> UsageGranularity:
    """HOUR up to two days, by the clock or by the calendar: two local days may have 49 hours."""
    calendar = (span.start.astimezone(zone) + _HOURLY_UP_TO).astimezone(UTC)
    longest = max(span.start + _HOURLY_UP_TO, calendar)
    return UsageGranularity.HOUR if span.end <= longest else UsageGranularity.DAY


def _check_length(span: Span, granularity: UsageGranularity) -> None:
    """Refuse by arithmetic what would take long to enumerate."""
    usual = {
        UsageGranularity.QUARTER_HOUR: QUARTER,
        UsageGranularity.HOUR: HOUR,
        UsageGranularity.DAY: timedelta(hours=24),
    }[granularity]
    if (span.end - span.start) // usual > MOST_POINTS:
        raise _too_many()


def _too_many() -> BadRequest:
    return BadRequest(
        f"this window would have more than {MOST_POINTS} points: "
        "ask for a shorter one, or a coarser granularity"
    )


def _buckets(span: Span, granularity: UsageGranularity, zone: ZoneInfo) -> tuple[datetime, ...]:
    if span.end - span.start > _LONGEST_KEPT:
        return (span.start, *_boundaries(span.start, span.end, granularity, zone))
    return _kept_buckets(span, granularity, zone)


@lru_cache(maxsize=32)  # The same for as long as no bucket ends, and 744 instants for a month.
def _kept_buckets(
    span: Span, granularity: UsageGranularity, zone: ZoneInfo
) -> tuple[datetime, ...]:
    return (span.start, *_boundaries(span.start, span.end, granularity, zone))


def _boundaries(
    start: datetime, end: datetime, granularity: UsageGranularity, zone: ZoneInfo
) -> Iterator[datetime]:
    """Where buckets begin between `start` and `end`, both left out."""
    match granularity:
        case UsageGranularity.QUARTER_HOUR:
            instant = start + QUARTER
            while instant < end:
                yield instant
                instant += QUARTER
        case UsageGranularity.HOUR:
            yield from _hours(start, end, zone)
        case UsageGranularity.DAY:
            day = start.astimezone(zone).date() - timedelta(days=1)
            last = start
            while (instant := first_instant(day, zone)) < end:
                if instant > last:
                    yield instant
                    last = instant
                day += timedelta(days=1)


def _hours(start: datetime, end: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    instant = start
    while True:
        here = instant.astimezone(zone)
        after = (instant + HOUR).astimezone(zone)
        if here.minute == 0 and after.minute == 0 and here.utcoffset() == after.utcoffset():
            instant += HOUR
        else:
            # At the beginning, or around a change of the clock: look at each quarter.
            instant += QUARTER
            while instant.astimezone(zone).minute != 0:
                instant += QUARTER
        if instant >= end:
            return
        yield instant
