"""A feed: one series that is watched, kept at its newest state.

It listens before it reads, so nothing falls between. It reads at the first change after a quiet
time, then four times a second at most, and when time moves the window. One reading may come sooner
than a tick after the last, and is made up for by those that follow: a series that changes just as
often as it is read would else stay as late as it ever was. It rests after each reading four times
as long as that took, so that no series, however large, is read more than a fifth of the time. As
waiting for the store counts, many feeds together leave the store to others as well.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from trunkline.clock import Clock
from trunkline.errors import BadRequest
from trunkline.events import (
    EventBus,
    FailoverChainChanged,
    ModelChanged,
    ProviderChanged,
    Subscription,
    UsageRecorded,
)
from trunkline.usage.delta import Update, sharing, update_between
from trunkline.usage.reading import SeriesRequest
from trunkline.usage.series import Series

log = structlog.get_logger(__name__)

TICK_SECONDS = 0.25
REST = 4
"""How many times as long as a reading took a feed rests after it."""
LONGEST_RETRY_SECONDS = 8.0
# A sleep counts by another clock than windows do, which may be set, or go on while a machine is
# suspended.
LONGEST_SLEEP_SECONDS = 5.0

Sleep = Callable[[float], Awaitable[None]]
ReadSeries = Callable[[SeriesRequest], Awaitable[Series]]


@dataclass(frozen=True, slots=True)
class Means:
    """What feeds work with. `clock` says what time it is, `timer` how many seconds went by."""

    read: ReadSeries
    events: EventBus
    clock: Clock
    timer: Callable[[], float]
    sleep: Sleep


class Feed:
    """Keeps one series at its newest state from now on, and wakes those who are in `waking`.

    Touched by the event loop's thread only. `close` ends it.
    """

    def __init__(self, request: SeriesRequest, means: Means) -> None:
        self.subscribers = 0
        self.refusal: BadRequest | None = None
        self._request = request
        self._means = means
        self._newest: Series | None = None
        self._read_at = means.clock()
        self._failures = 0
        # By the timer: when the next reading may begin. A tick after this was last so, so that four
        # a second are kept over time.
        self._due = means.timer()
        # Set when there is a newer state, or a refusal.
        self.waking: set[asyncio.Event] = set()
        # To the newest state, by the identity of the state that a subscriber comes from. With that
        # state beside it, so that nothing else gets its identity meanwhile.
        self._updates: dict[int, tuple[Series | None, Update | None]] = {}
        self._task = asyncio.create_task(self._run())

    def step(self, held: object | None) -> tuple[Update | None, Series] | None:
        """What brings a subscriber from the state `held` to the newest, and that; None where it
        has it, or there is none yet. Compared once for all of them. Raises `BadRequest`.
        """
        if self.refusal is not None:
            # A new error each time: those who raise one would all add to one traceback.
            raise BadRequest(str(self.refusal))
        newest = self._newest
        if newest is None or newest is held:
            return None
        known = self._updates.get(id(held))
        if known is None:
            assert held is None or isinstance(held, Series)  # noqa: S101  # what it gave
            known = self._updates[id(held)] = (held, update_between(held, newest))
        return known[1], newest

    async def close(self) -> None:
        """End it, and wait until it has let go of the store."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        means = self._means
        with means.events.subscribe(
            UsageRecorded, ProviderChanged, ModelChanged, FailoverChainChanged
        ) as changes:
            while self.refusal is None:
                began = means.timer()
                self._due = max(began, self._due + TICK_SECONDS)
                await self._read()
                await means.sleep(self._rest(began, means.timer()))
                if not self._failures and self._newest is not None:
                    await self._something_happens(self._newest, changes)

    async def _read(self) -> None:
        """Bring the feed to the newest state; where the store fails, count that."""
        self._read_at = self._means.clock()
        try:
            newest = sharing(await self._means.read(self._request), self._newest)
        except BadRequest as refusal:
            self.refusal = refusal
        except Exception as error:  # A feed outlives the store's bad moments: it tries again.
            self._failures += 1
            if self._failures == 1:
                log.exception("usage feed could not be read")
            else:
                log.warning("usage feed still can't be read", error=str(error))
            return
        else:
            self._failures = 0
            if newest is self._newest:
                return
            self._newest = newest
            self._updates.clear()
        for wake in self.waking:
            wake.set()

    def _rest(self, began: float, ended: float) -> float:
        if self._failures:
            return min(TICK_SECONDS * 2.0 ** min(self._failures - 1, 10), LONGEST_RETRY_SECONDS)
        return max(self._due - ended, REST * (ended - began))

    async def _something_happens(self, held: Series, changes: Subscription) -> None:
        """Return when something changed, or time moved the window."""
        waits: set[asyncio.Future[None]] = {asyncio.ensure_future(changes.drained())}
        if held.stands_until is not None:
            waits.add(asyncio.ensure_future(self._time_leaves(held.stands_until)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _time_leaves(self, end: datetime) -> None:
        """Return when the present lies outside of what was read: past its end, or before it was
        read, as the clock was set back.
        """
        while self._read_at <= (now := self._means.clock()) < end:
            await self._means.sleep(min((end - now).total_seconds(), LONGEST_SLEEP_SECONDS))
