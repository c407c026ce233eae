"""Rollups held against the events that they sum, and put right, an hour of UTC at a time.

Every bucket of every level lies within one day of UTC, and all but the days' within one hour. So an
hour's events say what an hour's rollups must be, and nothing that is held grows with the history.
Instants are whole microseconds here: what is stored may be no date at all.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import add

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    and_,
    bindparam,
    delete,
    func,
    select,
    text,
    type_coerce,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import BulkInsert
from db.columns import to_microseconds
from db.rollup_columns import Parts
from db.rollup_levels import DAY, HOUR, KEY, LEVELS, SUMMED, Level, PlainKey, RollupKey
from db.rollup_writing import Sums, sum_levels
from db.tables import usage_events, usage_rollups
from db.usage import NewEventRow
from db.usage_retention import read_expiry

HOURLY = tuple(level for level in LEVELS if level.grain <= HOUR)
DAILY = tuple(level for level in LEVELS if level.grain == DAY)

_PAGE = 5_000
_LEAST = -(2**63)
_EVENT = [usage_events.c[field.name] for field in fields(NewEventRow)]
_OCCURRED = type_coerce(usage_events.c.occurred_at, BigInteger)
_BEGINS = type_coerce(usage_rollups.c.bucket_start, BigInteger)
_ROLLUP = [_BEGINS if name == "bucket_start" else usage_rollups.c[name] for name in (*KEY, *SUMMED)]
_PUT = BulkInsert(
    usage_rollups,
    (*KEY, *SUMMED),
    on_conflict=f"({', '.join(KEY)}) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in SUMMED),
)
_TAKE = delete(usage_rollups).where(
    and_(*(
        (_BEGINS if name == "bucket_start" else usage_rollups.c[name]) == bindparam(f"_{name}")
        for name in KEY
    ))
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """A rollup that isn't what its events come to, in the order of `SUMMED`.

    `stored` is None where it is missing, `right` where no event belongs to it.
    """

    level: Level
    key: RollupKey
    stored: Parts | None
    right: Parts | None


class Totals:
    """What events come to on each level, added page by page."""

    def __init__(self, levels: Sequence[Level]) -> None:
        self.by_level: Mapping[int, Sums] = {level.number: {} for level in levels}

    def add(self, sums: Sequence[Sums]) -> None:
        """More of every level, by its number; levels that nobody asked for are passed over."""
        for number, held in self.by_level.items():
            for key, parts in sums[number].items():
                before = held.get(key)
                held[key] = parts if before is None else tuple(map(add, before, parts))


async def kept_since(connection: AsyncConnection) -> int:
    """From where on events are there to recompute rollups from: a midnight in UTC."""
    expired = to_microseconds(await read_expiry(connection))
    return expired + -expired % DAY if expired > 0 else _LEAST


async def next_hour(connection: AsyncConnection, since: int) -> int | None:
    """The first hour from the one of `since` on that has events or rollups; None where none has."""
    firsts = [
        select(func.min(_OCCURRED)).where(*_within(_OCCURRED, since)),
        *(
            select(func.min(_BEGINS)).where(
                usage_rollups.c.level == level.number, *_within(_BEGINS, since)
            )
            for level in LEVELS
        ),
    ]
    row = (await connection.execute(select(*(one.scalar_subquery() for one in firsts)))).one()
    found = [moment for moment in row if moment is not None]
    return min(found) // HOUR * HOUR if found else None


async def last_moment(connection: AsyncConnection) -> int | None:
    """When the last event happened; None where there is none."""
    return await connection.scalar(select(func.max(_OCCURRED)))


async def hour_differences(
    connection: AsyncConnection, begin: int, daily: Totals | None = None
) -> AsyncIterator[Difference]:
    """What is wrong with the rollups of the hour that begins there, the days' left out.

    Adds the hour's events to `daily`, which `day_differences` takes.
    """
    totals = Totals(HOURLY)
    async for sums in _recomputed(connection, begin, begin + HOUR):
        totals.add(sums)
        if daily is not None:
            daily.add(sums)
    async for difference in _differences(connection, totals, begin, begin + HOUR):
        yield difference


async def day_differences(
    connection: AsyncConnection, begin: int, daily: Totals
) -> AsyncIterator[Difference]:
    """What is wrong with the days' rollups, given what all hours of the day come to."""
    async for difference in _differences(connection, daily, begin, begin + DAY):
        yield difference


async def hold_rollups(connection: AsyncConnection) -> None:
    """Keep everyone from recording until the transaction ends, once those who do are done."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("LOCK TABLE usage_events IN SHARE ROW EXCLUSIVE MODE"))


async def mend_hour(connection: AsyncConnection, begin: int) -> int:
    """Make the hour's rollups what its events come to, the days' left out; how many were not.

    Rollups must be held.
    """
    return await _mend(connection, [one async for one in hour_differences(connection, begin)])


async def mend_day(connection: AsyncConnection, begin: int) -> int:
    """Make the days' rollups what the hours' come to, which must be right; how many were not.

    Rollups must be held.
    """
    daily = Totals(DAILY)
    sources = {level.source: level for level in DAILY}
    stored = _stored(connection, sources, begin, begin + DAY)
    async for number, key, parts in stored:
        level = sources[number]
        held = daily.by_level[level.number]
        folded = level.fold(key)
        before = held.get(folded)
        held[folded] = parts if before is None else tuple(map(add, before, parts))
    return await _mend(connection, [one async for one in day_differences(connection, begin, daily)])


def _within(
    instant: ColumnElement[int], begin: int, end: int | None = None
) -> Sequence[ColumnElement[bool]]:
    return [instant >= begin] if end is None else [instant >= begin, instant < end]


async def _recomputed(
    connection: AsyncConnection, begin: int, end: int
) -> AsyncIterator[Sequence[Sums]]:
    """What a page of events comes to on every level, page after page."""
    statement = select(*_EVENT).where(*_within(_OCCURRED, begin, end))
    async with connection.stream(statement) as rows:
        async for page in rows.partitions(_PAGE):
            yield sum_levels(NewEventRow(**row._asdict()) for row in page)


async def _stored(
    connection: AsyncConnection, levels: Iterable[int], begin: int, end: int
) -> AsyncIterator[tuple[int, PlainKey, Parts]]:
    statement = select(*_ROLLUP).where(
        usage_rollups.c.level.in_(sorted(levels)), *_within(_BEGINS, begin, end)
    )
    async with connection.stream(statement) as rows:
        async for page in rows.partitions(_PAGE):
            for level, *rest in page:
                yield level, RollupKey(*rest[: len(KEY) - 1]), tuple(rest[len(KEY) - 1 :])


async def _differences(
    connection: AsyncConnection, right: Totals, begin: int, end: int
) -> AsyncIterator[Difference]:
    """Takes out of `right` what it has compared."""
    async for number, key, parts in _stored(connection, right.by_level, begin, end):
        expected = right.by_level[number].pop(key, None)
        if parts != expected:
            yield Difference(LEVELS[number], RollupKey(*key), parts, expected)
    for number, missing in right.by_level.items():
        for key, parts in sorted(missing.items()):
            yield Difference(LEVELS[number], RollupKey(*key), None, parts)


async def _mend(connection: AsyncConnection, differences: Sequence[Difference]) -> int:
    put = [(one.level.number, *one.key, *one.right) for one in differences if one.right is not None]
    await _PUT.run(connection, sorted(put))
    take = [
        {f"_{name}": value for name, value in zip(KEY, (one.level.number, *one.key), strict=True)}
        for one in differences
        if one.right is None
    ]
    if take:
        await connection.execute(_TAKE, take)
    return len(differences)
