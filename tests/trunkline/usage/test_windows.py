"""Windows and their buckets, against a slow oracle that walks every quarter hour."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from db.vocabulary import UsageGranularity, UsagePeriod
from trunkline.errors import BadRequest
from trunkline.usage.windows import (
    HOUR,
    MOST_POINTS,
    QUARTER,
    Window,
    WindowRequest,
    first_instant,
    span_of,
    window_of,
    zone_of,
)

DAY, HOURLY, QUARTERLY = (
    UsageGranularity.DAY,
    UsageGranularity.HOUR,
    UsageGranularity.QUARTER_HOUR,
)
# Zones whose clocks or calendars do something that most don't.
HARD_ZONES = [
    "Australia/Lord_Howe",  # half an hour of summer time
    "Antarctica/Troll",  # two hours of it
    "Pacific/Apia",  # no 30 December 2011
    "Pacific/Kwajalein",  # no 21 August 1993
    "Pacific/Kiritimati",  # 14 hours ahead
    "Pacific/Chatham",  # 12:45 ahead
    "America/St_Johns",  # changed its clocks at 00:01
    "America/Sao_Paulo",  # no midnight on the day of change
    "America/Havana",  # midnight twice
    "Africa/Cairo",
    "Africa/Casablanca",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Pyongyang",
    "Europe/Berlin",
    "Europe/Dublin",
    "UTC",
]
NOW = datetime(2026, 11, 23, 15, 7, 30, tzinfo=UTC)


def utc(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0
) -> datetime:
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


def fixed(
    zone: str, start: datetime, end: datetime, granularity: UsageGranularity | None = None
) -> Window:
    return window_of(WindowRequest(zone, None, start, end, granularity), NOW)


def period(
    zone: str, which: UsagePeriod, now: datetime, granularity: UsageGranularity | None = None
) -> Window:
    return window_of(WindowRequest(zone, which, granularity=granularity), now)


def lengths(window: Window) -> list[timedelta]:
    return [
        end - start
        for start, end in zip(window.bucket_starts, window.bucket_ends, strict=True)
    ]  # fmt: skip


def boundaries(
    start: datetime, end: datetime, zone: str, granularity: UsageGranularity
) -> list[datetime]:
    """Where buckets begin, found by looking at every quarter hour."""
    here = ZoneInfo(zone)
    # A day begins when the calendar first shows it: it may show the day before once more.
    latest = (start - timedelta(days=2)).astimezone(here).date()
    instant = start - timedelta(days=2)
    found = []
    while instant < end:
        local = instant.astimezone(here)
        new_day = local.date() > latest
        latest = max(latest, local.date())
        begins = {QUARTERLY: True, HOURLY: local.minute == 0, DAY: new_day}[granularity]
        if instant == start or (begins and instant > start):
            found.append(instant)
        instant += QUARTER
    return found


quarters = st.integers(0, int(timedelta(days=365 * 60) / QUARTER)).map(
    lambda count: utc(1980, 1, 1) + count * QUARTER
)


@settings(max_examples=150, deadline=None)
@given(
    zone=st.sampled_from(HARD_ZONES) | st.sampled_from(sorted(available_timezones())),
    start=quarters,
    count=st.integers(1, 4 * 24 * 5),
    granularity=st.sampled_from(UsageGranularity),
)
@example(zone="Pacific/Apia", start=utc(2011, 12, 28), count=480, granularity=DAY)
@example(zone="Pacific/Kwajalein", start=utc(1993, 8, 19), count=480, granularity=DAY)
@example(zone="America/St_Johns", start=utc(2006, 10, 27), count=480, granularity=DAY)
@example(zone="America/Sao_Paulo", start=utc(2018, 11, 2), count=480, granularity=DAY)
@example(zone="America/Havana", start=utc(2026, 10, 30), count=480, granularity=DAY)
@example(zone="Australia/Lord_Howe", start=utc(2026, 4, 3), count=480, granularity=HOURLY)
@example(zone="Australia/Lord_Howe", start=utc(2026, 10, 2), count=480, granularity=HOURLY)
@example(zone="Antarctica/Troll", start=utc(2026, 3, 28), count=480, granularity=HOURLY)
@example(zone="Asia/Pyongyang", start=utc(2015, 8, 13), count=480, granularity=HOURLY)
def test_buckets_cover_the_window_and_begin_at_local_boundaries(
    zone: str, start: datetime, count: int, granularity: UsageGranularity
) -> None:
    if zone not in {"localtime", "Factory"}:
        end = start + count * QUARTER
        window = fixed(zone, start, end, granularity)
        assert list(window.bucket_starts) == boundaries(start, end, zone, granularity)
        assert window.bucket_ends[-1] == end
        assert all(length > timedelta(0) for length in lengths(window))


@settings(max_examples=60, deadline=None)
@given(
    zone=st.sampled_from(HARD_ZONES),
    now=st.datetimes(datetime(1981, 1, 1), datetime(2040, 1, 1)).map(  # noqa: DTZ001  # made aware
        lambda naive: naive.replace(tzinfo=UTC)
    ),
    which=st.sampled_from(UsagePeriod),
    granularity=st.none() | st.sampled_from(UsageGranularity),
)
# At 23:30 by the clock, on the day that began before the clock went back.
@example("America/St_Johns", utc(2006, 10, 29, 3), UsagePeriod.TODAY, None)
@example("Pacific/Apia", utc(2011, 12, 31, 3), UsagePeriod.LAST_7_DAYS, DAY)
def test_a_period_ends_with_the_bucket_that_holds_the_present(
    zone: str, now: datetime, which: UsagePeriod, granularity: UsageGranularity | None
) -> None:
    window = period(zone, which, now, granularity)
    assert window.bucket_starts[-1] <= now < window.end
    # As a fixed range it has the same buckets: nothing about a period but its ends is special.
    same = fixed(zone, window.start, window.end, window.granularity)
    assert same.bucket_starts == window.bucket_starts
    shown = now.astimezone(ZoneInfo(zone)).date()
    begun = [
        begins
        for offset in (-1, 0, 1)
        if (begins := first_instant(shown + timedelta(days=offset), ZoneInfo(zone))) <= now
    ]
    if which is UsagePeriod.TODAY:
        assert window.start == begun[-1], "of the days that have begun, the last"
    days = {UsagePeriod.TODAY: 1, UsagePeriod.LAST_7_DAYS: 7, UsagePeriod.LAST_30_DAYS: 30}
    if which in days and window.granularity is DAY:
        assert len(window.bucket_starts) == days[which]


def test_days_have_as_many_hours_as_they_have() -> None:
    berlin = fixed("Europe/Berlin", utc(2026, 3, 27, 23), utc(2026, 3, 30, 22), DAY)
    assert lengths(berlin) == [24 * HOUR, 23 * HOUR, 24 * HOUR]
    autumn = fixed("Europe/Berlin", utc(2026, 10, 24, 22), utc(2026, 10, 25, 23), DAY)
    assert lengths(autumn) == [25 * HOUR]
    lord_howe = fixed("Australia/Lord_Howe", utc(2026, 10, 3, 13, 30), utc(2026, 10, 4, 13), DAY)
    assert lengths(lord_howe) == [23.5 * HOUR]
    apia = fixed("Pacific/Apia", utc(2011, 12, 29, 10), utc(2011, 12, 31, 10), DAY)
    assert lengths(apia) == [24 * HOUR, 24 * HOUR]


def test_an_hour_is_ninety_minutes_where_a_clock_is_set_by_half_of_one() -> None:
    spring = fixed("Australia/Lord_Howe", utc(2026, 10, 3, 13, 30), utc(2026, 10, 3, 18), HOURLY)
    assert lengths(spring) == [HOUR, 1.5 * HOUR, HOUR, HOUR]
    autumn = fixed("Australia/Lord_Howe", utc(2026, 4, 4, 13), utc(2026, 4, 4, 17, 30), HOURLY)
    assert lengths(autumn) == [HOUR, 1.5 * HOUR, HOUR, HOUR]


def test_hours_begin_where_local_minutes_are_zero() -> None:
    kathmandu = fixed("Asia/Kathmandu", utc(2026, 1, 1), utc(2026, 1, 1, 3), HOURLY)
    assert kathmandu.bucket_starts == (
        utc(2026, 1, 1), utc(2026, 1, 1, 0, 15), utc(2026, 1, 1, 1, 15), utc(2026, 1, 1, 2, 15)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "day", "begins"),
    [
        ("America/Sao_Paulo", date(2018, 11, 4), utc(2018, 11, 4, 3)),  # at 01:00
        ("America/Havana", date(2026, 11, 1), utc(2026, 11, 1, 4)),  # the first of two midnights
        ("America/St_Johns", date(2006, 10, 29), utc(2006, 10, 29, 2, 30)),
        ("Pacific/Apia", date(2011, 12, 31), utc(2011, 12, 30, 10)),
    ],
)
def test_a_day_begins_at_its_first_instant(zone: str, day: date, begins: datetime) -> None:
    assert first_instant(day, ZoneInfo(zone)) == begins


def test_the_default_is_hours_up_to_two_days() -> None:
    start = utc(2026, 11, 1)
    assert fixed("UTC", start, start + 48 * HOUR).granularity is HOURLY
    assert fixed("UTC", start, start + 48 * HOUR + QUARTER).granularity is DAY
    # Two days of Berlin's calendar, of which one has 25 hours.
    two_days = fixed("Europe/Berlin", utc(2026, 10, 24, 22), utc(2026, 10, 26, 23))
    assert two_days.granularity is HOURLY
    assert period("UTC", UsagePeriod.TODAY, NOW).granularity is HOURLY
    assert period("UTC", UsagePeriod.LAST_7_DAYS, NOW).granularity is DAY


def test_a_month_to_date_turns_to_days_when_its_third_day_begins() -> None:
    last = utc(2026, 11, 2, 23, 59)
    assert period("UTC", UsagePeriod.MONTH_TO_DATE, last).granularity is HOURLY
    # The instant at which the window held before ends: whoever watches looks again just then.
    turn = period("UTC", UsagePeriod.MONTH_TO_DATE, last).end
    assert turn == utc(2026, 11, 3)
    assert period("UTC", UsagePeriod.MONTH_TO_DATE, turn).granularity is DAY


def test_a_period_counts_local_days() -> None:
    seven = period("Asia/Kolkata", UsagePeriod.LAST_7_DAYS, NOW)
    assert (seven.start, seven.end) == (utc(2026, 11, 16, 18, 30), utc(2026, 11, 23, 18, 30))
    today = period("Asia/Kolkata", UsagePeriod.TODAY, NOW)
    assert (today.start, today.end) == (utc(2026, 11, 22, 18, 30), utc(2026, 11, 23, 15, 30))
    month = period("America/New_York", UsagePeriod.MONTH_TO_DATE, NOW)
    assert month.start == utc(2026, 11, 1, 4)


@pytest.mark.parametrize(
    ("start", "end", "says"),
    [
        (utc(2026, 1, 1, 0, 1), utc(2026, 1, 2), "from must lie on a quarter hour"),
        (utc(2026, 1, 1), utc(2026, 1, 2, 0, 0, 1), "to must lie on a quarter hour"),
        (utc(2026, 1, 2), utc(2026, 1, 2), "from must lie before to"),
        (utc(2026, 1, 3), utc(2026, 1, 2), "from must lie before to"),
        (utc(1979, 12, 31, 23, 45), utc(2026, 1, 2), "from must lie between the years 1980"),
        (utc(2026, 1, 1), utc(9999, 12, 31, 23, 45), "to must lie between the years 1980"),
    ],
)
def test_a_range_that_is_none_is_refused(start: datetime, end: datetime, says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        fixed("UTC", start, end)


@pytest.mark.parametrize("granularity", UsageGranularity)
def test_too_many_points_are_refused_before_they_are_counted_out(
    granularity: UsageGranularity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.usage.windows._boundaries", None)
    with pytest.raises(BadRequest, match=str(MOST_POINTS)):
        fixed("Europe/Berlin", utc(1980, 1, 1), utc(9999, 1, 1), granularity)


def test_the_longest_window_has_as_many_points_as_are_allowed() -> None:
    longest = fixed("UTC", utc(2026, 1, 1), utc(2026, 1, 1) + MOST_POINTS * QUARTER, QUARTERLY)
    assert len(longest.bucket_starts) == MOST_POINTS
    with pytest.raises(BadRequest, match=str(MOST_POINTS)):
        fixed("UTC", utc(2026, 1, 1), longest.end + QUARTER, QUARTERLY)
    with pytest.raises(BadRequest, match=str(MOST_POINTS)):
        # Clipped at both ends, so that it has a bucket more than whole hours would give it.
        fixed("Asia/Kathmandu", utc(2026, 1, 1), utc(2026, 1, 1) + MOST_POINTS * HOUR, HOURLY)


def test_a_span_has_no_buckets_to_be_too_many() -> None:
    request = WindowRequest("UTC", None, utc(1980, 1, 1), utc(2400, 1, 1), QUARTERLY)
    assert span_of(request, NOW).end == utc(2400, 1, 1)


@pytest.mark.parametrize(
    "name",
    ["", "Mars/Olympus", "europe/berlin", " UTC", "UTC\n", "../etc/passwd", "/etc/passwd", "Europe",
     "right/Europe/Berlin", "posix/Europe/Berlin", "localtime", "zone.tab", "a\0b", "\ud800",
     "x" * 10_000, "+01:00"],
)  # fmt: skip
def test_a_zone_that_is_none_is_refused_with_what_to_give(name: str) -> None:
    with pytest.raises(BadRequest, match="give an IANA name such as Europe/Berlin"):
        zone_of(name)


def test_every_zone_lies_on_quarter_hours_since_1980() -> None:
    for name in available_timezones():
        zone = ZoneInfo(name)
        for year in range(1980, 2041):
            for month in (1, 4, 7, 10):
                offset = datetime(year, month, 1, tzinfo=zone).utcoffset()
                assert offset is not None
                assert offset % QUARTER == timedelta(0), name
