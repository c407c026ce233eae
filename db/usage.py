"""Usage events: each counted once under its key, and read page by page, newest first.

Events outlive what they name: providers, models and chains are tombstoned, so their names can
still be joined. The clock of commits lives here too. The sums of events are in `usage_rollups`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy import Row as Found
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import BulkInsert, Row, among
from db.columns import from_microseconds, to_microseconds
from db.paging import BadCursor, PageRequest, Slice, decode_cursor, slice_of
from db.tables import failover_chains, models, providers, usage_clock, usage_events

_ORDER = "usage_events"
_COLUMNS = tuple(column.name for column in usage_events.columns if column.name != "id")
_INSERT = BulkInsert(
    usage_events,
    _COLUMNS,
    on_conflict="(idempotency_key) DO NOTHING",
    returning="idempotency_key",
)


@dataclass(slots=True, kw_only=True)
class NewEventRow:
    """An event to insert: checked, priced, its names resolved. "" and 0 stand for none.

    Nobody changes one: it is not frozen because that takes three times as long to make.
    """

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
    """What usage is narrowed to; None: not by this. An empty list matches nothing.

    `agents` may hold "", and `chain_ids` 0, for usage with none.
    """

    provider_ids: tuple[int, ...] | None = None
    model_ids: tuple[int, ...] | None = None
    agents: tuple[str, ...] | None = None
    chain_ids: tuple[int, ...] | None = None


def matching(condition: UsageCondition, columns: Any) -> list[ColumnElement[bool]]:
    """The condition on the columns of events or of rollups."""
    wanted = (
        (columns.provider_id, condition.provider_ids),
        (columns.model_id, condition.model_ids),
        (columns.agent, condition.agents),
        (columns.chain_id, condition.chain_ids),
    )
    return [name.in_(listed) for name, listed in wanted if listed is not None]


async def hold_providers(connection: AsyncConnection, ids: Sequence[int]) -> frozenset[int]:
    """The living ones among these, which nobody deletes until the transaction ends.

    Shared with other recorders: a lock of one's own would wait for every event under way.
    """
    statement = (
        select(providers.c.id)
        .where(providers.c.id.in_(sorted(ids)), providers.c.deleted_at.is_(None))
        .order_by(providers.c.id)
        .with_for_update(read=True)
    )
    return frozenset(await connection.scalars(statement))


async def insert_events(
    connection: AsyncConnection, events: Sequence[NewEventRow], *, now: datetime
) -> frozenset[str]:
    """Insert those whose keys are new, and return their keys. Does not touch rollups.

    Sorted by key: writers that insert the same keys in different orders deadlock.
    """
    recorded_at = to_microseconds(now)
    rows = sorted((_values(event, recorded_at) for event in events), key=itemgetter(0))
    if connection.dialect.name == "postgresql":
        return frozenset(await _INSERT.run(connection, rows))
    # Nobody else writes meanwhile, and ids are never reused: what is new comes after the last.
    last = await connection.scalar(select(func.coalesce(func.max(usage_events.c.id), 0)))
    await _INSERT.run(connection, rows)
    return frozenset(
        await connection.scalars(
            select(usage_events.c.idempotency_key).where(usage_events.c.id > last)
        )
    )


async def load_fingerprints(
    connection: AsyncConnection, keys: Sequence[str]
) -> Mapping[str, bytes]:
    """The fingerprints of those keys that were recorded before."""
    statement = select(usage_events.c.idempotency_key, usage_events.c.fingerprint).where(
        among(connection, usage_events.c.idempotency_key, keys)
    )
    return {key: bytes(fingerprint) for key, fingerprint in await connection.execute(statement)}


@dataclass(frozen=True, slots=True)
class ClockRow:
    """The order of commits, and the moment before which no event is taken any more."""

    as_of: datetime
    expired_before: datetime


async def advance_clock(connection: AsyncConnection, now: datetime) -> ClockRow:
    """Move the order of commits forward and return where it stands: later than any before.

    The row stays locked until the commit, so that the order of its values is that of commits, and
    nothing expires meanwhile.
    """
    clock = (await connection.execute(select(usage_clock).with_for_update())).one()
    as_of = max(now, clock.as_of + timedelta(microseconds=1))
    await connection.execute(update(usage_clock).values(as_of=as_of))
    return ClockRow(as_of, clock.expired_before)


async def read_clock(connection: AsyncConnection) -> datetime:
    """The commit that this transaction's snapshot shows."""
    as_of: datetime | None = await connection.scalar(select(usage_clock.c.as_of))
    if as_of is None:
        raise LookupError("the usage clock is missing: migrations set it")
    return as_of


async def page_events(
    connection: AsyncConnection,
    page: PageRequest,
    condition: UsageCondition,
    span: tuple[datetime, datetime] | None,
) -> Slice[UsageEventRow]:
    """Events, newest first; `span` is begin (in) and end (out). Raises `BadCursor`."""
    statement = _event_rows().where(*matching(condition, usage_events.c))
    if span is not None:
        statement = statement.where(
            usage_events.c.occurred_at >= span[0], usage_events.c.occurred_at < span[1]
        )
    if page.after is not None:
        moment, last_id = _place(page.after)
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


def _place(cursor: str) -> tuple[datetime, int]:
    microseconds, last_id = decode_cursor(_ORDER, cursor, (int, int))
    try:
        return from_microseconds(int(microseconds)), int(last_id)
    except OverflowError as error:  # A year that no calendar has: not one of our cursors.
        raise BadCursor from error


def _values(event: NewEventRow, recorded_at: int) -> Row:
    """In the order of `_COLUMNS`, as the drivers take them."""
    return (
        event.idempotency_key,
        event.fingerprint,
        to_microseconds(event.occurred_at),
        recorded_at,
        event.provider_id,
        event.model_id,
        event.agent,
        event.chain_id,
        event.succeeded,
        event.input_tokens,
        event.cache_read_tokens,
        event.cache_write_tokens,
        event.output_tokens,
        event.reasoning_tokens,
        event.estimated,
        event.cost_nanos,
        event.latency_ms,
    )


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


def _event(row: Found[Any]) -> UsageEventRow:
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
