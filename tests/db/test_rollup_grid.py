"""Buckets of one length are read as a grid, and only those."""

from datetime import UTC, datetime, timedelta

import pytest

from db.columns import to_microseconds
from db.rollup_grid import grid_of
from db.rollup_levels import levels_for
from db.vocabulary import UsageGranularity
from trunkline.usage.windows import WindowRequest, window_of

LEVELS = levels_for(frozenset({"agent"}))
ZONES = ("UTC", "America/New_York", "Asia/Kathmandu", "Asia/Kolkata", "Australia/Lord_Howe")
NOW = datetime(2026, 11, 23, 15, 20, tzinfo=UTC)


def hours(begin: datetime, count: int) -> list[datetime]:
    return [begin + timedelta(hours=number) for number in range(count)]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("granularity", UsageGranularity)
def test_every_rollup_falls_into_its_bucket(zone: str, granularity: UsageGranularity) -> None:
    begin = datetime(2026, 11, 2, 7, 15, tzinfo=UTC)
    request = WindowRequest(
        zone, start=begin, end=begin + timedelta(days=9), granularity=granularity
    )
    window = window_of(request, NOW + timedelta(days=30))
    grid = grid_of(window.bucket_starts, window.end)
    assert grid is not None
    ends = [*window.bucket_starts[1:], window.end]
    for place, (start, end) in enumerate(zip(window.bucket_starts, ends, strict=True)):
        first, last = to_microseconds(start), to_microseconds(end) - 1
        assert (first - grid.origin) // grid.width == place
        assert (last - grid.origin) // grid.width == place
    at = to_microseconds(window.start)
    for level, stretch in grid.runs(LEVELS):
        assert stretch.begin == at
        assert grid.width % level.grain == 0
        assert (stretch.begin - grid.origin) % level.grain == 0
        at = stretch.end
    assert at == to_microseconds(window.end)


def test_an_hour_of_half_an_hour_is_no_grid() -> None:
    """Lord Howe's clock moves by half an hour: one of its hours has 90 minutes."""
    begin = datetime(2026, 4, 3, 13, 0, tzinfo=UTC)
    request = WindowRequest(
        "Australia/Lord_Howe",
        start=begin,
        end=begin + timedelta(days=4),
        granularity=UsageGranularity.HOUR,
    )
    window = window_of(request, NOW)
    assert grid_of(window.bucket_starts, window.end) is None


def test_days_around_a_change_of_the_clock_are_no_grid() -> None:
    begin = datetime(2026, 10, 29, 4, 0, tzinfo=UTC)
    request = WindowRequest(
        "America/New_York",
        start=begin,
        end=begin + timedelta(days=8),
        granularity=UsageGranularity.DAY,
    )
    window = window_of(request, NOW)
    assert grid_of(window.bucket_starts, window.end) is None


def test_few_buckets_are_looked_up_one_by_one() -> None:
    begin = datetime(2026, 11, 1, tzinfo=UTC)
    assert grid_of(hours(begin, 2), begin + timedelta(hours=2)) is None
    assert grid_of(hours(begin, 3), begin + timedelta(hours=3)) is not None
    assert grid_of(hours(begin, 3), begin + timedelta(hours=5)) is None, "the last is longer"


def test_hours_of_agents_have_one_rollup_each() -> None:
    begin = datetime(2026, 11, 1, 0, 15, tzinfo=UTC)
    starts = [begin, *hours(begin + timedelta(minutes=45), 48)]
    grid = grid_of(starts, starts[-1] + timedelta(minutes=30))
    assert grid is not None
    runs = grid.runs(LEVELS)
    assert grid.is_single(runs, "agent")
    assert not grid.is_single(runs, "provider_id")
    assert not grid.is_single(grid.runs(LEVELS[-1:]), "agent")
