"""Windows, their buckets and the windows before them, found by walking a zone's calendar quarter
hour by quarter hour: slow, plain, and right on sight. It shares nothing with what it checks.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from db.vocabulary import UsageGranularity, UsagePeriod
from trunkline.usage.windows import WindowRequest

QUARTER = timedelta(minutes=15)
DAY = timedelta(days=1)


def clock_changes(zone: str) -> list[datetime]:
    """Every instant from 1981 to 2036 at which the zone's offset changes."""
    here, minute = ZoneInfo(zone), timedelta(minutes=1)
    found = []
    instant, last = datetime(1981, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
    while instant < last:
        begin, instant = instant, instant + 7 * DAY
        if begin.astimezone(here).utcoffset() != instant.astimezone(here).utcoffset():
            until = instant
            while until - begin > minute:
                middle = begin + (until - begin) // 2
                if middle.astimezone(here).utcoffset() == begin.astimezone(here).utcoffset():
                    begin = middle
                else:
                    until = middle
            found.append(begin.replace(second=0, microsecond=0) + minute)
    return found


class _Quarter(NamedTuple):
    """A quarter hour: where it begins, what clock and calendar show then, and which day it is.

    The day is the latest that the calendar has shown by then: one that comes again isn't another.
    """

    begins: datetime
    shown: datetime
    day: date


@lru_cache(maxsize=8)
def _walk(zone: str, begin: datetime, end: datetime) -> Sequence[_Quarter]:
    here = ZoneInfo(zone)
    instant = begin.replace(minute=0, second=0, microsecond=0)
    latest = date.min
    found = []
    while instant < end:
        shown = instant.astimezone(here)
        latest = max(latest, shown.date())
        found.append(_Quarter(instant, shown, latest))
        instant += QUARTER
    return found


def window(
    request: WindowRequest, now: datetime
) -> tuple[datetime, datetime, UsageGranularity, list[datetime]]:
    """Begin, end, granularity, and where each bucket begins."""
    granularity = request.granularity
    if request.period is None:
        assert request.start is not None
        assert request.end is not None
        start, end = request.start, request.end
        if granularity is None:
            short = end - start <= 2 * DAY
            granularity = UsageGranularity.HOUR if short else UsageGranularity.DAY
        quarters = _walk(request.timezone, start - 3 * DAY, end)
    else:
        quarters = _walk(request.timezone, now - 40 * DAY, now + 4 * DAY)
        days = _days(quarters, now)
        first = _first_day(request.period, days)
        start = next(quarter.begins for quarter in quarters if quarter.day == first)
        if granularity is None:
            short = len([day for day in days if day >= first]) <= 2
            granularity = UsageGranularity.HOUR if short else UsageGranularity.DAY
        end = next(
            quarter.begins
            for last, quarter in pairwise(quarters)
            if quarter.begins > now and _begins_bucket(last, quarter, granularity)
        )
    starts = [start]
    for last, quarter in pairwise(quarters):
        if start < quarter.begins < end and _begins_bucket(last, quarter, granularity):
            starts.append(quarter.begins)
    return start, end, granularity, starts


def _begins_bucket(last: _Quarter, quarter: _Quarter, granularity: UsageGranularity) -> bool:
    return {
        UsageGranularity.QUARTER_HOUR: True,
        UsageGranularity.HOUR: quarter.shown.minute == 0,
        UsageGranularity.DAY: quarter.day != last.day,
    }[granularity]


def _days(quarters: Sequence[_Quarter], now: datetime) -> list[date]:
    """The days that have begun, today last. The first may have begun before the walk did."""
    return sorted({quarter.day for quarter in quarters if quarter.begins <= now})


def _first_day(period: UsagePeriod, days: Sequence[date]) -> date:
    today = days[-1]
    return {
        UsagePeriod.TODAY: today,
        UsagePeriod.LAST_7_DAYS: days[-7],
        UsagePeriod.LAST_30_DAYS: days[-30],
        UsagePeriod.MONTH_TO_DATE: next(
            day for day in days if (day.year, day.month) == (today.year, today.month)
        ),
    }[period]


def window_before(
    request: WindowRequest, start: datetime, end: datetime, now: datetime
) -> tuple[datetime, datetime]:
    """What the window is compared with: begin and end."""
    if request.period is None:
        return start - (end - start), start
    quarters = _walk(request.timezone, now - 80 * DAY, now + 4 * DAY)
    days = _days(quarters, now)
    today = days[-1]

    def begin_of(day: date) -> datetime:
        """Of a day that was skipped, the begin of the next."""
        return next(quarter.begins for quarter in quarters if quarter.day >= day)

    if request.period is UsagePeriod.MONTH_TO_DATE:
        month = today.replace(day=1)
        first = (month - DAY).replace(day=1)
        day = first + (today - month)
        if day >= month:
            return begin_of(first), begin_of(month)
    else:
        count = {
            UsagePeriod.TODAY: 1,
            UsagePeriod.LAST_7_DAYS: 7,
            UsagePeriod.LAST_30_DAYS: 30,
        }[request.period]
        first, day = days[-2 * count], days[-1 - count]
    # The quarter hour that holds the present counts whole, and so does its like of that day.
    passed = next(quarter for quarter in quarters if quarter.begins > now)
    if passed.day > today:
        return begin_of(first), begin_of(day + DAY)
    until = _same_time(quarters, day, passed)
    return begin_of(first), min(max(until, begin_of(day) + QUARTER), begin_of(day + DAY))


def _same_time(quarters: Sequence[_Quarter], day: date, passed: _Quarter) -> datetime:
    """When the clock first showed that time on a day; where it never did, when it would have, had
    it not been set forward.
    """
    wanted = (day, passed.shown.time())
    last = quarters[0]
    for quarter in quarters:
        shown = (quarter.shown.date(), quarter.shown.time())
        if shown == wanted:
            return quarter.begins
        if shown > wanted:
            naive = datetime.combine(*wanted)
            return last.begins + (naive - last.shown.replace(tzinfo=None))
        last = quarter
    raise AssertionError("the walk goes on to after today")
