"""The simulated provider's time, and two that tests set."""

import asyncio
import heapq
import time
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Protocol


class Timing(Protocol):
    """What the provider knows of time. `monotonic` is in seconds."""

    def monotonic(self) -> float:
        """Never goes back."""

    def now(self) -> datetime:
        """What the clock on the wall says, in UTC."""

    async def sleep(self, seconds: float) -> None:
        """Let so much time pass."""


class RealTiming:
    """The machine's."""

    def monotonic(self) -> float:
        """`time.monotonic()`."""
        return time.monotonic()

    def now(self) -> datetime:
        """The machine's clock."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """`asyncio.sleep`."""
        await asyncio.sleep(seconds)


class SkippedTiming:
    """Every sleep is over at once. `slept` tells how long they would have been, in order."""

    def __init__(self, start: datetime = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)) -> None:
        self.slept: list[float] = []
        self._start = start
        self._elapsed = 0.0

    def monotonic(self) -> float:
        """What was slept until now."""
        return self._elapsed

    def now(self) -> datetime:
        """The start and what was slept since."""
        return self._start + timedelta(seconds=self._elapsed)

    async def sleep(self, seconds: float) -> None:
        """Note it, and let others run."""
        self.advance(seconds)
        self.slept.append(seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        """Let time pass outside of any sleep."""
        self._elapsed += seconds


class HeldTiming:
    """Stands still until `advance`: who sleeps stays asleep for as long as the test wants."""

    def __init__(self, start: datetime = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self._numbers = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._fell_asleep = asyncio.Condition()

    def monotonic(self) -> float:
        """What was advanced until now."""
        return self._elapsed

    def now(self) -> datetime:
        """The start and what was advanced since."""
        return self._start + timedelta(seconds=self._elapsed)

    async def sleep(self, seconds: float) -> None:
        """Until so much was advanced."""
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        async with self._fell_asleep:
            heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._numbers), wake))
            self._fell_asleep.notify_all()
        await wake

    def advance(self, seconds: float) -> None:
        """Move on, and wake who is due."""
        self._elapsed += seconds
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            wake = heapq.heappop(self._sleepers)[2]
            if not wake.done():
                wake.set_result(None)

    async def until_asleep(self, sleepers: int = 1) -> None:
        """Until at least so many sleep."""
        async with self._fell_asleep:
            await self._fell_asleep.wait_for(lambda: self.asleep() >= sleepers)

    def asleep(self) -> int:
        """How many sleep."""
        return sum(not wake.done() for *_, wake in self._sleepers)
