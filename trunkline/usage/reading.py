"""Reading usage: a series, totals of several objects at once."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from db import usage_rollups as store
from db.engine import Connection, Database
from db.rollup_columns import TotalTooLarge
from db.usage import UsageCondition, read_clock
from db.vocabulary import UsageDimension, UsageMetric
from trunkline.clock import Clock
from trunkline.errors import BadRequest
from trunkline.usage.comparison import changes_at, span_before
from trunkline.usage.points import SUMMED, stored_names
from trunkline.usage.series import Series, Subject, check_size, make_series, rank_groups
from trunkline.usage.totals import ZERO, Sums, checked, too_large, total, with_percentiles
from trunkline.usage.windows import Span, Window, WindowRequest, window_of

MOST_GROUPS = 100


@dataclass(frozen=True, slots=True)
class SeriesRequest:
    """A series that is asked for. Equal requests get the same answer, so they can share it.

    Percentiles and the totals of the window before cost reads of their own: only where asked for.
    Of the sums of points only those in `summed` are read, by their names in `Point`.
    """

    dimension: UsageDimension
    window: WindowRequest
    condition: UsageCondition = field(default_factory=UsageCondition)
    top_groups: int = 10
    rank_by: UsageMetric = UsageMetric.COST
    with_percentiles: bool = False
    with_previous: bool = False
    summed: tuple[str, ...] = SUMMED


async def read_series(database: Database, request: SeriesRequest, clock: Clock) -> Series:
    """The series, in one snapshot of the store. Raises `BadRequest`.

    First every group's total, then the points of those that are shown: what crosses over from the
    store is bounded by what is answered, and too many points are refused before they are read.
    """
    if not 1 <= request.top_groups <= MOST_GROUPS:
        raise BadRequest(f"topGroups takes 1 to {MOST_GROUPS}, not {request.top_groups}")
    now = clock()
    window = window_of(request.window, now)
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
            shown = ranking.shown if ranking.rest else None
            buckets = (dimension, window.bucket_starts, window.end, condition)
            points = await store.sum_buckets(
                connection, *buckets, shown=shown, summed=stored_names(request.summed)
            )
            latencies = (
                await store.sum_latencies(connection, *buckets, shown=shown)
                if request.with_percentiles
                else None
            )
            previous = await _previous_totals(connection, request, now)
            ids = [group for group in ranking.shown if isinstance(group, int) and group]
            subjects = await store.load_subjects(connection, dimension, ids)
    return make_series(
        window=window,
        as_of=as_of,
        ranking=ranking,
        points=points,
        latencies=latencies,
        subjects={row.id: Subject(row.id, row.name, row.living) for row in subjects.values()},
        previous_totals=previous,
        stands_until=_stands_until(request, window, now),
        summed=request.summed,
    )


async def read_totals(
    database: Database,
    dimension: UsageDimension,
    ids: Sequence[int],
    span: Span,
    *,
    percentiles: bool = False,
) -> Mapping[int, Sums]:
    """Totals of several objects over one time, in one statement; zeros for those without usage.

    With `percentiles`, in two.
    """
    with _overflow_refused():
        async with database.read() as connection:
            found = await store.sum_groups(
                connection, dimension, (span.start, span.end), UsageCondition(), among=ids
            )
            latencies = (
                await store.sum_latencies(
                    connection, dimension, [span.start], span.end, _among(dimension, ids)
                )
                if percentiles
                else {}
            )
    return {
        one: with_percentiles(checked(Sums(*found[one])), latencies.get(one, {}).values())
        if one in found
        else ZERO
        for one in ids
    }


async def _previous_totals(
    connection: Connection, request: SeriesRequest, now: datetime
) -> Sums | None:
    if not request.with_previous:
        return None
    before = span_before(request.window, now)
    dimension, condition = request.dimension, request.condition
    found = await store.sum_groups(connection, dimension, (before.start, before.end), condition)
    totals = checked(total(Sums(*parts) for parts in found.values()))
    if not request.with_percentiles:
        return totals
    latencies = await store.sum_latencies(
        connection, dimension, [before.start], before.end, condition, shown=()
    )
    return with_percentiles(totals, latencies.get(None, {}).values())


def _stands_until(request: SeriesRequest, window: Window, now: datetime) -> datetime | None:
    if request.window.period is None:
        return None
    before = changes_at(request.window, now) if request.with_previous else None
    return window.end if before is None else min(before, window.end)


def _among(dimension: UsageDimension, ids: Sequence[int]) -> UsageCondition:
    listed = tuple(ids)
    match dimension:
        case UsageDimension.PROVIDER:
            return UsageCondition(provider_ids=listed)
        case UsageDimension.MODEL:
            return UsageCondition(model_ids=listed)
        case UsageDimension.FAILOVER_CHAIN:
            return UsageCondition(chain_ids=listed)
        case UsageDimension.AGENT:
            raise ValueError("agents have names, no ids")


@contextmanager
def _overflow_refused() -> Iterator[None]:
    try:
        yield
    except TotalTooLarge as error:
        raise too_large() from error
