"""Reading usage: a series, totals of several objects at once."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from db import usage_rollups as store
from db.engine import Database
from db.usage import UsageCondition, read_clock
from db.usage_rollups import TotalTooLarge
from db.vocabulary import UsageDimension, UsageMetric
from trunkline.clock import Clock
from trunkline.errors import BadRequest
from trunkline.usage.series import (
    ZERO,
    Series,
    Subject,
    Sums,
    check_size,
    checked,
    make_series,
    rank_groups,
    too_large,
)
from trunkline.usage.windows import Span, WindowRequest, window_of

MOST_GROUPS = 100


@dataclass(frozen=True, slots=True)
class SeriesRequest:
    """A series that is asked for. Equal requests get the same answer, so they can share it."""

    dimension: UsageDimension
    window: WindowRequest
    condition: UsageCondition = field(default_factory=UsageCondition)
    top_groups: int = 10
    rank_by: UsageMetric = UsageMetric.COST


async def read_series(database: Database, request: SeriesRequest, clock: Clock) -> Series:
    """The series, in one snapshot of the store. Raises `BadRequest`.

    First every group's total, then the points of those that are shown: what crosses over from the
    store is bounded by what is answered, and too many points are refused before they are read.
    """
    if not 1 <= request.top_groups <= MOST_GROUPS:
        raise BadRequest(f"topGroups takes 1 to {MOST_GROUPS}, not {request.top_groups}")
    window = window_of(request.window, clock())
    dimension, condition = request.dimension, request.condition
    with _overflow_refused():
        async with database.read() as connection:
            as_of = await read_clock(connection)
            totals = await store.sum_groups(
                connection, dimension, (window.start, window.end), condition
            )
            ranking = rank_groups(
                dimension,
                {group: Sums(*parts) for group, parts in totals.items()},
                top_groups=request.top_groups,
                rank_by=request.rank_by,
            )
            check_size(ranking, window)
            points = await store.sum_buckets(
                connection,
                dimension,
                window.bucket_starts,
                window.end,
                condition,
                shown=ranking.shown if ranking.rest else None,
            )
            ids = [group for group in ranking.shown if isinstance(group, int) and group]
            subjects = await store.load_subjects(connection, dimension, ids)
    return make_series(
        window=window,
        as_of=as_of,
        ranking=ranking,
        points=points,
        subjects={row.id: Subject(row.id, row.name, row.living) for row in subjects.values()},
    )


async def read_totals(
    database: Database, dimension: UsageDimension, ids: Sequence[int], span: Span
) -> Mapping[int, Sums]:
    """Totals of several objects over one time, in one statement; zeros for those without usage."""
    with _overflow_refused():
        async with database.read() as connection:
            found = await store.sum_groups(
                connection, dimension, (span.start, span.end), UsageCondition(), among=ids
            )
    return {one: checked(Sums(*found[one])) if one in found else ZERO for one in ids}


@contextmanager
def _overflow_refused() -> Iterator[None]:
    try:
        yield
    except TotalTooLarge as error:
        raise too_large() from error
