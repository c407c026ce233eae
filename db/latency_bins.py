"""Latency in log-spaced bins, so that percentiles can be had from sums that add up.

Four bins an octave: bin n begins at the n-th distinct whole millisecond among ⌈2^(i/4)⌉, after
bin 0, which is less than a millisecond. A bin stands for the geometric mean of its least and its
largest whole millisecond, so what is read from bins is wrong by at most 2^(1/8) - 1, that is
9.05 %, and exact below 8 ms. The bins never change: they are stored.
"""

from bisect import bisect_right
from math import ceil, sqrt

MOST_LATENCY_MS = 86_400_000
"""A day; a longer one is refused where it is reported."""
LARGEST_RELATIVE_ERROR = 2 ** (1 / 8) - 1
"""Of a percentile, to the request that has that rank: 9.05 %."""
NO_LATENCY = -1
"""The bin of what reported none."""

_PER_OCTAVE = 4


def _begins() -> tuple[int, ...]:
    begins = [0]
    step = 0
    while begins[-1] <= MOST_LATENCY_MS:
        # The fourth root of a power of two is a whole number or irrational: no float lies in wait.
        begin = ceil(round(2 ** (step / _PER_OCTAVE), 6))
        if begin > begins[-1]:
            begins.append(begin)
        step += 1
    return tuple(begins)


BIN_BEGINS = _begins()
"""The least latency of each bin in milliseconds; the last is the end of the last bin."""


def bin_of(latency_ms: int | None) -> int:
    """The bin that counts a latency of 0 to `MOST_LATENCY_MS`."""
    return NO_LATENCY if latency_ms is None else bisect_right(BIN_BEGINS, latency_ms) - 1


def latency_of(bin_number: int) -> float:
    """What a bin stands for, in milliseconds."""
    return sqrt(BIN_BEGINS[bin_number] * (BIN_BEGINS[bin_number + 1] - 1))
