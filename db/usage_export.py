"""Recorded events page by page for an export, oldest first, and the ids behind names.

Events outlive what they name, and so do the names here: a slug stands for every object that has or
had it, deleted ones included.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Column, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import failover_chains, models, providers, usage_events
from db.usage import UsageCondition, matching

Place = tuple[datetime, int]
"""Where a page ended: an event's instant and id."""


class ExportedEvent(NamedTuple):
    """An event with the names that would record it again. An agent of "" stands for none."""

    id: int
    idempotency_key: str
    fingerprint: bytes
    occurred_at: datetime
    provider_slug: str
    model_name: str
    agent: str
    chain_slug: str | None
    succeeded: bool
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    estimated: bool
    cost_nanos: int | None
    latency_ms: int | None


_EVENTS = (
    select(
        usage_events.c.id,
        usage_events.c.idempotency_key,
        usage_events.c.fingerprint,
        usage_events.c.occurred_at,
        providers.c.slug,
        models.c.wire_name,
        usage_events.c.agent,
        failover_chains.c.slug,
        usage_events.c.succeeded,
        usage_events.c.input_tokens,
        usage_events.c.cache_read_tokens,
        usage_events.c.cache_write_tokens,
        usage_events.c.output_tokens,
        usage_events.c.reasoning_tokens,
        usage_events.c.estimated,
        usage_events.c.cost_nanos,
        usage_events.c.latency_ms,
    )
    # Outer joins keep SQLite from beginning with a small table and sorting every event.
    .outerjoin(providers, providers.c.id == usage_events.c.provider_id)
    .outerjoin(models, models.c.id == usage_events.c.model_id)
    .outerjoin(failover_chains, failover_chains.c.id == usage_events.c.chain_id)
    .order_by(usage_events.c.occurred_at, usage_events.c.id)
)


async def last_event_id(connection: AsyncConnection) -> int:
    """The newest event's id; 0 where there is none."""
    return await connection.scalar(select(func.max(usage_events.c.id))) or 0


async def read_events_after(
    connection: AsyncConnection,
    place: Place | None,
    *,
    count: int,
    up_to_id: int,
    condition: UsageCondition,
    start: datetime | None = None,
    end: datetime | None = None,
) -> list[ExportedEvent]:
    """The next `count` events after `place`, oldest first, none that is newer than `up_to_id`.

    `start` is inclusive, `end` exclusive. First those of the instant where the page before ended,
    then the later ones, each along the index: for both in one condition, also as a row value,
    SQLite would walk through all events of that instant again, and there may be a million.
    """
    columns = usage_events.c
    matched = _EVENTS.where(columns.id <= up_to_id, *matching(condition, columns))
    if end is not None:
        matched = matched.where(columns.occurred_at < end)
    found: list[ExportedEvent] = []
    if place is not None:
        instant, last_id = place
        same = matched.where(columns.occurred_at == instant, columns.id > last_id).limit(count)
        found = await _rows(connection, same)
        matched = matched.where(columns.occurred_at > instant)
    elif start is not None:
        matched = matched.where(columns.occurred_at >= start)
    if len(found) < count:
        found += await _rows(connection, matched.limit(count - len(found)))
    return found


async def provider_ids(connection: AsyncConnection, slugs: Sequence[str]) -> dict[str, set[int]]:
    """Every provider that has or had one of these slugs, by slug."""
    return await _ids(connection, providers.c.slug, slugs)


async def model_ids(connection: AsyncConnection, names: Sequence[str]) -> dict[str, set[int]]:
    """Every provider's models of these wire names, by name."""
    return await _ids(connection, models.c.wire_name, names)


async def chain_ids(connection: AsyncConnection, slugs: Sequence[str]) -> dict[str, set[int]]:
    """Every chain that has or had one of these slugs, by slug."""
    return await _ids(connection, failover_chains.c.slug, slugs)


async def _rows(connection: AsyncConnection, statement: Select[Any]) -> list[ExportedEvent]:
    return [ExportedEvent._make(row) for row in await connection.execute(statement)]


async def _ids(
    connection: AsyncConnection, name: Column[Any], names: Sequence[str]
) -> dict[str, set[int]]:
    statement = select(name, name.table.c.id).where(name.in_(names))
    found: dict[str, set[int]] = {}
    for one, one_id in await connection.execute(statement):
        found.setdefault(one, set()).add(one_id)
    return found
