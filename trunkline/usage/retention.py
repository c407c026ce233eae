"""Retention: events older than so many days are deleted, their sums stay. The gateway's requests
of those days go with them.

The watermark moves first, in the transaction of the first deletion: from then on nothing is
recorded from before it, so an event that was deleted and is sent again is refused, never counted
twice. It lies on a midnight in UTC, so that whoever compares rollups with events has whole days.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, time, timedelta

import structlog

from db.engine import Connection, Database
from db.gateway_requests import delete_expired_requests
from db.usage_retention import delete_expired, expire_before
from trunkline.clock import Clock

log = structlog.get_logger(__name__)

BATCH = 1_000
"""Events of one transaction: recorders wait for no more than that."""
PAUSE_SECONDS = 0.05
INTERVAL_SECONDS = 3_600.0

Sleep = Callable[[float], Awaitable[None]]


async def expire_events(
    database: Database, days: int, clock: Clock, *, sleep: Sleep = asyncio.sleep
) -> int:
    """Delete the events of all days but the last `days` before today, in UTC; how many there were.

    Stopped anywhere it has done no harm, and the next run goes on. Several may run at once.
    """
    before = oldest_kept(days, clock())

    async def begin(connection: Connection) -> int:
        await expire_before(connection, before)
        return await delete_expired(connection, BATCH)

    async def go_on(connection: Connection) -> int:
        return await delete_expired(connection, BATCH)

    return await _in_batches(database, begin, go_on, sleep)


async def expire_gateway_requests(database: Database, *, sleep: Sleep = asyncio.sleep) -> int:
    """Delete the gateway's requests from before the watermark that `expire_events` moved; how many
    there were.
    """

    async def delete(connection: Connection) -> int:
        return await delete_expired_requests(connection, BATCH)

    return await _in_batches(database, delete, delete, sleep)


def oldest_kept(days: int, now: datetime) -> datetime:
    """The midnight in UTC from which events are kept: `days` whole days, and today's."""
    today = datetime.combine(now.astimezone(UTC).date(), time(), UTC)
    return today - timedelta(days=days)


@asynccontextmanager
async def expiring(database: Database, days: int | None, clock: Clock) -> AsyncIterator[None]:
    """Expire events for as long as the block runs; with None for `days` none ever."""
    if days is None:
        yield
        return
    task = asyncio.create_task(keep_expiring(database, days, clock))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def keep_expiring(
    database: Database, days: int, clock: Clock, *, sleep: Sleep = asyncio.sleep
) -> None:
    """Expire events now and every hour, until it is cancelled."""
    while True:
        try:
            count = await expire_events(database, days, clock, sleep=sleep)
            requests = await expire_gateway_requests(database, sleep=sleep)
        except Exception:  # The store's bad moment: the next hour does what this one didn't.
            log.exception("old usage events could not be deleted")
        else:
            if count or requests:
                log.info(
                    "old usage events deleted",
                    events=count,
                    gateway_requests=requests,
                    older_than_days=days,
                )
        await sleep(INTERVAL_SECONDS)


async def _in_batches(
    database: Database,
    begin: Callable[[Connection], Awaitable[int]],
    go_on: Callable[[Connection], Awaitable[int]],
    sleep: Sleep,
) -> int:
    deleted = total = await database.transact(begin)
    while deleted == BATCH:
        await sleep(PAUSE_SECONDS)
        deleted = await database.transact(go_on)
        total += deleted
    return total
