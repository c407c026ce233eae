"""The bus through Redis: one pub/sub channel for each database.

Sending puts a message into a bounded queue and is done; a task sends them. Where Redis is away, the
oldest are dropped, as the poll has told of them by then, and both sides try again until it is back.
Its coming and going is logged once each, by address, never with the password.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from trunkline.processes.bus import Hear

log = structlog.get_logger(__name__)

MOST_QUEUED = 1_000
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = 2.0
# A connection that says nothing for so long is asked whether it lives, and given as long to answer.
SILENCE_SECONDS = 5.0
LAST_WORDS_SECONDS = 1.0

HOW = (
    "give redis://host:6379, rediss://host:6379 or unix:///path/to/socket, with no options but "
    "db, username, password and ssl_…"
)
# Others would change what comes out of the connection, or how long it is waited for.
_OPTIONS = frozenset({"db", "username", "password"})

Sleep = Callable[[float], Awaitable[None]]


class BadBusUrl(ValueError):
    """The URL names no Redis. The message shows nothing of it."""


class RedisBus:
    """Made by `redis_bus`, which also runs its sending."""

    def __init__(self, url: str, channel: str, *, sleep: Sleep = asyncio.sleep) -> None:
        """Raises `BadBusUrl`; connects to nothing yet."""
        try:
            self._address = _checked_address(url)
            self._redis = Redis.from_url(
                url,
                socket_timeout=TIMEOUT_SECONDS,
                socket_connect_timeout=TIMEOUT_SECONDS,
                # Both sides try again themselves, for as long as it takes.
                retry=Retry(NoBackoff(), 0),
                protocol=2,
            )
            # Some options are looked at only now.
            self._redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        except (ValueError, TypeError, RedisError, OSError):
            raise BadBusUrl(HOW) from None  # Their text may show what it shouldn't.
        self._channel = channel
        self._sleep = sleep
        # Touched by the event loop's thread only. The oldest makes room.
        self._queue: deque[bytes] = deque(maxlen=MOST_QUEUED)
        self._queued = asyncio.Event()
        self._sent = asyncio.Event()
        self._sent.set()
        self._away: set[str] = set()

    def send(self, message: bytes) -> None:
        """Queue it."""
        self._queue.append(message)
        self._queued.set()
        self._sent.clear()

    async def listen(self, hear: Hear) -> None:
        """Subscribe, and subscribe again whenever the connection ends."""
        await self._keep("listening", lambda: self._listen(hear))

    async def run(self) -> None:
        """Send what is queued, until cancelled."""
        await self._keep("sending", self._send_queued)

    async def ping(self) -> None:
        """Ask whether it is there. Raises what the driver raises."""
        await self._redis.execute_command("PING")  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Let go of the connections."""
        with suppress(RedisError, OSError, TimeoutError):
            await self._redis.aclose()

    async def sent(self) -> None:
        """Wait until nothing is queued."""
        await self._sent.wait()

    async def _listen(self, hear: Hear) -> None:
        async with self._redis.pubsub() as subscription:
            await subscription.subscribe(self._channel)
            asked = False
            while True:
                said = await _next(subscription)
                if said is None:
                    if asked:
                        raise TimeoutError("no answer")
                    asked = True
                    await subscription.ping()
                    continue
                asked = False
                self._is_back("listening")
                if said["type"] == "message" and isinstance(said["data"], bytes):
                    hear(said["data"])

    async def _send_queued(self) -> None:
        while True:
            if not self._queue:
                self._queued.clear()
                self._sent.set()
                await self._queued.wait()
            message = self._queue[0]
            await self._redis.publish(self._channel, message)
            self._is_back("sending")
            # It may have been dropped meanwhile, to make room.
            if self._queue and self._queue[0] is message:
                self._queue.popleft()

    async def _keep(self, side: str, work: Callable[[], Awaitable[None]]) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001  # the bus must not end before its process
                # One that worked meanwhile begins anew with short pauses.
                pause = FIRST_PAUSE_SECONDS if side not in self._away else pause
                self._is_away(side, error)
            await self._sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _is_away(self, side: str, error: Exception) -> None:
        if not self._away:
            log.warning(
                "Redis is away: changes of other processes are heard of within two seconds, "
                "not at once",
                address=self._address,
                # Not its text, which may hold what the URL does.
                error=type(error).__name__,
            )
        self._away.add(side)

    def _is_back(self, side: str) -> None:
        if side in self._away:
            self._away.discard(side)
            if not self._away:
                log.info("Redis is back", address=self._address)


@asynccontextmanager
async def redis_bus(url: str, installation: str) -> AsyncIterator[RedisBus]:
    """A bus between the processes on the database of this id, whether or not Redis is there now.

    When the block ends, what is queued has a second to be sent. Raises `BadBusUrl`.
    """
    bus = RedisBus(url, f"trunkline:{installation}:changes")
    sending = asyncio.create_task(bus.run())
    try:
        yield bus
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await bus.sent()
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await bus.close()


async def _next(subscription: PubSub) -> dict[str, Any] | None:
    said: dict[str, Any] | None = await subscription.get_message(timeout=SILENCE_SECONDS)
    return said


def _checked_address(url: str) -> str:
    """Where it is, without name and password. Raises `ValueError`."""
    parts = urlsplit(url)
    for option in parse_qs(parts.query, keep_blank_values=True):
        if option not in _OPTIONS and not option.startswith("ssl_"):
            raise ValueError
    return parts.path if parts.scheme == "unix" else parts.netloc.rpartition("@")[2]
