"""The window before a window: what its totals are compared with.

A range is compared with the range of the same length that ends where it begins. A period is
compared with the one before it up to the same local time, so that a day that is half over stands
beside half a day: today with yesterday, seven days with the seven before, this month so far with
the month before so far. Where the month before is too short, all of it counts.
"""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from db.vocabulary import UsagePeriod
from trunkline.usage.windows import (
    DAYS,
    QUARTER,
    Span,
    WindowRequest,
    days_before,
    first_instant,
    floor_quarter,
    span_of,
    today_in,
    zone_of,
)

_DAY = timedelta(days=1)


def span_before(request: WindowRequest, now: datetime) -> Span:
    """What the window that is asked for is compared with. Raises `BadRequest`."""
    if request.period is None:
        span = span_of(request, now)
        return Span(span.start - (span.end - span.start), span.start)
    zone = zone_of(request.timezone)
    today = today_in(zone, now)
    if request.period is UsagePeriod.MONTH_TO_DATE:
        return _month_before(today, zone, now)
    days = DAYS[request.period]
    first = days_before(today, 2 * days - 1, zone)
    return Span(
        first_instant(first, zone), _same_time(days_before(today, days, zone), today, zone, now)
    )


def changes_at(request: WindowRequest, now: datetime) -> datetime | None:
    """When the window before changes by the passing of time alone; None: never."""
    return None if request.period is None else floor_quarter(now) + QUARTER


def _month_before(today: date, zone: ZoneInfo, now: datetime) -> Span:
    this = today.replace(day=1)
    first = (this - _DAY).replace(day=1)
    day = first + (today - this)
    start = first_instant(first, zone)
    if day >= this:
        return Span(start, first_instant(this, zone))
    return Span(start, _same_time(day, today, zone, now))


def _same_time(day: date, today: date, zone: ZoneInfo, now: datetime) -> datetime:
    """On an earlier day, the end of the quarter hour that holds the present today."""
    begin, end = first_instant(day, zone), first_instant(day + _DAY, zone)
    passed = floor_quarter(now) + QUARTER
    if passed >= first_instant(today + _DAY, zone):
        return end
    clock = datetime.combine(day, passed.astimezone(zone).time().replace(fold=0), zone).astimezone(
        UTC
    )
    # On a day whose clocks change, that time may come twice (the first counts) or never.
    return min(max(floor_quarter(clock), begin + QUARTER), end)
