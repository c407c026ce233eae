"""Totals of usage: what adds up, and the percentiles that are read from bins beside them."""

from collections.abc import Iterable
from typing import NamedTuple, cast

from db.rollup_levels import SUMMED
from db.usage_rollups import Bins
from trunkline.errors import BadRequest
from trunkline.usage.latency import merged, percentiles

_MOST_COUNT = 2**53 - 1
_MOST_NANOS = 2**63 - 1


class Sums(NamedTuple):
    """What adds up, in the order in which the store gives it; then what is read from bins.

    Percentiles are None where nothing reported a latency, and where nobody asked for them.
    """

    requests: int = 0
    failures: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: int = 0
    unpriced_requests: int = 0
    estimated_requests: int = 0
    latency_ms_sum: int = 0
    latency_count: int = 0
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None

    @property
    def added(self) -> tuple[int, ...]:
        """What adds up."""
        return cast("tuple[int, ...]", self[:_ADDED])

    @property
    def average_latency_ms(self) -> float | None:
        """Of the requests whose latency is known; None where there is none."""
        return self.latency_ms_sum / self.latency_count if self.latency_count else None


_ADDED = len(SUMMED)
ZERO = Sums()


def total(parts: Iterable[Sums]) -> Sums:
    """The sum of these; percentiles don't add up, and are left out."""
    columns = list(zip(*(part.added for part in parts), strict=True))
    return Sums(*map(sum, columns)) if columns else ZERO


def with_percentiles(totals: Sums, bins: Iterable[Bins]) -> Sums:
    """The totals with the percentiles of all these bins together."""
    found = percentiles(merged(bins))
    return totals._replace(latency_p50_ms=found.p50, latency_p95_ms=found.p95)


def checked(totals: Sums) -> Sums:
    """The totals, once they are found to be exact in JSON and in 64 bits. Raises `BadRequest`.

    No part of them is negative, so what they were added from is too.
    """
    counts = totals._replace(cost_usd=0, latency_ms_sum=0)
    if max(counts.added) > _MOST_COUNT or max(totals.added) > _MOST_NANOS:
        raise too_large()
    return totals


def too_large() -> BadRequest:
    """The refusal of a total that nobody could read exactly."""
    return BadRequest("a total in this window is too large to be exact: ask for a shorter one")
