"""Reading rollups: the sums of usage events by group and bucket.

A series reads these only, from the coarsest levels that answer it (see `rollup_levels`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Select,
    Subquery,
    and_,
    case,
    func,
    literal,
    select,
    true,
    type_coerce,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.rollup_columns import Buckets, Parts, TotalTooLarge, buckets_of, whole_columns
from db.rollup_grid import grid_of, in_grid
from db.rollup_levels import SUMMED, Level, cover, levels_for
from db.tables import failover_chains, models, providers, usage_rollups
from db.usage import UsageCondition, matching
from db.vocabulary import UsageDimension

POINTED = (
    "requests",
    "failures",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_nanos",
    "unpriced_requests",
)
"""Those of one bucket, in the order in which `sum_buckets` gives them, where it gives all."""

Bins = dict[int, int]
"""How many requests had a latency in each bin."""

GroupId = int | str
"""What rollups are grouped by: an id, 0 for none, or an agent's name, "" for none."""

_Place = tuple[int, int, int, int]
"""A stretch of rollups with the index of its bucket: place, level, begin, end."""

_GROUPS = {
    UsageDimension.PROVIDER: usage_rollups.c.provider_id,
    UsageDimension.MODEL: usage_rollups.c.model_id,
    UsageDimension.AGENT: usage_rollups.c.agent,
    UsageDimension.FAILOVER_CHAIN: usage_rollups.c.chain_id,
}
_SUBJECTS = {
    UsageDimension.PROVIDER: providers,
    UsageDimension.MODEL: models,
    UsageDimension.FAILOVER_CHAIN: failover_chains,
}


@dataclass(frozen=True, slots=True)
class SubjectRow:
    """A provider, model or chain, living or deleted."""

    id: int
    name: str
    living: bool


async def sum_groups(
    connection: AsyncConnection,
    dimension: UsageDimension,
    span: tuple[datetime, datetime],
    condition: UsageCondition,
    *,
    among: Sequence[int] | None = None,
) -> dict[GroupId, Parts]:
    """The sums of each group over `span` (begin in, end out), in the order of `SUMMED`.

    Groups without usage are left out. `among` narrows to these ids of the dimension. Raises
    `TotalTooLarge`.
    """
    group = _GROUPS[dimension]
    places = [(0, *stretch) for stretch in cover(_levels(dimension, condition), *span)]
    narrowed = matching(condition, usage_rollups.c)
    if among is not None:
        narrowed.append(group.in_(among))
    rows = _stretched(connection, places, (group, *_columns(SUMMED)), narrowed)
    statement = select(rows.c[group.name], *(func.sum(rows.c[name]) for name in SUMMED))
    found = await _rows(connection, statement.group_by(rows.c[group.name]))
    return {name: _whole(parts) for name, *parts in found}


async def sum_buckets(
    connection: AsyncConnection,
    dimension: UsageDimension,
    bucket_starts: Sequence[datetime],
    end: datetime,
    condition: UsageCondition,
    *,
    shown: Sequence[GroupId] | None = None,
    summed: Sequence[str] = POINTED,
) -> Mapping[GroupId | None, Buckets]:
    """These sums by group and index of bucket. Empty ones are left out.

    Buckets follow each other until `end`. Groups that are not `shown` are summed under None; where
    `shown` is None each stands for itself. The store adds up, so what comes back grows with the
    groups that are shown and not with those that exist. Raises `TotalTooLarge`.
    """
    if not summed:
        return {}
    levels = _levels(dimension, condition)
    columns = (_shown(dimension, shown), *_columns(summed))
    narrowed = matching(condition, usage_rollups.c)
    # On PostgreSQL a stretch for each bucket is what keeps its planner to the primary key.
    exact = connection.dialect.name == "sqlite"
    grid = grid_of(bucket_starts, end) if exact else None
    if grid is None:
        places = _places(levels, bucket_starts, end)
        rows = _stretched(connection, places, columns, narrowed)
    else:
        runs = grid.runs(levels)
        if shown is None and grid.is_single(runs, _GROUPS[dimension].name):
            # Hardly a row to be added to another: the store's sorting would take most of the time.
            asked = whole_columns(grid, runs, _GROUPS[dimension], summed, narrowed)
            return buckets_of(await _rows(connection, *asked))
        rows = in_grid(grid, runs, columns, narrowed)
    key = (rows.c.shown, rows.c.place)
    statement = select(*key, *(func.sum(rows.c[name]) for name in summed)).group_by(*key)
    found: dict[GroupId | None, dict[int, Parts]] = {}
    for row in await _rows(connection, statement):
        parts = row[2:]
        found.setdefault(row[0], {})[row[1]] = parts if exact else _whole(parts)
    return {group: Buckets.of(parts) for group, parts in found.items()}


