"""Usage events and their rollups.

Rollups are kept per quarter hour in UTC, provider, model, agent and chain, written in the
transaction of their events, so neither is seen without the other. A series reads rollups only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    Row,
    Select,
    and_,
    column,
    func,
    literal_column,
    or_,
    select,
    values,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.columns import from_microseconds, to_microseconds, whole
from db.paging import PageRequest, Slice, decode_cursor, slice_of
from db.tables import (
    failover_chains,
    models,
    providers,
    usage_clock,
    usage_events,
    usage_rollups,
)
from db.upsert import insert_into
from db.vocabulary import UsageDimension

_ORDER = "usage_events"
_QUARTER_MICROSECONDS = 15 * 60 * 1_000_000
_ROWS_A_STATEMENT = 500

_DIMENSIONS = {
    UsageDimension.PROVIDER: usage_rollups.c.provider_id,
    UsageDimension.MODEL: usage_rollups.c.model_id,
    UsageDimension.AGENT: usage_rollups.c.agent,
    UsageDimension.FAILOVER_CHAIN: usage_rollups.c.chain_id,
}

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
"""The columns of a rollup that add up, in the order in which reads give them."""


class TotalTooLarge(Exception):
    """A sum would no longer fit into 64 bits."""


class RollupKey(NamedTuple):
    """Names a rollup, in the order of its primary key."""

    bucket_start: int
    provider_id: int
    model_id: int
    agent: str
    chain_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEventRow:
    """An event to insert: checked, priced, its names resolved. "" and 0 stand for none."""

    idempotency_key: str
    fingerprint: bytes
    occurred_at: datetime
    provider_id: int
    model_id: int
    agent: str
    chain_id: int
    succeeded: bool
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    estimated: bool
    cost_nanos: int | None
    latency_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEventRow:
    """A recorded event with the names of what it used, which outlive the objects."""

    id: int
    occurred_at: datetime
    provider_id: int
    provider_label: str
    model_id: int
    model_label: str
    failover_chain_id: int | None
    failover_chain_label: str | None
    agent: str | None
    succeeded: bool
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    estimated: bool
    cost_usd: int | None
    latency_ms: int | None


@dataclass(frozen=True, slots=True)
class UsageCondition:
    """What usage is narrowed to; None: not by this. An empty list matches nothing."""

    provider_ids: tuple[int, ...] | None = None
    model_ids: tuple[int, ...] | None = None
    agents: tuple[str, ...] | None = None
    chain_ids: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class SubjectRow:
    """A provider, model or chain, living or deleted."""

    id: int
    name: str
    living: bool


async def insert_events(
    connection: AsyncConnection, events: Sequence[NewEventRow], *, now: datetime
) -> frozenset[str]:
    """Insert those whose keys are new, and return their keys. Does not touch rollups."""
    inserted: set[str] = set()
    ordered = sorted(events, key=lambda event: event.idempotency_key)
    for start in range(0, len(ordered), _ROWS_A_STATEMENT):
        result = await connection.scalars(
            insert_into(connection, usage_events)
            .values([_columns(event, now) for event in ordered[start : start + _ROWS_A_STATEMENT]])
            .on_conflict_do_nothing(index_elements=["idempotency_key"])
            .returning(usage_events.c.idempotency_key)
        )
        inserted.update(result)
    return frozenset(inserted)


async def load_fingerprints(
    connection: AsyncConnection, keys: Sequence[str]
) -> Mapping[str, bytes]:
    """The fingerprints of recorded events, by key."""
    statement = select(usage_events.c.idempotency_key, usage_events.c.fingerprint).where(
        usage_events.c.idempotency_key.in_(keys)
    )
    return {key: bytes(fingerprint) for key, fingerprint in await connection.execute(statement)}


async def add_to_rollups(connection: AsyncConnection, events: Sequence[NewEventRow]) -> None:
    """Count these events in their rollups. Raises `TotalTooLarge`; the transaction is lost then.

    Sorted by primary key: writers that touch the same rollups in different orders deadlock.
    """
    sums: dict[RollupKey, list[int]] = {}
    for event in events:
        key = RollupKey(
            _quarter(event.occurred_at),
            event.provider_id,
            event.model_id,
            event.agent,
            event.chain_id,
        )
        held = sums.setdefault(key, [0] * len(SUMMED))
        for place, part in enumerate(parts_of(event)):
            held[place] += part
    ordered = sorted(sums.items())
    for start in range(0, len(ordered), _ROWS_A_STATEMENT):
        await _upsert(connection, ordered[start : start + _ROWS_A_STATEMENT])


def parts_of(event: NewEventRow) -> tuple[int, ...]:
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


async def advance_clock(connection: AsyncConnection, now: datetime) -> datetime:
    """Move the order of commits forward and return where it stands: later than any before."""
    held = select(usage_clock.c.as_of).with_for_update()
    previous = await connection.scalar(held)
    as_of = now if previous is None else max(now, from_microseconds(to_microseconds(previous) + 1))
    await connection.execute(
        insert_into(connection, usage_clock)
        .values(id=1, as_of=as_of)
        .on_conflict_do_update(index_elements=["id"], set_={"as_of": as_of})
    )
    return as_of


async def read_clock(connection: AsyncConnection) -> datetime:
    """The commit that this transaction's snapshot shows."""
    as_of: datetime | None = await connection.scalar(select(usage_clock.c.as_of))
    if as_of is None:
        raise LookupError("the usage clock is missing: migrations set it")
    return as_of


