"""The live push of requests that ended: one reading of the store for all who watch.

While anybody watches, one task wakes when rows were committed, by this process or another, and
reads those that follow the last that it saw: at most four times a second. Ids are in the order of
commits (see `db/gateway_requests.py`), so it misses none. Touched by the event loop's thread only.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from functools import partial

from db import gateway_request_pages as store
from db.engine import Database
from db.gateway_request_pages import GatewayRequestCondition, GatewayRequestRow
from trunkline.events import EventBus, GatewayRequestsRecorded, Missed, Subscription
from trunkline.patience import patiently

MOST_WAITING = 1_000
"""Requests that wait for one subscriber, and that one reading goes back. Beyond, it is told."""
READ_EVERY_SECONDS = 0.25


class RequestFeed:
    """One for each process. It costs nothing while nobody watches."""

    def __init__(self) -> None:
        self._waiting: set[_Waiting] = set()
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def watch(
        self, database: Database, events: EventBus, condition: GatewayRequestCondition
    ) -> AsyncGenerator[GatewayRequestRow | Missed]:
        """`Missed` at the beginning, then each request that matches and is committed from then on,
        in the order of commits. `Missed` again where more came than is worth listing.

        Raises what the store raises where it can't be read at the beginning, or is broken. What
        comes while it can't be used for a moment is told afterwards.
        """
        own = _Waiting(condition)
        self._waiting.add(own)
        try:
            async with self._starting:
                if self._task is None or self._task.done():
                    await self._start(database, events)
            async with database.read() as connection:
                # What came before, and may be read only now, is no news.
                before = await store.last_gateway_request(connection)
            yield Missed()
            while True:
                found = await own.take()
                if isinstance(found, Missed) or found.id > before:
                    yield found
        finally:
            self._waiting.discard(own)
            if not self._waiting and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _start(self, database: Database, events: EventBus) -> None:
        listening = events.subscribe(GatewayRequestsRecorded)
        subscription = listening.__enter__()
        try:
            async with database.read() as connection:
                last = await store.last_gateway_request(connection)
        except BaseException:
            listening.__exit__(None, None, None)
            raise
        self._task = asyncio.create_task(self._run(database, subscription, last))
        self._task.add_done_callback(lambda _: listening.__exit__(None, None, None))

    async def _run(self, database: Database, subscription: Subscription, last: int) -> None:
        try:
            while True:
                # Even where it says `Missed`: what is new is in the store.
                await subscription.drained()
                last = await patiently(partial(self._read, database, last))
                await asyncio.sleep(READ_EVERY_SECONDS)
        except Exception as error:  # noqa: BLE001  # each subscriber raises it
            for one in self._waiting:
                one.fail(error)

    async def _read(self, database: Database, last: int) -> int:
        async with database.read() as connection:
            rows = await store.gateway_requests_since(connection, last, most=MOST_WAITING + 1)
            too_many = len(rows) > MOST_WAITING
            newest = await store.last_gateway_request(connection) if too_many else last
        # The reading has ended well, so that nothing is offered twice.
        if not too_many:
            for one in self._waiting:
                one.offer(rows)
            return rows[-1].id if rows else last
        for one in self._waiting:
            one.miss()
        return newest


class _Waiting:
    """What one subscriber has not taken yet."""

    def __init__(self, condition: GatewayRequestCondition) -> None:
        self._condition = condition
        self._rows: deque[GatewayRequestRow] = deque()
        self._missed = False
        self._error: Exception | None = None
        self._arrived = asyncio.Event()

    def offer(self, rows: "list[GatewayRequestRow]") -> None:
        self._rows.extend(row for row in rows if self._condition.includes(row))
        if len(self._rows) > MOST_WAITING:
            self.miss()
        elif self._rows:
            self._arrived.set()

    def miss(self) -> None:
        """Forget what waits: it is told to read anew."""
        self._rows.clear()
        self._missed = True
        self._arrived.set()

    def fail(self, error: Exception) -> None:
        self._error = error
        self._arrived.set()

    async def take(self) -> GatewayRequestRow | Missed:
        """The next, once there is one."""
        while True:
            if self._missed:
                self._missed = False
                return Missed()
            if self._rows:
                return self._rows.popleft()
            if self._error is not None:
                raise self._error
            self._arrived.clear()
            await self._arrived.wait()
