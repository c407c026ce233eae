"""The points of one group of a series, kept by column until somebody wants one of them.

A month by hour of ten groups has 7,200. What serves them takes the columns as they are.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, overload

from db.rollup_columns import Buckets
from db.usage_rollups import POINTED, Bins
from trunkline.usage.latency import UNKNOWN, percentiles


class Point(NamedTuple):
    """One bucket of one group. What adds up is in the order in which the store gives it.

    A tuple: a month by hour has thousands, and a dataclass takes five times as long to make.
    """

    start: datetime
    requests: int = 0
    failures: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: int = 0
    unpriced_requests: int = 0
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None


SUMMED = Point._fields[1 : 1 + len(POINTED)]
"""The sums of a point. They go by the store's names, but for the cost."""


COLUMN_CLASSES: Mapping[str, type] = {"start": datetime, **dict.fromkeys(SUMMED, int)}
"""Of which exact class each value of these columns is."""


def stored_names(summed: Sequence[str]) -> Sequence[str]:
    """What the store calls these sums."""
    return [POINTED[SUMMED.index(name)] for name in summed]


class Points(Sequence[Point]):
    """Points, one for each of the buckets that begin at `starts`. Nobody changes one.

    `columns` has what each of them has under the names of `Point`'s fields. The sums that were not
    `summed` are 0: nobody asked for them.
    """

    __slots__ = ("columns",)

    def __init__(
        self,
        starts: Sequence[datetime],
        buckets: Mapping[int, Sequence[int]],
        latencies: Mapping[int, Bins],
        summed: Sequence[str] = SUMMED,
    ) -> None:
        length = len(starts)
        empty, nothing = (0,) * length, (None,) * length
        sums: dict[str, Sequence[int]] = dict.fromkeys(SUMMED, empty)
        if buckets and summed:
            found = buckets if isinstance(buckets, Buckets) else Buckets.of(buckets)
            sums.update(zip(summed, found.over(length), strict=True))
        latency: Sequence[Sequence[float | None]] = (nothing, nothing)
        if latencies:
            every = (
                percentiles(latencies[place]) if place in latencies else UNKNOWN
                for place in range(length)
            )
            latency = list(zip(*every, strict=True))
        self.columns: Mapping[str, Sequence[Any]] = {
            "start": starts,
            **sums,
            "latency_p50_ms": latency[0],
            "latency_p95_ms": latency[1],
        }

    def __len__(self) -> int:
        return len(self.columns["start"])

    def __iter__(self) -> Iterator[Point]:
        return map(Point._make, zip(*self.columns.values(), strict=True))

    @overload
    def __getitem__(self, place: int) -> Point: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Point, ...]: ...
    def __getitem__(self, place: int | slice) -> Point | tuple[Point, ...]:
        if isinstance(place, slice):
            return tuple(self)[place]
        return Point._make(column[place] for column in self.columns.values())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return NotImplemented if not isinstance(other, Sequence) else False
        return all(map(Point.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]  # a list, by whatever columns
