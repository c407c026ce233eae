"""How much one viewer may ask for, so that none takes the server from the others.

A viewer is a browser session, or all who come with one token. Operations are counted by a bucket
that fills at a steady rate and holds what ten seconds bring, so that a page that opens may ask for
much at once. Sockets and subscriptions are counted while they are open.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from resolvers.context import Viewer
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


class Quotas:
    """Touched by the event loop's thread only. None of `operations_per_second` limits no rate."""

    def __init__(
        self,
        *,
        operations_per_second: float | None = None,
        most_sockets: int = DEFAULT_MOST_SOCKETS_PER_VIEWER,
        most_streams: int = DEFAULT_MOST_STREAMS_PER_VIEWER,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = operations_per_second
        self._most_sockets = most_sockets
        self._most_streams = most_streams
        self._timer = timer
        self._buckets: dict[Hashable, _Bucket] = {}
        self._sockets: Counter[Hashable] = Counter()
        self._streams: Counter[Hashable] = Counter()

    def take_operation(self, viewer: Viewer) -> None:
        """Count one operation. Raises `RateLimited`, which says when the next is taken."""
        if self._rate is None:
            return
        full = max(self._rate * SECONDS_SAVED, 1.0)
        now = self._timer()
        bucket = self._buckets.get(_name(viewer))
        if bucket is None:
            if len(self._buckets) >= _MOST_BUCKETS:
                self._drop_full_buckets(now, full / self._rate)
            bucket = self._buckets[_name(viewer)] = _Bucket(full, now)
        bucket.tokens = min(full, bucket.tokens + (now - bucket.at) * self._rate)
        bucket.at = now
        if bucket.tokens < 1:
            seconds = math.ceil((1 - bucket.tokens) / self._rate * 1000) / 1000
            raise RateLimited(
                f"more than {self._rate:g} operations a second came from you: nothing of this one "
                f"was done, send it again in {seconds:g} s",
                retry_after_seconds=seconds,
            )
        bucket.tokens -= 1

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

    def _drop_full_buckets(self, now: float, seconds_to_fill: float) -> None:
        # A bucket that is full again says no more than none at all.
        self._buckets = {
            name: bucket
            for name, bucket in self._buckets.items()
            if now - bucket.at < seconds_to_fill
        }


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
