"""How long things took, counted by ranges: what a histogram of Prometheus is made of.

Here, at the bottom of the layers, as each of them counts. Touched by the event loop's thread only.
"""

from bisect import bisect_left
from collections.abc import Sequence

SECONDS: tuple[float, ...] = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
"""For work of our own: from a lookup to what should never take so long."""
PATIENT_SECONDS: tuple[float, ...] = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
"""For what waits for a model."""


class Durations:
    """`counts` has one more place than `bounds`: for what took longer than the last of them."""

    __slots__ = ("bounds", "counts", "total_seconds")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        """`bounds` are the ranges' upper ends in seconds, which belong to them, ascending."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total_seconds = 0.0

    def note(self, seconds: float) -> None:
        """Count one more."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total_seconds += seconds

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)
