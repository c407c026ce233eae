"""Sleeps by a clock that is set, for what waits for time to pass."""

import asyncio
from datetime import datetime, timedelta

from tests.conftest import SetClock


class Time:
    """Sleeps until the set clock has been moved far enough; nothing here waits on a real one."""

    def __init__(self, clock: SetClock) -> None:
        self.clock = clock
        self.sleepers: list[tuple[datetime, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        wake = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.clock() + timedelta(seconds=seconds), wake))
        await wake

    def advance(self, **by: float) -> None:
        self.clock.advance(**by)
        for until, wake in self.sleepers:
            if until <= self.clock() and not wake.done():
                wake.set_result(None)
        self.sleepers = [(until, wake) for until, wake in self.sleepers if not wake.done()]
