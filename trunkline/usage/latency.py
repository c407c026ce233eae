"""Latency percentiles from additive bins.

Nearest-rank: the p-th percentile of n requests is the latency of the one of rank ⌈n·p/100⌉. What
is told is the value that its bin stands for, so it is wrong by at most `LARGEST_RELATIVE_ERROR`.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from db.latency_bins import LARGEST_RELATIVE_ERROR, latency_of

__all__ = ["LARGEST_RELATIVE_ERROR", "UNKNOWN", "Percentiles", "merged", "percentiles"]


class Percentiles(NamedTuple):
    """In milliseconds; None where no request reported a latency."""

    p50: float | None = None
    p95: float | None = None


UNKNOWN = Percentiles()


def percentiles(bins: Mapping[int, int]) -> Percentiles:
    """Of so many requests in each bin."""
    count = sum(bins.values())
    if not count:
        return UNKNOWN
    ordered = sorted(bins.items())
    return Percentiles(_at(ordered, -(-count * 50 // 100)), _at(ordered, -(-count * 95 // 100)))


def merged(every: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """The sum of several."""
    total: dict[int, int] = {}
    for bins in every:
        for number, count in bins.items():
            total[number] = total.get(number, 0) + count
    return total


def _at(ordered: list[tuple[int, int]], rank: int) -> float:
    seen = 0
    for number, count in ordered:
        seen += count
        if seen >= rank:
            return latency_of(number)
    raise AssertionError("a rank lies within the count")
