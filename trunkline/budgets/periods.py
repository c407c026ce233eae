"""The period of a budget that holds an instant: a local day, week or calendar month.

A period runs from the first instant of its first local day to that of the day after its last, so
clock changes make it longer or shorter, and a day that a zone skipped has none.
"""

from datetime import date, datetime, timedelta

from db.vocabulary import BudgetPeriod
from trunkline.usage.windows import Span, first_instant, today_in, zone_of

_MOMENT = timedelta(microseconds=1)


def period_at(period: BudgetPeriod, timezone: str, instant: datetime) -> Span:
    """The period that holds this instant, in UTC. Raises `BadRequest` for an unknown zone.

    A week is that of ISO 8601, which begins on Monday.
    """
    zone = zone_of(timezone)
    first, following = _days(period, today_in(zone, instant))
    return Span(first_instant(first, zone), first_instant(following, zone))


def period_before(period: BudgetPeriod, timezone: str, span: Span) -> Span:
    """The period that ends where `span` begins."""
    return period_at(period, timezone, span.start - _MOMENT)


def _days(period: BudgetPeriod, today: date) -> tuple[date, date]:
    """The first day of the period that holds a day, and the first of the next."""
    match period:
        case BudgetPeriod.DAY:
            return today, today + timedelta(days=1)
        case BudgetPeriod.WEEK:
            monday = today - timedelta(days=today.weekday())
            return monday, monday + timedelta(days=7)
        case BudgetPeriod.CALENDAR_MONTH:
            first = today.replace(day=1)
            return first, (first + timedelta(days=31)).replace(day=1)
