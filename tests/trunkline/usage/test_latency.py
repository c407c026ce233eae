"""Percentiles from bins: within the stated error of the nearest rank."""

from collections import Counter
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from db.latency_bins import MOST_LATENCY_MS, bin_of
from trunkline.usage.latency import LARGEST_RELATIVE_ERROR, UNKNOWN, merged, percentiles


def nearest_rank(latencies: list[int], percent: int) -> int:
    return sorted(latencies)[ceil(len(latencies) * percent / 100) - 1]


@given(st.lists(st.integers(0, MOST_LATENCY_MS), min_size=1, max_size=300))
def test_percentiles_are_those_of_the_nearest_rank_within_the_error(latencies: list[int]) -> None:
    found = percentiles(Counter(map(bin_of, latencies)))
    for value, percent in zip(found, (50, 95), strict=True):
        exact = nearest_rank(latencies, percent)
        assert value is not None
        assert abs(value - exact) <= LARGEST_RELATIVE_ERROR * exact


def test_nothing_reported_is_unknown_and_short_ones_are_exact() -> None:
    assert percentiles({}) == UNKNOWN == (None, None)
    assert percentiles({bin_of(7): 1}) == (7.0, 7.0)
    assert percentiles(merged([{bin_of(0): 19}, {bin_of(3): 1}])) == (0.0, 0.0)
    assert percentiles(merged([{bin_of(0): 18}, {bin_of(3): 1}, {bin_of(3): 1}])) == (0.0, 3.0)
