"""The live hub: pushes the state of series to whoever watches them.

One feed for each distinct series, however many subscribers: one query and one comparison a tick.
A feed listens before it reads, so nothing falls between. It computes at the first change after a
quiet time, then at most four times a second, and when the window moves.

A subscriber holds the state that it was last given and looks at the feed's newest when it reads
again. That is its one slot: a slow reader holds up nobody, and what lay between is never sent.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import datetime

import structlog

from db.engine import Database
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
from trunkline.usage.delta import Update, update_between
from trunkline.usage.reading import SeriesRequest, read_series
from trunkline.usage.series import Series

log = structlog.get_logger(__name__)

TICK_SECONDS = 0.25
# A sleep counts by another clock than windows do, which may be set meanwhile.
LONGEST_SLEEP_SECONDS = 60.0
Sleep = Callable[[float], Awaitable[None]]


class UsageHub:
    """Makes a feed when a series' first subscriber comes, and ends it when the last leaves."""

    def __init__(
        self,
        database: Database,
        events: EventBus,
        clock: Clock,
        *,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._database = database
        self._events = events
        self._clock = clock
        self._sleep = sleep
        # Touched by the event loop's thread only, and never across an await.
        self._feeds: dict[SeriesRequest, _Feed] = {}

    async def watch(self, request: SeriesRequest) -> AsyncGenerator[Update]:
        """A snapshot, then what changed, until the caller closes it. Raises `BadRequest`."""
        feed = self._feeds.get(request)
        if feed is None:
            feed = self._feeds[request] = _Feed(
                request, self._database, self._events, self._clock, self._sleep
            )
        feed.subscribers += 1
        try:
            async with aclosing(feed.updates()) as updates:
                async for update in updates:
                    yield update
        finally:
            feed.subscribers -= 1
            if not feed.subscribers:
                if self._feeds.get(request) is feed:
                    del self._feeds[request]
                await feed.close()

    @property
    def feed_count(self) -> int:
        """How many distinct series are watched."""
        return len(self._feeds)


class _Feed:
    """Keeps one series at its newest state, and wakes those who watch it."""

    def __init__(
        self,
        request: SeriesRequest,
        database: Database,
        events: EventBus,
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self.subscribers = 0
        self._request = request
        self._database = database
        self._events = events
        self._clock = clock
        self._sleep = sleep
        self._newest: Series | None = None
        self._refusal: BadRequest | None = None
        self._waiting: set[asyncio.Event] = set()
        # The last comparison: most subscribers go from the same state to the same state.
        self._compared: tuple[Series | None, Series, Update | None] | None = None
        self._task = asyncio.create_task(self._run())

    async def updates(self) -> AsyncGenerator[Update]:
        """What one subscriber gets."""
        held: Series | None = None
        wake = asyncio.Event()
        self._waiting.add(wake)
        try:
            while True:
                if self._refusal is not None:
                    raise self._refusal
                newest = self._newest
                if newest is None or newest is held:
                    await wake.wait()
                    wake.clear()
                    continue
                update = self._update(held, newest)
                held = newest
                if update is not None:
                    yield update
        finally:
            self._waiting.discard(wake)

    async def close(self) -> None:
        """End the feed."""
        self._task.cancel()
        await asyncio.wait({self._task})

    def _update(self, held: Series | None, newest: Series) -> Update | None:
        compared = self._compared
        if compared is None or compared[0] is not held or compared[1] is not newest:
            compared = self._compared = (held, newest, update_between(held, newest))
        return compared[2]

    async def _run(self) -> None:
        with self._events.subscribe(
            UsageRecorded, ProviderChanged, ModelChanged, FailoverChainChanged
        ) as changes:
            while self._refusal is None:
                computed = await self._compute()
                await self._sleep(TICK_SECONDS)
                if computed is not None:
                    await self._something_happens(computed, changes)

    async def _compute(self) -> Series | None:
        """Bring the feed to the newest state; None where that failed and is to be tried again."""
        newest = None
        try:
            newest = await read_series(self._database, self._request, self._clock)
        except BadRequest as refusal:
            self._refusal = refusal
        except Exception:  # A feed outlives the store's bad moments: it tries again next tick.
            log.exception("usage feed could not be computed")
        else:
            self._newest = newest
        for wake in self._waiting:
            wake.set()
        return newest

    async def _something_happens(self, held: Series, changes: Subscription) -> None:
        """Return when something changed, or the window moves."""
        waits: set[asyncio.Future[None]] = {asyncio.ensure_future(changes.drained())}
        if self._request.window.period is not None:
            waits.add(asyncio.ensure_future(self._time_reaches(held.window.end)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _time_reaches(self, end: datetime) -> None:
        while (remaining := (end - self._clock()).total_seconds()) > 0:
            await self._sleep(min(remaining, LONGEST_SLEEP_SECONDS))