async def sum_latencies(
    connection: AsyncConnection,
    dimension: UsageDimension,
    bucket_starts: Sequence[datetime],
    end: datetime,
    condition: UsageCondition,
    *,
    shown: Sequence[GroupId] | None = None,
) -> dict[GroupId | None, dict[int, Bins]]:
    """As `sum_buckets`, how many requests had a latency in each bin (see `latency_bins`)."""
    places = _places(_levels(dimension, condition, bins=True), bucket_starts, end)
    rows = _stretched(
        connection,
        places,
        (_shown(dimension, shown), *_columns(("latency_bin", "latency_count"))),
        [*matching(condition, usage_rollups.c), usage_rollups.c.latency_bin >= 0],
    )
    key = (rows.c.shown, rows.c.place, rows.c.latency_bin)
    statement = select(*key, func.sum(rows.c.latency_count)).group_by(*key)
    found: dict[GroupId | None, dict[int, Bins]] = {}
    for name, place, bin_number, count in await _rows(connection, statement):
        found.setdefault(name, {}).setdefault(place, {})[bin_number] = int(count)
    return found


async def load_subjects(
    connection: AsyncConnection, dimension: UsageDimension, ids: Sequence[int]
) -> Mapping[int, SubjectRow]:
    """The objects behind groups, by id, deleted ones included."""
    table = _SUBJECTS.get(dimension)
    if table is None or not ids:
        return {}
    statement = select(table.c.id, table.c.name, table.c.deleted_at).where(table.c.id.in_(ids))
    return {
        row.id: SubjectRow(row.id, row.name, row.deleted_at is None)
        for row in await connection.execute(statement)
    }


def _levels(
    dimension: UsageDimension, condition: UsageCondition, *, bins: bool = False
) -> Sequence[Level]:
    """The levels that keep what this is grouped and narrowed by."""
    narrowed = {
        "provider_id": condition.provider_ids,
        "model_id": condition.model_ids,
        "agent": condition.agents,
        "chain_id": condition.chain_ids,
    }
    wanted = {name for name, listed in narrowed.items() if listed is not None}
    wanted.add(_GROUPS[dimension].name)
    return levels_for(frozenset(wanted | {"latency_bin"} if bins else wanted))


def _places(
    levels: Sequence[Level], bucket_starts: Sequence[datetime], end: datetime
) -> list[_Place]:
    ends = [*bucket_starts[1:], end]
    return [
        (place, *stretch)
        for place, (begin, until) in enumerate(zip(bucket_starts, ends, strict=True))
        for stretch in cover(levels, begin, until)
    ]


def _shown(dimension: UsageDimension, shown: Sequence[GroupId] | None) -> ColumnElement[Any]:
    group = _GROUPS[dimension]
    chosen: ColumnElement[Any] = group if shown is None else case((group.in_(shown), group))
    return chosen.label("shown")


def _columns(names: Sequence[str]) -> Sequence[ColumnElement[Any]]:
    return [usage_rollups.c[name] for name in names]


def _stretched(
    connection: AsyncConnection,
    places: Sequence[_Place],
    columns: Sequence[ColumnElement[Any]],
    narrowed: Sequence[ColumnElement[bool]],
) -> Subquery:
    """The rollups of these stretches that fit the condition, each with its `place`.

    The stretches go in as one parameter, whatever their number, and each is looked up in the
    primary key. PostgreSQL would rather compare every rollup with every stretch: a lateral
    subquery that it may not pull up keeps it from that.
    """
    if connection.dialect.name == "postgresql":
        arrays = [literal(list(part), ARRAY(BigInteger)) for part in zip(*places, strict=True)]
        stretch = (
            func.unnest(*arrays)
            .table_valued("place", "level", "first", "last", name="stretch")
            .render_derived()
        )
        found = (
            select(*columns)
            .where(*_lies_in(stretch.c.level, stretch.c.first, stretch.c["last"]), *narrowed)
            .offset(0)
            .lateral("found")
        )
        return select(stretch.c.place, *found.c).select_from(stretch.join(found, true())).subquery()
    packed = func.json_each(orjson.dumps(places).decode()).table_valued("value", name="stretch")
    part = [func.json_extract(packed.c.value, f"$[{index}]") for index in range(4)]
    lies_in = and_(*_lies_in(*part[1:]), *narrowed)
    return (
        select(part[0].label("place"), *columns)
        .select_from(packed.join(usage_rollups, lies_in))
        .subquery()
    )


def _lies_in(
    level: ColumnElement[Any], begin: ColumnElement[Any], end: ColumnElement[Any]
) -> Sequence[ColumnElement[bool]]:
    instant = type_coerce(usage_rollups.c.bucket_start, BigInteger)
    return usage_rollups.c.level == level, instant >= begin, instant < end


def _whole(parts: Iterable[Any]) -> Parts:
    # PostgreSQL sums 64-bit integers into an exact decimal.
    return tuple(map(int, parts))


async def _rows(
    connection: AsyncConnection,
    statement: Select[Any] | CompoundSelect[Any],
    values: Mapping[str, int] | None = None,
) -> Sequence[Any]:
    try:
        rows: Sequence[Any] = (await connection.execute(statement, values)).all()
    except DBAPIError as error:
        raise_if_overflown(error)
        raise
    return rows


def raise_if_overflown(error: DBAPIError) -> None:
    """Raise `TotalTooLarge` where that is what the database says."""
    text = str(error.orig)
    if (
        getattr(error.orig, "sqlstate", None) == "22003"
        or "cannot store REAL value" in text
        or "integer overflow" in text
    ):
        raise TotalTooLarge("a total would exceed 64 bits") from error
