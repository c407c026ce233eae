"""Rollups: the sums of usage events per quarter hour in UTC, provider, model, agent and chain.

Written in the transaction of their events, so neither is seen without the other. A series reads
these only. Nothing in their key is null: "" and 0 stand for none, so that none equals none.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    and_,
    case,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.columns import from_microseconds, to_microseconds
from db.tables import failover_chains, models, providers, usage_rollups
from db.upsert import insert_into
from db.usage import ROWS_A_STATEMENT, NewEventRow, UsageCondition, matching
from db.vocabulary import UsageDimension

SUMMED = (
    "requests",
    "failures",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_nanos",
    "unpriced_requests",
    "estimated_requests",
    "latency_ms_sum",
    "latency_count",
)
"""The columns that add up, in the order in which totals give them."""

POINTED = (
    "requests",
    "failures",
    "input_tokens",
    "output_tokens",
    "cost_nanos",
    "unpriced_requests",
)
"""Those of one bucket, in the order in which `sum_buckets` gives them."""

GroupId = int | str
"""What rollups are grouped by: an id, 0 for none, or an agent's name, "" for none."""

Parts = tuple[int, ...]

_QUARTER_MICROSECONDS = 15 * 60 * 1_000_000
_DIMENSIONS = {
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


class TotalTooLarge(Exception):
    """A sum would no longer fit into 64 bits."""


class RollupKey(NamedTuple):
    """Names a rollup, in the order of its primary key."""

    bucket_start: int
    provider_id: int
    model_id: int
    agent: str
    chain_id: int


@dataclass(frozen=True, slots=True)
class SubjectRow:
    """A provider, model or chain, living or deleted."""

    id: int
    name: str
    living: bool


async def add_to_rollups(connection: AsyncConnection, events: Iterable[NewEventRow]) -> None:
    """Count these events in their rollups. Raises `TotalTooLarge`; the transaction is lost then.

    Sorted by primary key: writers that touch the same rollups in different orders deadlock.
    """
    sums: dict[RollupKey, list[int]] = {}
    for event in events:
        held = sums.setdefault(rollup_key(event), [0] * len(SUMMED))
        for place, part in enumerate(parts_of(event)):
            held[place] += part
    ordered = sorted(sums.items())
    for start in range(0, len(ordered), ROWS_A_STATEMENT):
        await _upsert(connection, ordered[start : start + ROWS_A_STATEMENT])


def rollup_key(event: NewEventRow) -> RollupKey:
    """The rollup that counts an event."""
    microseconds = to_microseconds(event.occurred_at)
    return RollupKey(
        microseconds - microseconds % _QUARTER_MICROSECONDS,
        event.provider_id,
        event.model_id,
        event.agent,
        event.chain_id,
    )


def parts_of(event: NewEventRow) -> Parts:
    """What one event adds to its rollup, in the order of `SUMMED`."""
    used = bool(event.input_tokens or event.output_tokens)
    return (
        1,
        int(not event.succeeded),
        event.input_tokens,
        event.cache_read_tokens,
        event.cache_write_tokens,
        event.output_tokens,
        event.reasoning_tokens,
        event.cost_nanos or 0,
        int(event.cost_nanos is None and used),
        int(event.estimated),
        event.latency_ms or 0,
        int(event.latency_ms is not None),
    )


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
    group = _DIMENSIONS[dimension]
    statement = (
        select(group, *_sums(SUMMED))
        .where(*_within(span), *matching(condition, usage_rollups.c))
        .group_by(group)
    )
    if among is not None:
        statement = statement.where(group.in_(among))
    return {name: _whole(parts) for name, *parts in await _rows(connection, statement)}


async def sum_buckets(
    connection: AsyncConnection,
    dimension: UsageDimension,
    bucket_starts: Sequence[datetime],
    end: datetime,
    condition: UsageCondition,
    *,
    shown: Sequence[GroupId] | None = None,
) -> dict[GroupId | None, dict[int, Parts]]:
    """Sums by group and index of bucket, in the order of `POINTED`. Empty ones are left out.

    Buckets follow each other until `end`. Groups that are not `shown` are summed under None; where
    `shown` is None each stands for itself. The store adds up, so what comes back grows with the
    groups that are shown and not with those that exist. Raises `TotalTooLarge`.
    """
    column = _DIMENSIONS[dimension]
    # By label: bound twice, the same CASE would be two expressions to PostgreSQL.
    group: Any = (column if shown is None else case((column.in_(shown), column))).label("shown")
    statement = (
        _placed(connection, group, bucket_starts, end)
        .where(*matching(condition, usage_rollups.c))
        .group_by("shown", "place")
    )
    found: dict[GroupId | None, dict[int, Parts]] = {}
    for name, place, *parts in await _rows(connection, statement):
        found.setdefault(name, {})[place] = _whole(parts)
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


def _placed(
    connection: AsyncConnection,
    group: ColumnElement[Any],
    bucket_starts: Sequence[datetime],
    end: datetime,
) -> Select[Any]:
    """Each rollup with the index of its bucket as `place`.

    The buckets go in as one parameter, whatever their number. PostgreSQL searches them for each
    rollup; SQLite, which has no such function, looks up each bucket's stretch of the primary key.
    """
    begins = [to_microseconds(start) for start in bucket_starts]
    instant = usage_rollups.c.bucket_start
    if connection.dialect.name == "postgresql":
        place: ColumnElement[Any] = func.width_bucket(instant, literal(begins, ARRAY(BigInteger)))
        within = _within((bucket_starts[0], end))
        return select(group, (place - 1).label("place"), *_sums(POINTED)).where(*within)
    ends = [*begins[1:], to_microseconds(end)]
    pairs = orjson.dumps(list(zip(begins, ends, strict=True))).decode()
    bucket = func.json_each(pairs).table_valued("key", "value", name="bucket")
    # No bound of the whole window beside these: SQLite would walk all of it for every bucket.
    return select(group, bucket.c.key.label("place"), *_sums(POINTED)).select_from(
        bucket.join(
            usage_rollups,
            and_(
                instant >= func.json_extract(bucket.c.value, "$[0]"),
                instant < func.json_extract(bucket.c.value, "$[1]"),
            ),
        )
    )


def _sums(names: Sequence[str]) -> list[ColumnElement[Any]]:
    return [func.sum(usage_rollups.c[name]) for name in names]


def _within(span: tuple[datetime, datetime]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return usage_rollups.c.bucket_start >= span[0], usage_rollups.c.bucket_start < span[1]


def _whole(parts: Iterable[Any]) -> Parts:
    # PostgreSQL sums 64-bit integers into an exact decimal.
    return tuple(map(int, parts))


async def _rows(connection: AsyncConnection, statement: Select[Any]) -> Sequence[Any]:
    try:
        rows: Sequence[Any] = (await connection.execute(statement)).all()
    except DBAPIError as error:
        raise _translated(error) from error
    return rows


async def _upsert(
    connection: AsyncConnection, rollups: Sequence[tuple[RollupKey, list[int]]]
) -> None:
    statement = insert_into(connection, usage_rollups).values(
        [
            {
                **key._asdict(),
                "bucket_start": from_microseconds(key.bucket_start),
                **dict(zip(SUMMED, parts, strict=True)),
            }
            for key, parts in rollups
        ]
    )
    try:
        await connection.execute(
            statement.on_conflict_do_update(
                index_elements=list(RollupKey._fields),
                set_={name: usage_rollups.c[name] + statement.excluded[name] for name in SUMMED},
            )
        )
    except DBAPIError as error:
        raise _translated(error) from error


def _translated(error: DBAPIError) -> Exception:
    """An overflow as ours; anything else as it is."""
    text = str(error.orig)
    overflown = (
        getattr(error.orig, "sqlstate", None) == "22003"
        or "cannot store REAL value" in text
        or "integer overflow" in text
    )
    return TotalTooLarge("a total would exceed 64 bits") if overflown else error
