"""uvicorn's websocket protocol, where clients read slowly, not at all, or not any more.

- Whoever sends waits until the transport has passed the message on. So what is pushed next is made
  when the client reads again, and a client that doesn't read holds one message and nothing more.
- What many sockets get alike is written to each transport at once, by `push`, without a task for
  each, and is compressed once for all of them.
- Pings are answered while the client reads; of those that come while it doesn't, the last one is
  answered (RFC 6455 §5.5.3 allows that). uvicorn would keep an answer to each.
- A client that answers no ping for `MOST_MISSED` timeouts, and takes nothing that is sent either,
  is closed with 1012. uvicorn closes with 1011 after the first, which graphql-ws takes for an error
  that no reconnecting mends. Mostly it is a laptop that slept or a busy page: it finds the frame
  when it wakes, and its dashboard would stay dead. After 1012 it reconnects.
- Closing waits for what was not taken yet, `close_timeout` seconds at most. uvicorn would wait for
  as long as the client's machine says that it takes nothing.
- Compression, where it is on, keeps no context between messages: 40 kB less a socket.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from starlette.types import Scope
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.protocol import State
from websockets.server import ServerProtocol

from server import deflating
from server.outcomes import SharedResult

LEAST_COMPRESSED = 256
"""Bytes of a shared result; a shorter one goes as it is."""
TRY_AGAIN = 1012
MOST_MISSED = 4
"""Of 20 seconds each, unless uvicorn is told otherwise."""

_EXTENSION = "trunkline.socket"
# RFC 6455 §5.2: the only frame of its message, of text; and of text that is compressed.
_TEXT = 0x81
_DEFLATED_TEXT = 0xC1


def protocol_of(scope: Scope) -> "SocketProtocol":
    """The protocol that a websocket's scope came from."""
    found: SocketProtocol = scope["extensions"][_EXTENSION]
    return found


class SocketProtocol(WebSocketsSansIOProtocol):
    """The same in all else."""

    missed = 0
    untaken = 0
    unsent_pong = b""
    linger_timer: asyncio.TimerHandle | None = None
    paused = False
    deflates = False
    # Called when `able` becomes true again.
    on_able: Callable[[], None] | None = None
    # Called when the connection is gone.
    on_lost: Callable[[], None] | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if self.config.ws_per_message_deflate:
            self.conn = ServerProtocol(
                extensions=[_COMPRESSION], max_size=self.config.ws_max_size, logger=self.logger
            )

    @property
    def able(self) -> bool:
        """Whether `push` may be called: everything sent before was passed on."""
        return not self.paused and not self.close_sent and not self.transport.is_closing()

    def push(self, head: bytes, result: SharedResult, tail: bytes) -> None:
        """Send a text message, now: `head`, the result as JSON, `tail`. Only while `able`."""
        payload = result.encoded()
        if self.deflates and len(payload) >= LEAST_COMPRESSED:
            parts = (deflating.stored(head), result.deflated(), deflating.stored(tail))
            self.transport.write(_frame(_DEFLATED_TEXT, *parts, deflating.END))
        else:
            self.transport.write(_frame(_TEXT, head, payload, tail))

    async def send_text(self, message: bytes) -> None:
        """Send a text message of UTF-8, and wait until the transport has passed it on.

        Raises `ClientDisconnected`.
        """
        await self._taken()
        if self.disconnected or self.close_sent:
            raise ClientDisconnected
        if self.deflates and len(message) >= LEAST_COMPRESSED:
            body = deflating.deflated_alone(message)
            self.transport.write(_frame(_DEFLATED_TEXT, body, deflating.END))
        else:
            self.transport.write(_frame(_TEXT, message))
        await self._passed_on()

    def handle_connect(self, event: Any) -> None:
        """Learn whether the client takes compressed messages."""
        super().handle_connect(event)
        self.deflates = any(
            # It may want less to look back on than what is shared was compressed with.
            isinstance(one, PerMessageDeflate) and one.local_max_window_bits == _WINDOW_BITS
            for one in self.conn.extensions
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learn at once when the system takes no more."""
        cast("asyncio.Transport", transport).set_write_buffer_limits(high=0)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting for it."""
        if self.linger_timer is not None:
            self.linger_timer.cancel()
        if self.on_lost is not None:
            self.on_lost()
        super().connection_lost(exc)

    async def send(self, message: Any) -> None:
        """Send, and wait until the transport has passed it on."""
        await self._taken()
        if self.handshake_complete and self.close_sent:
            # What the client sent was no websocket, and closed it meanwhile.
            raise ClientDisconnected
        await super().send(message)
        await self._passed_on()

    async def run_asgi(self) -> None:
        """Run the application for this socket."""
        self.scope["extensions"][_EXTENSION] = self  # type: ignore[assignment]  # for us alone
        await super().run_asgi()
        self._linger()

    def pause_writing(self) -> None:
        """The system takes no more for now."""
        self.paused = True
        super().pause_writing()

    def resume_writing(self) -> None:
        """What was sent is taken."""
        self.paused = False
        if self.unsent_pong and not self.transport.is_closing():
            pong, self.unsent_pong = self.unsent_pong, b""
            self.transport.write(pong)
        super().resume_writing()
        if self.on_able is not None and self.able:
            self.on_able()

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

    def send_receive_event_to_app(self) -> None:
        """A message is whole. Text that is no UTF-8 closes the socket (RFC 6455 §8.1). uvicorn logs
        each as an error, traceback and all: anybody could fill a disk with that.
        """
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                # The client may have closed in the same breath, and is told that it was heard.
                if self.conn.state is State.OPEN:
                    self.conn.send_close(1007)
                    self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

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

    def shutdown(self) -> None:
        """The server stops: tell the client to come back, once."""
        if not self.transport.is_closing():
            super().shutdown()

    async def _passed_on(self) -> None:
        if not self.writable.is_set():
            await self._taken()
            if self.disconnected:
                raise ClientDisconnected

    async def _taken(self) -> None:
        # Again for each that waits: the first who goes on may fill the transport.
        while not self.writable.is_set():
            await self.writable.wait()

    def _linger(self) -> None:
        """Where the client doesn't take what is left, end without it."""
        if self.linger_timer is None and not self.disconnected:
            self.linger_timer = self.loop.call_later(2 * self.close_timeout, self.transport.abort)


_WINDOW_BITS = 15
_COMPRESSION = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True,
    client_no_context_takeover=True,
    compress_settings={"level": deflating.LEVEL},
)


def _frame(first: int, *parts: bytes) -> bytes:
    """A frame as servers send it, unmasked (RFC 6455 §5.2)."""
    body = b"".join(parts)
    length = len(body)
    if length < 126:
        return b"%c%c%b" % (first, length, body)
    if length < 2**16:
        return b"%c\x7e%b%b" % (first, length.to_bytes(2, "big"), body)
    return b"%c\x7f%b%b" % (first, length.to_bytes(8, "big"), body)
