"""The gateway's time in tests: it stands still until a test lets some pass, or somebody pauses."""

import asyncio
import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

from trunkline.failover.backoff import LONGEST_SECONDS

_BEGAN = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)


class Ring:
    """A timer that is set."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Don't ring."""
        self.callback = None


class SetTime:
    """A pause before a retry is over at once, and has let its time pass; `slept` tells how long
    each was. What sleeps for longer than those (to keep a connection alive) sleeps until the test
    lets so much time pass.
    """

    def __init__(self) -> None:
        self.elapsed = 0.0
        self.slept: list[float] = []
        self._numbers = count()
        self._rings: list[tuple[float, int, Ring]] = []

    def now(self) -> float:
        """Seconds since the test began."""
        return self.elapsed

    def clock(self) -> datetime:
        """The same as an instant."""
        return _BEGAN + timedelta(seconds=self.elapsed)

    async def sleep(self, seconds: float) -> None:
        """Let so much time pass, and others run."""
        if seconds > LONGEST_SECONDS:
            over = asyncio.Event()
            self.call_later(seconds, over.set)
            await over.wait()
            return
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Ring:
        """Call this once so much time has passed."""
        ring = Ring(callback)
        heapq.heappush(self._rings, (self.elapsed + seconds, next(self._numbers), ring))
        return ring

    def advance(self, seconds: float) -> None:
        """Let time pass, and ring what is due on the way."""
        until = self.elapsed + seconds
        while self._rings and self._rings[0][0] <= until:
            due, _, ring = heapq.heappop(self._rings)
            self.elapsed = max(self.elapsed, due)
            if ring.callback is not None:
                ring.callback()
        self.elapsed = until
