"""Sleeps by a clock that is set, for what waits for time to pass."""

import asyncio
from datetime import timedelta

from tests.conftest import SetClock


class Time:
    """Passes when it is told to; nothing here waits on a real clock.

    `timer` and `sleep` count by seconds that only go forward, as a machine's do; the clock on the
    wall goes along and can be set besides.
    """

    def __init__(self, clock: SetClock) -> None:
        self.clock = clock
        self.passed = 0.0
        self.sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def timer(self) -> float:
        """Seconds that passed."""
        return self.passed

    async def sleep(self, seconds: float) -> None:
        wake = asyncio.get_running_loop().create_future()
        sleeper = (self.passed + seconds, wake)
        self.sleepers.append(sleeper)
        try:
            await wake
        finally:
            if sleeper in self.sleepers:
                self.sleepers.remove(sleeper)

    def advance(self, **by: float) -> None:
        """Let time pass; the clock goes along."""
        self.clock.advance(**by)
        # Seconds to the microsecond, as the clock counts them: sums of floats drift apart.
        self.passed = round(self.passed + timedelta(**by).total_seconds(), 6)
        for until, wake in self.sleepers:
            if until <= self.passed + 1e-9 and not wake.done():
                wake.set_result(None)
        self.sleepers = [(until, wake) for until, wake in self.sleepers if not wake.done()]

    def set_clock(self, **by: float) -> None:
        """Set the clock on the wall by this much, back where it is negative; no time passes."""
        self.clock.advance(**by)
