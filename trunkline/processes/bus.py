"""The bus: carries what a process has committed to the servers on the same database, at once.

It only hastens. Counters in the database are the truth, and every server polls them: a bus may
lose, repeat, mix up or make up messages, and whoever listens must stand all of that.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

Hear = Callable[[bytes], None]
"""Takes one message; never raises, never waits."""


class Bus(Protocol):
    """Made and closed by `server/wiring.py`."""

    def send(self, message: bytes) -> None:
        """Hand a message over, for every listener, our own process's too. Never waits or raises."""
        ...

    async def listen(self, hear: Hear) -> None:
        """Give each message to `hear`, until cancelled. Raises nothing else."""
        ...


class NoBus:
    """Where no bus is set up: nobody to tell, nothing to hear; the poll does it alone."""

    def send(self, message: bytes) -> None:
        """Drop it."""

    async def listen(self, hear: Hear) -> None:  # noqa: ARG002  # nothing is ever heard
        """Wait for good."""
        await asyncio.Event().wait()
