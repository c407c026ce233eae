"""Tokens that were shown lately, kept in memory: requests of the gateway cost no read of their own.

What is kept is dropped at once when a token changes in this process or another that sends word,
and after `KEPT` in any case. Unknown tokens are not kept, so nobody fills the memory with them.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from db.access_tokens import AccessTokenRow, find_token, note_use
from db.engine import Connection, Database
from trunkline.access.changes import PREFIX
from trunkline.clock import Clock
from trunkline.events import AccessTokenChanged, EventBus
from trunkline.secrets import fingerprint

log = structlog.get_logger(__name__)

KEPT = timedelta(seconds=0.25)
NOTED_EVERY = timedelta(minutes=1)
"""How exact `last_used_at` is."""
_LONGEST = 100


@dataclass(frozen=True, slots=True)
class _Kept:
    token: AccessTokenRow
    read_at: datetime


class KnownTokens:
    """Touched by the event loop's thread only."""

    def __init__(self, database: Database, clock: Clock, events: EventBus | None = None) -> None:
        self._database = database
        self._clock = clock
        # By the hash that was shown. No more of them than there are tokens, and those before them.
        self._kept: dict[bytes, _Kept] = {}
        # Counts what was dropped: a read that began before a change isn't kept after it.
        self._generation = 0
        self._noted: dict[int, datetime] = {}
        self._noting: set[asyncio.Task[None]] = set()
        if events is not None:
            events.call(self._drop, AccessTokenChanged)

    async def admit(self, text: str) -> tuple[AccessTokenRow, bytes] | None:
        """The token that this text is, and the hash by which it is let in; None where it is none
        that lets in now. That it was used is noted.
        """
        if not text.startswith(PREFIX) or len(text) > _LONGEST or not text.isascii():
            return None
        token_hash = fingerprint(text)
        token = await self.find(token_hash)
        if token is None:
            return None
        self._note_use(token)
        return token, token_hash

    async def find(self, token_hash: bytes) -> AccessTokenRow | None:
        """The token that is let in by this hash now."""
        now = self._clock()
        kept = self._kept.get(token_hash)
        if kept is None or not timedelta() <= now - kept.read_at < KEPT:
            generation = self._generation
            async with self._database.read() as connection:
                token = await find_token(connection, token_hash)
            if token is None:
                self._kept.pop(token_hash, None)
                return None
            kept = _Kept(token, now)
            if generation == self._generation:
                self._kept[token_hash] = kept
        return kept.token if kept.token.admits(token_hash, now) else None

    async def drain(self) -> None:
        """Wait until every use is stored."""
        await asyncio.gather(*self._noting)

    def _drop(self) -> None:
        self._generation += 1
        self._kept.clear()
        self._noted.clear()

    def _note_use(self, token: AccessTokenRow) -> None:
        now = self._clock()
        last = self._noted.get(token.id, token.last_used_at)
        if last is not None and timedelta() <= now - last < NOTED_EVERY:
            return
        self._noted[token.id] = now
        task = asyncio.create_task(self._store_use(token.id, now))
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def _store_use(self, token_id: int, now: datetime) -> None:
        async def store(connection: Connection) -> None:
            await note_use(connection, token_id, now=now, every=NOTED_EVERY)

        try:
            await self._database.transact(store)
        except Exception:  # Nobody is refused because a use couldn't be noted.
            log.exception("the use of an access token could not be stored", token_id=token_id)
