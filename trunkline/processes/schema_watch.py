"""Notices that a newer version has migrated the database beneath a server.

In a rolling upgrade the new version migrates while the old one serves. The old one knows nothing of
what the new tables mean: it would leave out what newer writers write, and could break what they
rely on. So it ends, in its grace time, and says why.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from db.engine import Database
from db.failing import StoreUnavailable
from db.migrate import newest_revision, present_revision

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0

Sleep = Callable[[float], Awaitable[None]]


class SchemaChanged(Exception):
    """The database is at another revision than this version's."""

    def __init__(self, found: str, known: str) -> None:
        super().__init__(
            f"the database was migrated to revision {found} while this server ran, whose own is "
            f"{known}: it has stopped, so that it writes nothing that the newer version relies on. "
            "Start the newer version in its place"
        )


async def schema_changed(database: Database, *, sleep: Sleep = asyncio.sleep) -> SchemaChanged:
    """Wait until the revision is another. A store that can't be reached for now is waited for."""
    known = newest_revision()
    while True:
        await sleep(LOOK_SECONDS)
        try:
            async with database.read() as connection:
                found = await present_revision(connection)
        except StoreUnavailable:
            continue
        except Exception:  # The watch outlives the store's bad moments.
            log.exception("the database's revision could not be looked at")
            continue
        if found != known:
            return SchemaChanged(found, known)


@asynccontextmanager
async def watching_schema(
    database: Database, when_changed: Callable[[SchemaChanged], None]
) -> AsyncIterator[None]:
    """For as long as the block; `when_changed` is called once at most."""
    task = asyncio.create_task(schema_changed(database))

    def tell(done: "asyncio.Task[SchemaChanged]") -> None:
        if not done.cancelled():
            when_changed(done.result())

    task.add_done_callback(tell)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
