"""Deleting old events, while the rollups that sum them stay."""

from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import usage_clock, usage_events


async def read_expiry(connection: AsyncConnection) -> datetime:
    """The watermark: events before it are deleted or about to be, and none is taken any more."""
    found: datetime | None = await connection.scalar(select(usage_clock.c.expired_before))
    if found is None:
        raise LookupError("the usage clock is missing: migrations set it")
    return found


async def expire_before(connection: AsyncConnection, moment: datetime) -> None:
    """Move the watermark forward; it never goes back. Whoever records waits, or is done."""
    await connection.execute(
        update(usage_clock)
        .where(usage_clock.c.expired_before < moment)
        .values(expired_before=moment)
    )


async def delete_expired(connection: AsyncConnection, most: int) -> int:
    """Delete at most so many events before the watermark, oldest first; how many there were."""
    expired = (
        select(usage_events.c.id)
        .where(usage_events.c.occurred_at < select(usage_clock.c.expired_before).scalar_subquery())
        .order_by(usage_events.c.occurred_at, usage_events.c.id)
        .limit(most)
        # Another server may be at it too: each takes events of its own.
        .with_for_update(skip_locked=True, of=usage_events)
    )
    result = await connection.execute(
        delete(usage_events).where(usage_events.c.id.in_(expired.scalar_subquery()))
    )
    return result.rowcount