async def read_sums(
    connection: AsyncConnection,
    dimension: UsageDimension,
    buckets: Sequence[tuple[datetime, datetime]],
    condition: UsageCondition,
    *,
    groups: Sequence[int] | None = None,
) -> dict[Any, dict[int, tuple[int, ...]]]:
    """Sums by group and index of bucket, in the order of `SUMMED`. Empty ones are left out.

    `groups` narrows to these ids of the dimension. Buckets follow each other without a gap.
    """
    group = _DIMENSIONS[dimension]
    conditions = [
        usage_rollups.c.bucket_start >= buckets[0][0],
        usage_rollups.c.bucket_start < buckets[-1][1],
        *_matching(condition, usage_rollups.c),
    ]
    if groups is not None:
        conditions.append(group.in_(groups))
    sums = [func.sum(usage_rollups.c[name]) for name in SUMMED]
    begin = to_microseconds(buckets[0][0])
    whole_quarters = len(buckets) * _QUARTER_MICROSECONDS == (
        to_microseconds(buckets[-1][1]) - begin
    )
    if len(buckets) == 1:
        place: ColumnElement[Any] = literal_column("0")
        source: FromClause = usage_rollups
    elif whole_quarters:
        place, source = usage_rollups.c.bucket_start, usage_rollups
    else:
        bucket = _buckets(buckets)
        place = bucket.c.place
        source = bucket.join(
            usage_rollups,
            and_(
                usage_rollups.c.bucket_start >= bucket.c.begins,
                usage_rollups.c.bucket_start < bucket.c.ends,
            ),
        )
    statement: Select[Any] = select(group, place, *sums).select_from(source).where(*conditions)
    statement = statement.group_by(group) if len(buckets) == 1 else statement.group_by(group, place)
    try:
        rows = (await connection.execute(statement)).all()
    except DBAPIError as error:
        raise _translated(error) from error
    found: dict[Any, dict[int, tuple[int, ...]]] = {}
    for name, where, *parts in rows:
        index = (
            (to_microseconds(where) - begin) // _QUARTER_MICROSECONDS
            if isinstance(where, datetime)
            else where
        )
        found.setdefault(name, {})[index] = tuple(map(int, parts))
    return found


def _buckets(buckets: Sequence[tuple[datetime, datetime]]) -> CTE:
    """The buckets as a table to join, so that the store adds up and not we."""
    return (
        values(
            column("place", whole()),
            column("begins", whole()),
            column("ends", whole()),
            name="bucket",
            literal_binds=True,
        )
        .data(
            [
                (place, to_microseconds(begins), to_microseconds(ends))
                for place, (begins, ends) in enumerate(buckets)
            ]
        )
        .cte("bucket")
    )


