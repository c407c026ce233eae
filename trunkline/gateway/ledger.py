"""The gateway's ledger: requests that ended, on their way to the database.

Recording never delays an answer. What ended is committed together a moment later; where the
database is slower than the requests, those that come wait before they are sent, and nothing is
lost. A kill loses what ended in the last moment at most.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from db.gateway_requests import NewGatewayRequest
from trunkline.gateway.configuration import GatewayModel
from trunkline.gateway.tally import GatewayTally

log = structlog.get_logger(__name__)

GATHER_SECONDS = 0.05
"""How long what ended waits for others to be committed with."""
MOST_TOGETHER = 500
"""Requests of one transaction."""
MOST_WAITING = 5_000
"""Requests that ended and are not yet stored; beyond them new ones wait."""
RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class EndedRequest:
    """A request that ended, and the models that its attempts were of, by id: for their prices.
    What its attempts cost is not known yet.
    """

    row: NewGatewayRequest
    models: Mapping[int, GatewayModel]


Sleep = Callable[[float], Awaitable[None]]
Commit = Callable[[Sequence[EndedRequest]], Awaitable[None]]


_FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""Errors of our own making, which trying again doesn't mend."""


class Unstorable(ValueError):
    """Raised by `Commit`: these can't be stored, now or ever."""


class Ledger:
    """`add` what ended; `run` stores it. Touched by the event loop's thread only."""

    def __init__(self, *, sleep: Sleep = asyncio.sleep) -> None:
        self._sleep = sleep
        self.tally = GatewayTally()
        self._waiting: list[EndedRequest] = []
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._arrived = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        """How many are not yet stored."""
        return len(self._waiting)

    async def room(self) -> None:
        """Wait until there is room for one that is yet to come."""
        if not self._has_room.is_set():
            await self._has_room.wait()

    def add(self, request: EndedRequest) -> None:
        """Store this soon, and count it now."""
        self.tally.add(request.row)
        self._waiting.append(request)
        self._arrived.set()
        self._empty.clear()
        if len(self._waiting) >= MOST_WAITING:
            self._has_room.clear()

    async def drained(self) -> None:
        """Wait until everything is stored."""
        await self._empty.wait()

    async def run(self, commit: Commit) -> None:
        """Store what comes, until cancelled. What the store refuses for now is tried again."""
        failing = False
        while True:
            await self._arrived.wait()
            await self._sleep(RETRY_SECONDS if failing else GATHER_SECONDS)
            batch = self._waiting[:MOST_TOGETHER]
            try:
                await _commit(commit, batch)
            except Exception:  # It outlives the store's bad moments, and loses nothing by them.
                if not failing:
                    log.exception("gateway requests can't be stored just now", waiting=len(self))
                failing = True
                continue
            failing = False
            del self._waiting[: len(batch)]
            self._settle()

    def _settle(self) -> None:
        if len(self._waiting) < MOST_WAITING:
            self._has_room.set()
        if not self._waiting:
            self._arrived.clear()
            self._empty.set()


async def _commit(commit: Commit, batch: Sequence[EndedRequest]) -> None:
    try:
        await commit(batch)
    except _FAULTS as error:
        if len(batch) == 1:
            log.exception(
                "a gateway request can't be stored, and is left out",
                request_id=batch[0].row.request_id,
                exc_info=error,
            )
            return
        # It can't be said whose fault it is: each half finds out for itself.
        half = len(batch) // 2
        await _commit(commit, batch[:half])
        await _commit(commit, batch[half:])
