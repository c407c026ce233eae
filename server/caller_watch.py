"""Cancels the work for a caller that has left.

ASGI tells of it only to whoever waits for it. Most requests are over before anybody would: the wait
begins a moment after the request.
"""

import asyncio
from types import TracebackType
from typing import Self

from starlette.requests import ClientDisconnect
from starlette.types import Receive

PATIENCE_SECONDS = 0.25


class CallerWatch:
    """Within its block the task that entered it is cancelled once the caller has left; the block
    then raises `ClientDisconnect`. The request's body has been read before.
    """

    __slots__ = ("_cancelling", "_receive", "_task", "_timer", "_waiting", "left")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._waiting: asyncio.Task[None] | None = None
        self.left = False
        """Whether the caller has."""

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
    ) -> None:
        self._timer.cancel()
        if self._waiting is not None:
            self._waiting.cancel()
        # Somebody else's cancellation stays one.
        if (
            self.left
            and self._task.uncancel() <= self._cancelling
            and kind is not None
            and issubclass(kind, asyncio.CancelledError)
        ):
            raise ClientDisconnect

    def _begin(self) -> None:
        self._waiting = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.left = True
        self._task.cancel()
