"""uvicorn's websocket protocol, where clients read slowly, not at all, or not any more.

- Whoever sends waits until the transport has passed the message on. So what is pushed next is made
  when the client reads again, and a client that doesn't read holds one message and nothing more.
- Pings are answered while the client reads; of those that come while it doesn't, the last one is
  answered (RFC 6455 §5.5.3 allows that). uvicorn would keep an answer to each.
- A client that answers no ping for `MOST_MISSED` timeouts, and takes nothing that is sent either,
  is closed with 1012. uvicorn closes with 1011 after the first, which graphql-ws takes for an error
  that no reconnecting mends. Mostly it is a laptop that slept or a busy page: it finds the frame
  when it wakes, and its dashboard would stay dead. After 1012 it reconnects.
- Closing waits for what was not taken yet, `close_timeout` seconds at most. uvicorn would wait for
  as long as the client's machine says that it takes nothing.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

TRY_AGAIN = 1012
MOST_MISSED = 4
"""Of 20 seconds each, unless uvicorn is told otherwise."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """The same in all else."""

    missed = 0
    untaken = 0
    unsent_pong = b""
    linger_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learn at once when the system takes no more."""
        cast("asyncio.Transport", transport).set_write_buffer_limits(high=0)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting for it."""
        if self.linger_timer is not None:
            self.linger_timer.cancel()
        super().connection_lost(exc)

    async def send(self, message: Any) -> None:
        """Send, and wait until the transport has passed it on."""
        await self._taken()
        await super().send(message)
        if not self.writable.is_set():
            await self._taken()
            if self.disconnected:
                raise ClientDisconnected

    async def run_asgi(self) -> None:
        """Run the application for this socket."""
        await super().run_asgi()
        self._linger()

    def resume_writing(self) -> None:
        """What was sent is taken."""
        if self.unsent_pong and not self.transport.is_closing():
            pong, self.unsent_pong = self.unsent_pong, b""
            self.transport.write(pong)
        super().resume_writing()

    def handle_ping(self) -> None:
        """Answer, now or when the client reads again."""
        pongs = self.conn.data_to_send()  # To all pings that came together, at the first of them.
        if self.writable.is_set():
            self.transport.write(b"".join(pongs))
        elif pongs:
            self.unsent_pong = pongs[-1]

    def handle_pong(self, event: Any) -> None:
        """It is there."""
        self.missed = 0
        super().handle_pong(event)

    def handle_close(self, event: Any) -> None:
        """The client closes, or answers our closing."""
        super().handle_close(event)
        self._linger()

    def handle_parser_exception(self) -> None:
        """What it sends is no websocket."""
        super().handle_parser_exception()
        self._linger()

    def keepalive_timeout(self) -> None:
        """Close a socket whose pong didn't come in time, unless what is sent is still taken."""
        untaken, self.untaken = self.untaken, self.transport.get_write_buffer_size()
        self.missed = 0 if self.untaken < untaken else self.missed + 1
        if self.missed < MOST_MISSED:
            self.pong_timer = self.loop.call_later(self.ping_timeout or 0, self.keepalive_timeout)
            return
        self.pong_timer = None
        self.pending_ping_payload = None
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.fail(TRY_AGAIN, "no answer to a ping")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()
        self._linger()

    async def _taken(self) -> None:
        # Again for each that waits: the first who goes on may fill the transport.
        while not self.writable.is_set():
            await self.writable.wait()

    def _linger(self) -> None:
        """Where the client doesn't take what is left, end without it."""
        if self.linger_timer is None and not self.disconnected:
            self.linger_timer = self.loop.call_later(2 * self.close_timeout, self.transport.abort)
