"""The listening side: brings what other processes commit to a server's subscribers and caches.

It hears by the bus at once and by polling the counters each second, whichever is first; what the
one told the other finds seen. What is known of a change is published as its own process published
it; where only a counter is known, subscribers of that kind are told to read anew.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import structlog

from db.change_counters import forget_silent_writers, read_counters
from db.engine import Connection
from trunkline.events import Event, State, UsageRecorded
from trunkline.processes.messages import KINDS, TYPES, USAGE, BadMessage, decoded
from trunkline.processes.seen import Heard
from trunkline.services import Services

log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0
# A message that is on its way says what changed, the counter only that something did.
GRACE_SECONDS = 0.1
FORGOTTEN_AFTER = timedelta(days=1)
FORGET_EVERY = timedelta(hours=1)
FORGOTTEN_AT_ONCE = 100
# Of polls that failed: by then counters may have risen and been forgotten.
LONGEST_ABSENCE = timedelta(hours=1)
_COMPLAIN_EVERY = timedelta(minutes=1)

Sleep = Callable[[float], Awaitable[None]]


class Follower:
    """`begin` before anything is read that must stay fresh; then `run` it for good."""

    def __init__(self, services: Services, *, sleep: Sleep = asyncio.sleep) -> None:
        self._services = services
        self._seen = services.announcer.seen
        self._sleep = sleep
        self._failing = False
        self._polled_at = services.clock()
        self._forgot_at: datetime | None = None
        self._complained_at: datetime | None = None

    async def begin(self) -> None:
        """Take all that is committed by now for told."""
        async with self._services.database.read() as connection:
            stored = await read_counters(connection)
        self._seen.compare({}, stored.values)
        self._polled_at = self._services.clock()

    async def run(self) -> None:
        """Listen and poll, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._services.announcer.bus.listen(self.hear))
            tasks.create_task(self._keep_polling())

    def hear(self, message: bytes) -> None:
        """Tell of what a message from the bus says, as far as it is new."""
        try:
            commit = decoded(message)
        except BadMessage as error:
            self._complain(error)
            return
        if commit.writer == self._services.announcer.writer:
            return  # Told when it was committed.
        known: list[Event] = []
        missed: list[type] = []
        for count in commit.counts:
            heard = self._seen.hear((commit.writer, count.kind), count.before, count.value)
            if heard is Heard.OLD:
                continue
            events = [event for event in commit.events if KINDS[type(event)] == count.kind]
            # What has one state: its newest event says all that the lost ones did.
            if events and (heard is Heard.NEXT or isinstance(events[-1], State)):
                known += events
            else:
                missed.append(TYPES[count.kind])
        self._services.events.publish(*known)
        self._services.events.missed(*missed)

    async def poll(self) -> None:
        """Tell of what is stored and was not heard of."""
        heard = self._seen.values()
        async with self._services.database.read() as connection:
            stored = await read_counters(connection)
        if self._seen.is_behind(stored.values):
            await self._sleep(GRACE_SECONDS)
        kinds = self._seen.compare(heard, stored.values)
        now = self._services.clock()
        if now - self._polled_at > LONGEST_ABSENCE:
            kinds = TYPES.keys()
        self._polled_at = now
        if USAGE in kinds:
            self._services.events.publish(UsageRecorded(stored.usage_as_of))
        # A newer version may count kinds that this one doesn't know.
        self._services.events.missed(
            *(TYPES[kind] for kind in kinds if kind in TYPES and kind != USAGE)
        )

    async def forget(self) -> None:
        """Now and then delete a few counters of writers that are long gone."""
        now = self._services.clock()
        if self._forgot_at is not None and now - self._forgot_at < FORGET_EVERY:
            return

        async def delete_some(connection: Connection) -> int:
            return await forget_silent_writers(
                connection, before=now - FORGOTTEN_AFTER, limit=FORGOTTEN_AT_ONCE
            )

        if await self._services.database.transact(delete_some) < FORGOTTEN_AT_ONCE:
            self._forgot_at = now

    async def _keep_polling(self) -> None:
        while True:
            await self._sleep(POLL_SECONDS)
            try:
                await self.poll()
                await self.forget()
            except Exception:  # The poll outlives the store's bad moments.
                if not self._failing:
                    log.exception("changes of other processes can't be looked for")
                self._failing = True
            else:
                if self._failing:
                    log.info("changes of other processes are looked for again")
                self._failing = False

    def _complain(self, error: BadMessage) -> None:
        """Not of each message: whoever sends bad ones may send many."""
        now = self._services.clock()
        if self._complained_at is None or now - self._complained_at > _COMPLAIN_EVERY:
            self._complained_at = now
            log.warning("a message on the bus is none of ours, and is ignored", reason=str(error))


@asynccontextmanager
async def following(services: Services) -> AsyncIterator[None]:
    """Hear of what other processes commit from before the block begins until it ends."""
    follower = Follower(services)
    await follower.begin()
    task = asyncio.create_task(follower.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
