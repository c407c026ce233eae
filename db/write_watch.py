"""Whether an operation's writing has begun, for whoever may have to end the operation.

Until a write transaction begins nothing is done, and it can be withdrawn. From then on it is waited
for: only its end says whether the change was made.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class WriteWatch(Protocol):
    """Told of the writes of one operation, in the event loop's thread."""

    @property
    def withdrawn(self) -> bool:
        """Whether a write that has not begun is to be dropped, the caller being cancelled."""

    def begun(self) -> None:
        """A write began. Raises `CancelledError` where it may not any more."""

    def ended(self, *, committed: bool) -> None:
        """It ended, and the change was made or it was not."""


_watch: ContextVar[WriteWatch | None] = ContextVar("write_watch", default=None)


def write_watch() -> WriteWatch | None:
    """Who watches the writes of the running operation."""
    return _watch.get()


@contextmanager
def watching_writes(watch: WriteWatch) -> Iterator[None]:
    """Tell `watch` of the writes that are asked for within the block."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


@contextmanager
def writing() -> Iterator[Callable[[], None]]:
    """A write: call what it gives when it begins. Where the block raises, nothing was changed."""
    watch = _watch.get()
    begun = committed = False

    def begin() -> None:
        nonlocal begun
        if watch is not None:
            watch.begun()
        begun = True

    try:
        yield begin
        committed = True
    finally:
        if watch is not None and begun:
            watch.ended(committed=committed)
