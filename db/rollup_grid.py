"""Buckets of one length, one after the other: most series.

A rollup's bucket follows from its instant then, so the store reads a few long stretches, where it
would look up each bucket's own otherwise. Days around a change of the clock are no grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import sub
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Subquery, select, type_coerce, union_all

from db.columns import to_microseconds
from db.rollup_levels import Level, Stretch, cover
from db.tables import usage_rollups

starts_at = type_coerce(usage_rollups.c.bucket_start, BigInteger)
"""Of a rollup, in microseconds."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Buckets of `width` from `origin`, in microseconds; the first and the last may be clipped."""

    origin: int
    width: int
    start: datetime
    end: datetime

    @property
    def place(self) -> ColumnElement[int]:
        """The index of the bucket that a rollup lies in."""
        return (starts_at - self.origin) // self.width

    def runs(self, levels: Sequence[Level]) -> Sequence[tuple[Level, Stretch]]:
        """The stretches of these levels that hold it, of rollups that lie in one bucket each."""
        fit = [
            level
            for level in levels
            if self.width % level.grain == 0 and self.origin % level.grain == 0
        ]
        by_number = {level.number: level for level in fit}
        return [(by_number[stretch.level], stretch) for stretch in cover(fit, self.start, self.end)]

    def is_single(self, runs: Sequence[tuple[Level, Stretch]], column: str) -> bool:
        """Whether a bucket has one rollup of a group nearly everywhere: the ends are clipped."""
        whole = sum(
            stretch.end - stretch.begin for level, stretch in runs if level.grain == self.width
        )
        every = sum(stretch.end - stretch.begin for _, stretch in runs)
        return every - whole <= 2 * self.width and all(
            level.columns == {column} for level, _ in runs
        )


def grid_of(bucket_starts: Sequence[datetime], end: datetime) -> Grid | None:
    """The grid of buckets that follow each other until `end`; None where they are no grid."""
    if len(bucket_starts) < 3:
        return None
    widths = set(map(sub, bucket_starts[2:], bucket_starts[1:-1]))
    if len(widths) != 1:
        return None
    width = widths.pop()
    clipped = max(bucket_starts[1] - bucket_starts[0], end - bucket_starts[-1])
    if clipped > width:
        return None
    origin = to_microseconds(bucket_starts[1] - width)
    return Grid(origin, to_microseconds(bucket_starts[1]) - origin, bucket_starts[0], end)


def in_grid(
    grid: Grid,
    runs: Sequence[tuple[Level, Stretch]],
    columns: Sequence[ColumnElement[Any]],
    narrowed: Sequence[ColumnElement[bool]],
) -> Subquery:
    """The rollups of these stretches that fit the condition, each with its `place`."""
    place = grid.place.label("place")
    return union_all(
        *(
            select(place, *columns).where(
                usage_rollups.c.level == stretch.level,
                starts_at >= stretch.begin,
                starts_at < stretch.end,
                *narrowed,
            )
            for _, stretch in runs
        )
    ).subquery()
