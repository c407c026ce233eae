"""Tells whoever holds a socket or a stream open that what let it in no longer does.

A session ends when its browser signs out, here or at another server on the same database, or when
its time is over; an access token when it is revoked or expires, or when the grace after its
rotation is over. One statement a tick looks after all of them, while any are open.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import structlog

from db.access_tokens import living_access
from db.engine import Database
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
        # By the hash of a session's token or of an access token.
        self._open: dict[bytes, list[OnEnd]] = {}
        self._looking: asyncio.Task[None] | None = None

    @contextmanager
    def watching(self, proofs: tuple[bytes, ...], on_end: OnEnd) -> Iterator[None]:
        """Call `on_end` once if one of these ends within the block: hashes of sessions and access
        tokens. Without any it never does.
        """
        told = False

        def tell() -> None:
            nonlocal told
            if not told:
                told = True
                on_end()

        for proof in proofs:
            self._open.setdefault(proof, []).append(tell)
        if proofs and self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            for proof in proofs:
                self._forget(proof, tell)
            if not self._open and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    def end(self, proof: bytes) -> None:
        """It has ended just now."""
        for on_end in self._open.pop(proof, []):
            on_end()

    def _forget(self, proof: bytes, on_end: OnEnd) -> None:
        watchers = self._open.get(proof, [])
        # Whoever was told is listed no more.
        if on_end in watchers:
            watchers.remove(on_end)
        if not watchers:
            self._open.pop(proof, None)

    async def _look(self) -> None:
        failing = False
        while True:
            await self._sleep(RETRY_SECONDS if failing else TICK_SECONDS)
            open_now = [*self._open]
            try:
                async with self._database.read() as connection:
                    living = await living_access(connection, open_now, now=self._clock())
            except Exception:  # Nobody is thrown out by the store's bad moment.
                if not failing:
                    log.exception("sessions and access tokens could not be looked at")
                failing = True
                continue
            failing = False
            for proof in open_now:
                if proof not in living:
                    self.end(proof)
