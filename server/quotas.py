"""How much one viewer may ask for, so that none takes the server from the others.

A viewer is a browser session, or all who come with one token. Operations, and requests to the
gateway, are counted by a bucket each that fills at a steady rate and holds what ten seconds bring,
so that a page that opens may ask for much at once. Sockets and subscriptions are counted while they
are open.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from resolvers.context import Viewer
from server.answers import too_many
from server.settings import DEFAULT_MOST_SOCKETS_PER_VIEWER, DEFAULT_MOST_STREAMS_PER_VIEWER
from trunkline.errors import RateLimited

SECONDS_SAVED = 10.0
RETRY_AFTER_SECONDS = 5.0
"""For what is freed when somebody leaves, which nobody knows."""

_MOST_BUCKETS = 1_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Buckets:
    """One for each viewer. Touched by the event loop's thread only."""

    def __init__(self, rate: float, what: str, timer: Callable[[], float]) -> None:
        """`rate` is by the second; `what` comes at that rate, in the plural."""
        self._rate = rate
        self._what = what
        self._timer = timer
        self._full = max(rate * SECONDS_SAVED, 1.0)
        self._buckets: dict[Hashable, _Bucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, viewer: Viewer) -> None:
        """Count one. Raises `RateLimited`, which says when the next is taken."""
        name = _name(viewer)
        now = self._timer()
        bucket = self._buckets.get(name)
        if bucket is None:
            if len(self._buckets) >= _MOST_BUCKETS:
                self._drop_full_buckets(now)
            bucket = self._buckets[name] = _Bucket(self._full, now)
        tokens = bucket.tokens + (now - bucket.at) * self._rate
        bucket.tokens = min(tokens, self._full)
        bucket.at = now
        if bucket.tokens < 1:
            seconds = math.ceil((1 - bucket.tokens) / self._rate * 1000) / 1000
            raise RateLimited(
                f"more than {self._rate:g} {self._what} a second came from you: nothing of this "
                f"one was done, send it again in {seconds:g} s",
                retry_after_seconds=seconds,
            )
        bucket.tokens -= 1

    def _drop_full_buckets(self, now: float) -> None:
        # A bucket that is full again says no more than none at all.
        seconds_to_fill = self._full / self._rate
        self._buckets = {
            name: bucket
            for name, bucket in self._buckets.items()
            if now - bucket.at < seconds_to_fill
        }


class Quotas:
    """Touched by the event loop's thread only. Rates of None limit none."""

    def __init__(
        self,
        *,
        operations_per_second: float | None = None,
        gateway_requests_per_second: float | None = None,
        most_sockets: int = DEFAULT_MOST_SOCKETS_PER_VIEWER,
        most_streams: int = DEFAULT_MOST_STREAMS_PER_VIEWER,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._operations = _buckets(operations_per_second, "operations", timer)
        self._gateway = _buckets(gateway_requests_per_second, "requests to the gateway", timer)
        self._most_sockets = most_sockets
        self._most_streams = most_streams
        self._sockets: Counter[Hashable] = Counter()
        self._streams: Counter[Hashable] = Counter()

    def take_operation(self, viewer: Viewer) -> None:
        """Count one operation, or a request that costs as much. Raises `RateLimited`, which says
        when the next is taken.
        """
        if self._operations is not None:
            self._operations.take(viewer)

    def take_gateway_request(self, viewer: Viewer) -> None:
        """Count one request to the gateway; raises as `take_operation` does."""
        if self._gateway is not None:
            self._gateway.take(viewer)

    @contextmanager
    def socket(self, viewer: Viewer) -> Iterator[None]:
        """A socket of this viewer, open for the block. Raises `RateLimited`."""
        with _counted(
            self._sockets, viewer, self._most_sockets, "sockets are open: close one first"
        ):
            yield

    @contextmanager
    def stream(self, viewer: Viewer) -> Iterator[None]:
        """A subscription of this viewer, running for the block. Raises `RateLimited`."""
        with _counted(
            self._streams, viewer, self._most_streams, "subscriptions run: complete one first"
        ):
            yield

    @property
    def open_streams(self) -> int:
        """How many subscriptions run, of all viewers."""
        return self._streams.total()


def take_operation(quotas: Quotas, viewer: Viewer) -> None:
    """Count a request to a route. Raises `Rejected` (429)."""
    try:
        quotas.take_operation(viewer)
    except RateLimited as error:
        raise too_many(error) from error


def _buckets(rate: float | None, what: str, timer: Callable[[], float]) -> Buckets | None:
    return None if rate is None else Buckets(rate, what, timer)


@contextmanager
def _counted(counts: Counter[Hashable], viewer: Viewer, most: int, what: str) -> Iterator[None]:
    name = _name(viewer)
    if counts[name] >= most:
        raise RateLimited(f"{most} of your {what}", retry_after_seconds=RETRY_AFTER_SECONDS)
    counts[name] += 1
    try:
        yield
    finally:
        counts[name] -= 1
        if not counts[name]:
            del counts[name]


def _name(viewer: Viewer) -> Hashable:
    # A token's sessions are counted with it, or it would open more for more.
    return viewer.audience, viewer.session if viewer.token_id is None else None
