"""Reading usage: a series, totals for several objects at once, pages of events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from db import usage as store
from db.engine import Database
from db.usage import TotalTooLarge, UsageCondition
from db.vocabulary import UsageDimension, UsageMetric
from trunkline.clock import Clock
from trunkline.errors import BadRequest
from trunkline.usage.series import ZERO, Series, Subject, Sums, make_series
from trunkline.usage.windows import Window, WindowRequest, window_of

MOST_GROUPS = 100


@dataclass(frozen=True, slots=True)
class SeriesRequest:
    """A series that is asked for. Equal requests get the same answer, so they can share it."""

    dimension: UsageDimension
    window: WindowRequest
    condition: UsageCondition = UsageCondition()
    top_groups: int = 10
    rank_by: UsageMetric = UsageMetric.COST


async def read_series(database: Database, request: SeriesRequest, clock: Clock) -> Series:
    """The series in one snapshot of the store. Raises `BadRequest`."""
    if not 1 <= request.top_groups <= MOST_GROUPS:
        raise BadRequest(f"topGroups takes 1 to {MOST_GROUPS}, not {request.top_groups}")
    window = window_of(request.window, clock())
    try:
        async with database.read() as connection:
            # The clock first: its snapshot is the one that everything after it reads.
            as_of = await store.read_clock(connection)
            found = await store.read_sums(
                connection,
                request.dimension,
                list(zip(window.bucket_starts, window.bucket_ends, strict=True)),
                request.condition,
            )
            ids = [group for group in found if isinstance(group, int) and group]
            subjects = await store.load_subjects(connection, request.dimension, ids)
    except TotalTooLarge as error:
        raise BadRequest(
            "a total in this window exceeds what can be summed: ask for a shorter one"
        ) from error
    return make_series(
        dimension=request.dimension,
        window=window,
        as_of=as_of,
        sums={
            group: {place: Sums(*parts) for place, parts in buckets.items()}
            for group, buckets in found.items()
        },
        subjects={row.id: Subject(row.id, row.name, row.living) for row in subjects.values()},
        top_groups=request.top_groups,
        rank_by=request.rank_by,
    )


async def read_totals(
    database: Database,
    dimension: UsageDimension,
    ids: Sequence[int],
    window: Window,
) -> Mapping[int, Sums]:
    """Totals of several objects over one window, in one statement; zeros for those without usage."""
    try:
        async with database.read() as connection:
            found = await store.read_sums(
                connection,
                dimension,
                [(window.start, window.end)],
                UsageCondition(),
                groups=ids,
            )
    except TotalTooLarge as error:
        raise BadRequest(
            "a total in this window exceeds what can be summed: ask for a shorter one"
        ) from error
    return {one: Sums(*found[one][0]) if one in found else ZERO for one in ids}
