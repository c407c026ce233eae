"""Levels of rollups: stretches that hold exactly a time, and bins that never change."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.columns import to_microseconds
from db.latency_bins import (
    BIN_BEGINS,
    LARGEST_RELATIVE_ERROR,
    MOST_LATENCY_MS,
    NO_LATENCY,
    bin_of,
    latency_of,
)
from db.rollup_levels import DAY, FINEST, HOUR, LEVELS, QUARTER, RollupKey, cover, levels_for

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)


def at(quarters: int) -> datetime:
    return BEGIN + timedelta(minutes=15 * quarters)


@given(st.integers(0, 3_000), st.integers(0, 3_000), st.sampled_from([{"agent"}, {"chain_id"}]))
def test_stretches_hold_exactly_the_time_without_gap_or_overlap(
    begin: int, end: int, columns: set[str]
) -> None:
    stretches = cover(levels_for(frozenset(columns)), at(begin), at(end))
    if begin >= end:
        assert not stretches
        return
    assert stretches[0].begin == to_microseconds(at(begin))
    assert stretches[-1].end == to_microseconds(at(end))
    assert all(one.end == two.begin for one, two in pairwise(stretches))
    for stretch in stretches:
        grain = LEVELS[stretch.level].grain
        assert stretch.begin < stretch.end
        assert stretch.begin % grain == stretch.end % grain == 0
    assert len(stretches) <= 5, "quarters, hours, days, hours, quarters"


def test_a_month_in_another_zone_is_days_between_hours() -> None:
    stretches = cover(levels_for(frozenset({"agent"})), at(22), at(22 + 96 * 30))
    assert [(LEVELS[one.level].grain, (one.end - one.begin) // HOUR) for one in stretches] == [
        (QUARTER, 0),
        (HOUR, 18),
        (DAY, 29 * 24),
        (HOUR, 5),
        (QUARTER, 0),
    ]


@pytest.mark.parametrize(
    ("columns", "grains"),
    [
        ({"provider_id"}, [DAY, HOUR, QUARTER]),
        ({"provider_id", "model_id"}, [DAY, HOUR, QUARTER]),
        ({"agent"}, [DAY, HOUR, QUARTER]),
        ({"chain_id"}, [DAY, HOUR, QUARTER]),
        ({"agent", "model_id"}, [QUARTER]),
        ({"agent", "latency_bin"}, [HOUR, QUARTER]),
        ({"agent", "chain_id", "latency_bin"}, [QUARTER]),
    ],
)
def test_each_question_has_levels_down_to_the_quarter_hour(
    columns: set[str], grains: list[int]
) -> None:
    levels = levels_for(frozenset(columns))
    assert [level.grain for level in levels] == grains
    assert all(columns <= level.columns for level in levels)


def test_a_level_sums_its_source_and_keeps_no_more_than_that() -> None:
    key = RollupKey(to_microseconds(at(5)), 1, 2, "a", 3, 17)
    for level in LEVELS:
        source = LEVELS[level.source]
        assert level.columns <= source.columns
        assert level.grain % source.grain == 0
        assert level.fold(source.fold(key)) == level.fold(key)
        folded = RollupKey(*level.fold(key))
        kept = {name for name, value in folded._asdict().items() if value not in (0, "")}
        assert kept - {"bucket_start", "latency_bin"} == level.columns - {"latency_bin"}
        assert (folded.latency_bin == 17) is level.has_bins
        assert folded.latency_bin in {17, NO_LATENCY}
    assert [level.number for level in LEVELS] == list(range(len(LEVELS)))
    assert FINEST.fold(key) == key


def test_bins_are_stored_and_so_they_never_change() -> None:
    assert BIN_BEGINS[:18] == (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 23, 27, 32, 39)
    assert len(BIN_BEGINS) == 103
    assert BIN_BEGINS[-2] <= MOST_LATENCY_MS < BIN_BEGINS[-1]
    exact = {ceil(round(2 ** (step / 4), 6)) for step in range(110)}
    assert set(BIN_BEGINS[1:]) <= exact


@given(st.integers(0, MOST_LATENCY_MS))
def test_a_bin_stands_for_its_latencies_within_the_stated_error(latency_ms: int) -> None:
    number = bin_of(latency_ms)
    assert BIN_BEGINS[number] <= latency_ms < BIN_BEGINS[number + 1]
    assert abs(latency_of(number) - latency_ms) <= LARGEST_RELATIVE_ERROR * latency_ms
    assert bin_of(None) == NO_LATENCY
