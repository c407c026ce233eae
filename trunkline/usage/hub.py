"""The live hub: pushes the state of series to whoever watches them.

One feed for each distinct series, however many subscribers: one query and one comparison a tick.

A subscriber holds the state that it was last given and looks at the feed's newest when it reads
again. That is its one slot: a slow reader holds up nobody, and what lay between is never sent.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from db.engine import Database
from trunkline.clock import Clock
from trunkline.events import EventBus
from trunkline.listeners import Listeners, OneListener, pushes
from trunkline.usage.delta import Update
from trunkline.usage.feed import Feed, Means, ReadSeries, Sleep
from trunkline.usage.reading import SeriesRequest, read_series
from trunkline.usage.series import Series


class UsageHub:
    """Makes a feed when a series' first subscriber comes, and ends it when the last leaves."""

    def __init__(
        self,
        database: Database,
        events: EventBus,
        clock: Clock,
        *,
        sleep: Sleep = asyncio.sleep,
        timer: Callable[[], float] = time.monotonic,
        read: ReadSeries | None = None,
    ) -> None:
        async def read_now(request: SeriesRequest) -> Series:
            return await read_series(database, request, clock)

        self._means = Means(read or read_now, events, clock, timer, sleep)
        # Touched by the event loop's thread only, and never across an await.
        self._feeds: dict[SeriesRequest, Feed] = {}

    async def watch(
        self, request: SeriesRequest, listeners: Listeners | None = None
    ) -> AsyncGenerator[Update]:
        """A snapshot for each who comes, then what changed, until the caller closes it.

        Left out, the caller is the only listener. Raises `BadRequest`.
        """
        everybody = listeners or OneListener()
        feed = self._feeds.get(request)
        # A feed that was refused may still have a subscriber who is slow to hear of it.
        if feed is None or feed.refusal is not None:
            feed = self._feeds[request] = Feed(request, self._means)
        feed.subscribers += 1
        feed.waking.add(everybody.wake)
        try:
            updates: AsyncGenerator[Update] = pushes(feed.step, everybody)
            async with aclosing(updates):
                async for update in updates:
                    yield update
        finally:
            feed.waking.discard(everybody.wake)
            feed.subscribers -= 1
            if not feed.subscribers:
                if self._feeds.get(request) is feed:
                    del self._feeds[request]
                await feed.close()

    @property
    def feed_count(self) -> int:
        """How many distinct series are watched."""
        return len(self._feeds)
