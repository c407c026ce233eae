"""uvicorn's server, with our way to begin and to end.

A signal ends it in three steps. At once nothing new is served any more, websockets are told to come
back (1012), and event streams of subscriptions end. Requests under way have a grace time to be
answered. Those that aren't by then are cut off, and told so. A second signal waits for nothing.

Signals are not raised again, as uvicorn does: closing the parts would be interrupted.
"""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import structlog
import uvicorn

log = structlog.get_logger("trunkline.server")

LAST_WORDS_SECONDS = 2
"""For those that were cut off to be told so, and for connections to close."""
_LOOK_SECONDS = 0.05
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class HttpServer(uvicorn.Server):
    """Calls `when_ready` when it listens, `when_closing` when it stops, and `when_cutting` before
    it cuts off what `grace_seconds` were not enough for.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        when_ready: Callable[[], None],
        when_closing: Callable[[], None],
        when_cutting: Callable[[], None],
        grace_seconds: float,
    ) -> None:
        super().__init__(config)
        self._when_ready = when_ready
        self._when_closing = when_closing
        self._when_cutting = when_cutting
        self._grace_seconds = grace_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        self._when_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let the requests under way end, cut off the others, then close."""
        self._when_closing()
        tasks = self.server_state.tasks
        if tasks:
            log.info("stopping", waits_for=len(tasks), at_most_seconds=self._grace_seconds)
        # Those that wait for a request close, websockets too; the others close when they answered.
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if not await self._ended():
            log.warning("cut off what was not done in time", requests=len(tasks))
            self._when_cutting()
            for task in list(tasks):
                task.cancel()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; the second time at once."""
        if self.should_exit:
            self.force_exit = True
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on a signal. Threads other than the main get none."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for one in _SIGNALS:
            loop.add_signal_handler(one, self.handle_exit, one, None)
        try:
            yield
        finally:
            for one in _SIGNALS:
                loop.remove_signal_handler(one)

    async def _ended(self) -> bool:
        """Whether everything under way ended in the grace time, as uvicorn looks: now and then."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._grace_seconds
        while self.server_state.tasks:
            if self.force_exit or loop.time() >= until:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True
