"""A watchdog: cancels what takes too long, at the cost of two assignments for each sign of life.

`asyncio.timeout` sets and clears a timer of the loop each time; a stream has thousands of chunks.
Here one timer stands for as long as the attempt runs, and looks at the deadline when it rings.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self


class Timer(Protocol):
    """What `loop.call_later` gives."""

    def cancel(self) -> None:
        """Don't ring."""


CallLater = Callable[[float, Callable[[], None]], Timer]


class Watchdog:
    """Raises `TimeoutError` from its block where the deadline passes while it is on.

    For one task: the one that enters it. Turn it `off` before anything is awaited that mustn't be
    cut short, such as the caller's reading.
    """

    __slots__ = (
        "_call_later",
        "_cancelling",
        "_now",
        "_rang",
        "_rings_at",
        "_task",
        "_timer",
        "_until",
    )

    def __init__(self, now: Callable[[], float], call_later: CallLater) -> None:
        self._now = now
        self._call_later = call_later
        self._until: float | None = None
        self._timer: Timer | None = None
        self._rings_at = 0.0
        self._rang = False

    def on(self, until: float) -> None:
        """From now on the deadline is this, by the clock of `now`."""
        self._until = until
        # A timer that rings too soon looks at the deadline; one that would ring too late is set.
        if self._timer is None or until < self._rings_at:
            self._set()

    def off(self) -> None:
        """No deadline, until it is `on` again."""
        self._until = None

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a watchdog watches a task")
        self._task = task
        self._cancelling = task.cancelling()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # Somebody else's cancellation stays one.
        if (
            self._rang
            and self._task.uncancel() <= self._cancelling
            and (kind is not None and issubclass(kind, asyncio.CancelledError))
        ):
            raise TimeoutError

    def _set(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        assert self._until is not None  # noqa: S101  # it was just set
        self._rings_at = self._until
        self._timer = self._call_later(max(self._until - self._now(), 0.0), self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._until is None or self._rang:
            return
        if self._now() < self._until:
            self._set()
            return
        self._rang = True
        self._task.cancel()
