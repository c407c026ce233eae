"""The window before a window, worked out by hand around clock changes and months' ends."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.vocabulary import UsageGranularity, UsagePeriod
from trunkline.usage.comparison import changes_at, span_before
from trunkline.usage.windows import QUARTER, WindowRequest, span_of

ZONES = ("UTC", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "America/St_Johns")


def local(zone: str, text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("zone", "period", "now", "begin", "end"),
    [
        ("UTC", UsagePeriod.TODAY, "2026-11-23T15:07", "2026-11-22T00:00", "2026-11-22T15:15"),
        ("UTC", UsagePeriod.TODAY, "2026-11-23T23:59", "2026-11-22T00:00", "2026-11-23T00:00"),
        ("UTC", UsagePeriod.TODAY, "2026-11-23T00:00", "2026-11-22T00:00", "2026-11-22T00:15"),
        (
            "UTC",
            UsagePeriod.LAST_7_DAYS,
            "2026-11-23T15:07",
            "2026-11-10T00:00",
            "2026-11-16T15:15",
        ),
        (
            "UTC",
            UsagePeriod.LAST_30_DAYS,
            "2026-11-23T15:07",
            "2026-09-25T00:00",
            "2026-10-24T15:15",
        ),
        # The day before had 25 hours; noon stands beside noon.
        (
            "Europe/Berlin",
            UsagePeriod.TODAY,
            "2026-10-26T11:50",
            "2026-10-25T00:00",
            "2026-10-25T12:00",
        ),
        # 2:30 never came the day before: clocks went from 2:00 to 3:00.
        (
            "Europe/Berlin",
            UsagePeriod.TODAY,
            "2026-03-30T02:20",
            "2026-03-29T00:00",
            "2026-03-29T03:30",
        ),
        (
            "UTC",
            UsagePeriod.MONTH_TO_DATE,
            "2026-11-23T15:07",
            "2026-10-01T00:00",
            "2026-10-23T15:15",
        ),
        # February ends before the 31st: all of it counts.
        (
            "UTC",
            UsagePeriod.MONTH_TO_DATE,
            "2026-03-31T15:07",
            "2026-02-01T00:00",
            "2026-03-01T00:00",
        ),
        (
            "UTC",
            UsagePeriod.MONTH_TO_DATE,
            "2026-01-01T00:00",
            "2025-12-01T00:00",
            "2025-12-01T00:15",
        ),
        # Apia had no 30 December 2011: the day before the 31st was the 29th.
        (
            "Pacific/Apia",
            UsagePeriod.TODAY,
            "2011-12-31T10:00",
            "2011-12-29T00:00",
            "2011-12-29T10:15",
        ),
    ],
)
def test_a_period_is_compared_up_to_the_same_local_time(
    zone: str, period: UsagePeriod, now: str, begin: str, end: str
) -> None:
    found = span_before(WindowRequest(zone, period), local(zone, now))
    assert found.start == local(zone, begin)
    assert found.end == local(zone, end)


def test_a_range_is_compared_with_the_one_that_ends_where_it_begins() -> None:
    start = datetime(2026, 11, 23, tzinfo=UTC)
    request = WindowRequest("UTC", None, start, start + timedelta(days=2))
    found = span_before(request, start)
    assert (found.start, found.end) == (start - timedelta(days=2), start)
    assert changes_at(request, start) is None


@given(
    st.sampled_from(ZONES),
    st.sampled_from(UsagePeriod),
    st.integers(631_152_000, 2_051_222_400).map(lambda at: datetime.fromtimestamp(at, UTC)),
)
def test_the_window_before_ends_before_the_present_one_begins(
    zone: str, period: UsagePeriod, now: datetime
) -> None:
    request = WindowRequest(zone, period, granularity=UsageGranularity.QUARTER_HOUR)
    present, before = span_of(request, now), span_before(request, now)
    assert before.start < before.end <= present.start
    assert before.start.timestamp() % 900 == before.end.timestamp() % 900 == 0
    moved = changes_at(request, now)
    assert moved is not None
    assert now < moved <= now + QUARTER
    # Nothing but the quarter hour decides.
    assert span_before(request, moved - timedelta(microseconds=1)) == before
