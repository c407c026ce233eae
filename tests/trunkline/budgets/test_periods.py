"""Periods of budgets: local days, weeks and months, whatever the clocks do."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.vocabulary import BudgetPeriod
from trunkline.budgets.periods import period_at, period_before
from trunkline.errors import BadRequest
from trunkline.usage.windows import Span

ODD_ZONES = (
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "America/St_Johns",
    "America/Havana",
    "America/Sao_Paulo",
    "Europe/Berlin",
    "UTC",
)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]  # the parts of an instant


@pytest.mark.parametrize(
    ("period", "zone", "instant", "start", "end"),
    [
        # A plain day, and one of 25 hours.
        (BudgetPeriod.DAY, "Europe/Berlin", utc(2026, 11, 23, 15), (22, 23), (23, 23)),
        # Lord Howe goes back by half an hour on 5 April 2026: the day has 24.5 hours.
        (
            BudgetPeriod.DAY,
            "Australia/Lord_Howe",
            utc(2026, 4, 5, 3),
            utc(2026, 4, 4, 13),
            utc(2026, 4, 5, 13, 30),
        ),
        # Apia had no 30 December 2011: the 29th is followed by the 31st.
        (
            BudgetPeriod.DAY,
            "Pacific/Apia",
            utc(2011, 12, 30, 9, 59),
            utc(2011, 12, 29, 10),
            utc(2011, 12, 30, 10),
        ),
        (
            BudgetPeriod.DAY,
            "Pacific/Apia",
            utc(2011, 12, 30, 10),
            utc(2011, 12, 30, 10),
            utc(2011, 12, 31, 10),
        ),
        # That week in Apia has six days.
        (
            BudgetPeriod.WEEK,
            "Pacific/Apia",
            utc(2011, 12, 30, 10),
            utc(2011, 12, 26, 10),
            utc(2012, 1, 1, 10),
        ),
        # Sunday evening in New York is Monday in UTC, and still last week there.
        (
            BudgetPeriod.WEEK,
            "America/New_York",
            utc(2026, 11, 23, 1),
            utc(2026, 11, 16, 5),
            utc(2026, 11, 23, 5),
        ),
        # A month that ends with summer time.
        (
            BudgetPeriod.CALENDAR_MONTH,
            "Europe/Berlin",
            utc(2026, 10, 31, 22, 59),
            utc(2026, 9, 30, 22),
            utc(2026, 10, 31, 23),
        ),
        (
            BudgetPeriod.CALENDAR_MONTH,
            "UTC",
            utc(2026, 12, 31, 23),
            utc(2026, 12, 1),
            utc(2027, 1, 1),
        ),
    ],
)
def test_a_period_runs_from_first_instant_to_first_instant(
    period: BudgetPeriod,
    zone: str,
    instant: datetime,
    start: datetime | tuple[int, int],
    end: datetime | tuple[int, int],
) -> None:
    def full(one: datetime | tuple[int, int]) -> datetime:
        return utc(2026, 11, *one) if isinstance(one, tuple) else one

    assert period_at(period, zone, instant) == Span(full(start), full(end))


@given(
    period=st.sampled_from(list(BudgetPeriod)),
    zone=st.sampled_from(ODD_ZONES),
    instant=st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)),  # noqa: DTZ001  # UTC below
)
@settings(deadline=None)
def test_periods_follow_each_other_without_a_gap(
    period: BudgetPeriod, zone: str, instant: datetime
) -> None:
    moment = instant.replace(tzinfo=UTC)
    span = period_at(period, zone, moment)
    assert span.start <= moment < span.end
    for other in (span.start, span.end - timedelta(microseconds=1)):
        assert period_at(period, zone, other) == span
    assert period_before(period, zone, span).end == span.start
    local = span.start.astimezone(ZoneInfo(zone))
    if period is BudgetPeriod.WEEK and zone != "Pacific/Apia":
        assert local.weekday() == 0
    if period is BudgetPeriod.CALENDAR_MONTH:
        assert local.day == 1


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(BadRequest, match="IANA"):
        period_at(BudgetPeriod.DAY, "Mars/Olympus", utc(2026, 1, 1))