async def load_subjects(
    connection: AsyncConnection, dimension: UsageDimension, ids: Sequence[int]
) -> Mapping[int, SubjectRow]:
    """The objects behind groups, by id, deleted ones included."""
    table = {
        UsageDimension.PROVIDER: providers,
        UsageDimension.MODEL: models,
        UsageDimension.FAILOVER_CHAIN: failover_chains,
    }.get(dimension)
    if table is None or not ids:
        return {}
    statement = select(table.c.id, table.c.name, table.c.deleted_at).where(table.c.id.in_(ids))
    return {
        row.id: SubjectRow(row.id, row.name, row.deleted_at is None)
        for row in await connection.execute(statement)
    }


async def page_events(
    connection: AsyncConnection,
    page: PageRequest,
    condition: UsageCondition,
    span: tuple[datetime, datetime] | None,
) -> Slice[UsageEventRow]:
    """Events, newest first; `span` is begin (in) and end (out)."""
    statement = _event_rows().where(*_matching(condition, usage_events.c))
    if span is not None:
        statement = statement.where(
            usage_events.c.occurred_at >= span[0], usage_events.c.occurred_at < span[1]
        )
    if page.after is not None:
        occurred, last_id = decode_cursor(_ORDER, page.after, (int, int))
        moment = from_microseconds(int(occurred))
        statement = statement.where(
            or_(
                usage_events.c.occurred_at < moment,
                and_(usage_events.c.occurred_at == moment, usage_events.c.id < last_id),
            )
        )
    statement = statement.order_by(
        usage_events.c.occurred_at.desc(), usage_events.c.id.desc()
    ).limit(page.first + 1)
    found = [_event(row) for row in await connection.execute(statement)]
    return slice_of(page, found, lambda row: (to_microseconds(row.occurred_at), row.id), _ORDER)


async def find_event(connection: AsyncConnection, event_id: int) -> UsageEventRow | None:
    """The event with this id."""
    statement = _event_rows().where(usage_events.c.id == event_id)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _event(row)


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


def _matching(condition: UsageCondition, columns: Any) -> list[ColumnElement[bool]]:
    wanted = (
        (columns.provider_id, condition.provider_ids),
        (columns.model_id, condition.model_ids),
        (columns.agent, condition.agents),
        (columns.chain_id, condition.chain_ids),
    )
    return [name.in_(listed) for name, listed in wanted if listed is not None]


def _quarter(instant: datetime) -> int:
    microseconds = to_microseconds(instant)
    return microseconds - microseconds % _QUARTER_MICROSECONDS


def _columns(event: NewEventRow, now: datetime) -> dict[str, Any]:
    return {
        "idempotency_key": event.idempotency_key,
        "fingerprint": event.fingerprint,
        "occurred_at": event.occurred_at,
        "recorded_at": now,
        "provider_id": event.provider_id,
        "model_id": event.model_id,
        "agent": event.agent,
        "chain_id": event.chain_id,
        "succeeded": event.succeeded,
        "input_tokens": event.input_tokens,
        "cache_read_tokens": event.cache_read_tokens,
        "cache_write_tokens": event.cache_write_tokens,
        "output_tokens": event.output_tokens,
        "reasoning_tokens": event.reasoning_tokens,
        "estimated": event.estimated,
        "cost_nanos": event.cost_nanos,
        "latency_ms": event.latency_ms,
    }


def _event_rows() -> Select[Any]:
    return (
        select(
            usage_events,
            providers.c.name.label("provider_label"),
            models.c.name.label("model_label"),
            failover_chains.c.name.label("chain_label"),
        )
        .join(providers, providers.c.id == usage_events.c.provider_id)
        .join(models, models.c.id == usage_events.c.model_id)
        .outerjoin(failover_chains, failover_chains.c.id == usage_events.c.chain_id)
    )


def _event(row: Row[Any]) -> UsageEventRow:
    return UsageEventRow(
        id=row.id,
        occurred_at=row.occurred_at,
        provider_id=row.provider_id,
        provider_label=row.provider_label,
        model_id=row.model_id,
        model_label=row.model_label,
        failover_chain_id=row.chain_id or None,
        failover_chain_label=row.chain_label,
        agent=row.agent or None,
        succeeded=row.succeeded,
        input_tokens=row.input_tokens,
        cache_read_tokens=row.cache_read_tokens,
        cache_write_tokens=row.cache_write_tokens,
        output_tokens=row.output_tokens,
        reasoning_tokens=row.reasoning_tokens,
        estimated=row.estimated,
        cost_usd=row.cost_nanos,
        latency_ms=row.latency_ms,
    )
