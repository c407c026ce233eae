"""Tells whoever holds a socket or a stream open that the session that let it in has ended.

A session ends when its browser signs out, here or at another server on the same database, or when
its time is over. One statement a tick looks after all of them, while any are open.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import structlog

from db.engine import Database
from db.sessions import living_sessions
from trunkline.clock import Clock

log = structlog.get_logger("trunkline.server")

TICK_SECONDS = 0.25
RETRY_SECONDS = 5.0

OnEnd = Callable[[], None]
Sleep = Callable[[float], Awaitable[None]]


class AccessWatch:
    """Touched by the event loop's thread only. It runs no task while nothing is watched."""

    def __init__(self, database: Database, clock: Clock, *, sleep: Sleep = asyncio.sleep) -> None:
        self._database = database
        self._clock = clock
        self._sleep = sleep
        # By the hash of a session's token.
        self._open: dict[bytes, list[OnEnd]] = {}
        self._looking: asyncio.Task[None] | None = None

    @contextmanager
    def watching(self, session: bytes | None, on_end: OnEnd) -> Iterator[None]:
        """Call `on_end` once if this session ends within the block; None: it never does."""
        if session is None:
            yield
            return
        watchers = self._open.setdefault(session, [])
        watchers.append(on_end)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            # Whoever was told is listed no more.
            if on_end in watchers:
                watchers.remove(on_end)
            if not watchers and self._open.get(session) is watchers:
                del self._open[session]
            if not self._open and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    def end(self, session: bytes) -> None:
        """It has ended just now."""
        watchers = self._open.pop(session, [])
        told, watchers[:] = [*watchers], []
        for on_end in told:
            on_end()

    async def _look(self) -> None:
        failing = False
        while True:
            await self._sleep(RETRY_SECONDS if failing else TICK_SECONDS)
            open_now = [*self._open]
            try:
                async with self._database.read() as connection:
                    living = await living_sessions(connection, open_now, now=self._clock())
            except Exception:  # Nobody is thrown out by the store's bad moment.
                if not failing:
                    log.exception("sessions could not be looked at")
                failing = True
                continue
            failing = False
            for session in open_now:
                if session not in living:
                    self.end(session)
