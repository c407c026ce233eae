"""Time that passes as soon as everybody waits for it."""

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")

_BEGAN = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
# Rounds of the loop in which nothing is set for later, and so everybody waits.
_IDLE_ROUNDS = 25


class Ring:
    """A timer of the simulated loop."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class SimulatedTime:
    """`run` something to its end; what it waits for comes at once, in order."""

    def __init__(self) -> None:
        self.now = 0.0
        self._numbers = count()
        self._rings: list[tuple[float, int, Ring]] = []

    def clock(self) -> datetime:
        return _BEGAN + timedelta(seconds=self.now)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Ring:
        ring = Ring(callback)
        heapq.heappush(self._rings, (self.now + seconds, next(self._numbers), ring))
        return ring

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        ring = self.call_later(seconds, wake)
        try:
            await woken
        finally:
            ring.cancel()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Its result, however long it takes by this clock."""
        task = asyncio.ensure_future(work)
        while not task.done():
            await self.settled()
            if not task.done():
                assert self.step(), "everybody waits for nothing"
        return await task

    async def settled(self) -> None:
        """Until everybody waits."""
        for _ in range(_IDLE_ROUNDS):
            await asyncio.sleep(0)

    def step(self) -> bool:
        """Let time pass to the next timer; False: there is none."""
        while self._rings:
            when, _, ring = heapq.heappop(self._rings)
            if ring.callback is not None:
                self.now = max(self.now, when)
                ring.callback()
                return True
        return False

    async def until(self, moment: float) -> None:
        """Let time pass up to a moment, with everything that is due by then."""
        while True:
            await self.settled()
            due = [when for when, _, ring in self._rings if ring.callback is not None]
            if not due or min(due) > moment:
                break
            self.step()
        self.now = max(self.now, moment)
