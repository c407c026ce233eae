"""Cancels the work for a caller that has left, or that may ask for nothing any more.

ASGI tells of the first only to whoever waits for it, and of the second the store has to be asked.
Most requests are over before anybody would: both waits begin a moment after the request.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Self

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from server.answers import unauthenticated

PATIENCE_SECONDS = 0.25
ACCESS_ENDED = (
    "the access that this request came with was revoked or expired while it ran, and so it was "
    "ended; what was used until then is counted"
)

WatchAccess = Callable[[Callable[[], None]], AbstractContextManager[None]]
"""Calls what it is given once the caller's access ends, if that is within the block."""


class CallerWatch:
    """Within its block the task that entered it is cancelled once the caller has left, or its
    access has ended; the block then raises `ClientDisconnect`, or `Rejected` (401), or where
    somebody within has `told` the caller, nothing. The request's body has been read before.
    """

    __slots__ = (
        "_cancelling", "_receive", "_task", "_timer", "_waiting", "_watch_access", "_watching",
        "ended", "left", "told",
    )  # fmt: skip

    def __init__(self, receive: Receive, watch_access: WatchAccess | None = None) -> None:
        self._receive = receive
        self._watch_access = watch_access
        self._waiting: asyncio.Task[None] | None = None
        self._watching: ExitStack | None = None
        self.left = False
        """Whether the caller has."""
        self.ended = False
        """Whether its access has."""
        self.told = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a caller's watch cancels a task")
        self._task = task
        self._cancelling = task.cancelling()
        self._timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._begin)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> bool:
        self._timer.cancel()
        if self._waiting is not None:
            self._waiting.cancel()
        if self._watching is not None:
            self._watching.close()
        # Somebody else's cancellation stays one.
        if (
            (self.left or self.ended)
            and self._task.uncancel() <= self._cancelling
            and kind is not None
            and issubclass(kind, asyncio.CancelledError)
        ):
            if self.left:
                raise ClientDisconnect
            if not self.told:
                raise unauthenticated(ACCESS_ENDED)
            return True
        return False

    def _begin(self) -> None:
        self._waiting = asyncio.create_task(self._wait())
        if self._watch_access is not None:
            self._watching = ExitStack()
            self._watching.enter_context(self._watch_access(self._end))

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self.ended:
            self.left = True
            self._task.cancel()

    def _end(self) -> None:
        if not self.left:
            self.ended = True
            self._task.cancel()
