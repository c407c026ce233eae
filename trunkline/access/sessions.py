"""The use cases about browser sessions: which there are, ending them, and noting their use.

Sockets and event streams of a session that ends are closed by the servers that hold them, which
look after what is open at each tick.
"""

import asyncio
from datetime import datetime, timedelta

import structlog

from db.engine import Connection, Database
from db.sessions import BrowserSessionRow, Holder, end_sessions, note_session_use
from trunkline.access.allowed import Access
from trunkline.changes import not_found
from trunkline.clock import Clock
from trunkline.events import Event
from trunkline.services import Services

log = structlog.get_logger(__name__)

NOTED_EVERY = timedelta(minutes=1)
"""How exact `last_used_at` is."""
_MOST_NOTED = 10_000


def seen_by(access: Access, token_id: int | None) -> Holder | None:
    """Whose sessions somebody may see and end: everybody's, as None, for who may do everything;
    others' own are those begun with the same access token.
    """
    return None if access.is_full else Holder(token_id)


async def revoke_session(services: Services, session_id: int, *, of: Holder | None) -> None:
    """End a session. Raises `Refused`: NOT_FOUND, also for one that is none of `of`."""

    async def revoke(connection: Connection) -> tuple[None, list[Event]]:
        ended = await end_sessions(connection, of=of, now=services.clock(), only=session_id)
        if not ended:
            raise not_found(("id",), "browser session")
        return None, []

    await services.commit(revoke)


async def revoke_sessions(
    services: Services, *, of: Holder | None, but: bytes | None = None
) -> int:
    """End every session of a holder, or of everybody, but the one with the token of this hash.
    Returns how many.
    """

    async def revoke(connection: Connection) -> tuple[int, list[Event]]:
        ended = await end_sessions(connection, of=of, now=services.clock(), but=but)
        return len(ended), []

    return await services.commit(revoke)


class SessionUses:
    """Stores when sessions were last used. Touched by the event loop's thread only."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._noted: dict[int, datetime] = {}
        self._noting: set[asyncio.Task[None]] = set()

    def note(self, session: BrowserSessionRow) -> None:
        """It was used now. At most once a minute this is stored, and nobody waits for it."""
        now = self._clock()
        last = self._noted.get(session.id, session.last_used_at)
        if last is not None and timedelta() <= now - last < NOTED_EVERY:
            return
        if len(self._noted) >= _MOST_NOTED:
            self._noted.clear()
        self._noted[session.id] = now
        task = asyncio.create_task(self._store(session.id, now))
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def drain(self) -> None:
        """Wait until every use is stored."""
        await asyncio.gather(*self._noting)

    async def _store(self, session_id: int, now: datetime) -> None:
        async def store(connection: Connection) -> None:
            await note_session_use(connection, session_id, now=now, every=NOTED_EVERY)

        try:
            await self._database.transact(store)
        except Exception:  # Nobody is refused because a use couldn't be noted.
            log.exception("the use of a session could not be stored", session_id=session_id)
