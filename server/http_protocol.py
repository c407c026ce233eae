"""uvicorn's HTTP protocol, with bounds of its own, and a response's head and body in one packet.

A request's head must come whole in time and within `LARGEST_HEAD`; uvicorn waits for it for as long
as a byte comes now and then. Who is one connection too many is told so. A client that takes nothing
of its answer any more loses it, and the connection.

uvicorn writes the head at once, then the body: two system calls and two packets for each response,
which were a tenth of a request's time through the gateway. Here what is written first waits for
what follows in the same turn of the loop.
"""

import asyncio
from typing import cast

import orjson
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from server.answers import code_of
from server.connections import ConnectionBounds, Connections
from server.socket_protocol import SocketProtocol

LARGEST_HEAD = 64 * 1024
"""Bytes of a request's line and headers."""
_JOINED_BYTES = 64 * 1024
"""Larger bodies are not copied behind their heads."""
_TO_READ_WHY_SECONDS = 1.0
"""For who is one too many to send something, and so to see the answer."""


class HttpProtocol(HttpToolsProtocol):
    """The same in all else. `bounded` gives the class for one server's bounds."""

    open_connections = Connections(ConnectionBounds())

    # Set while a request's head, or what is left of an answered request, is waited for.
    _deadline: asyncio.TimerHandle | None = None
    _head_begun = False
    # Of a head that came in parts, those after the first.
    _head_bytes = 0
    _head_parted = False
    _address = ""
    _refused: str | None = None
    # Set while the client takes less than is sent, with what waited for it when that was set.
    _unsent_deadline: asyncio.TimerHandle | None = None
    _unsent = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count it, and wait for a request."""
        super().connection_made(transport)
        if self.client is not None:
            self._address = self.client[0]
        self._refused = self.open_connections.enter(self._address)
        bounds = self.open_connections.bounds
        seconds = bounds.head_seconds if self._refused is None else _TO_READ_WHY_SECONDS
        self._deadline = self.loop.call_later(seconds, self._too_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._in_time()
        self._sent()
        self.open_connections.leave(self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        if self._refused is not None:
            self._answer(503, self._refused, retry_after=1)
            return
        super().data_received(data)
        if self._head_begun:
            self._count(len(data))
        if not self._is_serving():
            self._go_on_waiting()

    def pause_writing(self) -> None:
        """More waits for the client than is held for one: it has its time to take some of it."""
        super().pause_writing()
        self._wait_for_taking()

    def resume_writing(self) -> None:
        """It took most of it."""
        super().resume_writing()
        self._sent()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._head_begun, self._head_bytes, self._head_parted = True, 0, False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A request has come whole but for its body: gather what its response writes."""
        self._head_begun = False
        if self._deadline is not None:
            self._in_time()
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            gathering = GatheringTransport(self.cycle.transport, self.loop)
            self.cycle.transport = cast("asyncio.Transport", gathering)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection on; it counts until that protocol has lost it."""
        super().handle_websocket_upgrade()
        protocol = self.transport.get_protocol()
        if isinstance(protocol, SocketProtocol):
            protocol.on_lost = self._leave

    def _is_serving(self) -> bool:
        # uvicorn says that there is always one.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _leave(self) -> None:
        self.open_connections.leave(self._address)

    def _count(self, size: int) -> None:
        """A part of a head came that isn't whole yet."""
        if self._head_parted:
            self._head_bytes += size
        self._head_parted = True
        if self._head_bytes <= LARGEST_HEAD:
            return
        if not self._is_serving():
            self._answer(431, f"the head of a request may have {LARGEST_HEAD // 1024} KiB")
        else:
            # Sent behind another request, in the middle of whose answer nothing can be said.
            self.transport.close()

    def _go_on_waiting(self) -> None:
        """A part came, and no request is being served: the time runs from its first byte."""
        if (
            self._deadline is None
            and not self.transport.is_closing()
            and self.transport.get_protocol() is self
        ):
            seconds = self.open_connections.bounds.head_seconds
            self._deadline = self.loop.call_later(seconds, self._too_late)

    def _wait_for_taking(self) -> None:
        self._unsent = self.transport.get_write_buffer_size()
        seconds = self.open_connections.bounds.send_seconds
        self._unsent_deadline = self.loop.call_later(seconds, self._still_unsent)

    def _still_unsent(self) -> None:
        self._unsent_deadline = None
        if self.transport.get_write_buffer_size() < self._unsent:
            self._wait_for_taking()
        else:
            self.transport.abort()

    def _sent(self) -> None:
        if self._unsent_deadline is not None:
            self._unsent_deadline.cancel()
            self._unsent_deadline = None

    def _in_time(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        if self._head_begun:
            seconds = self.open_connections.bounds.head_seconds
            self._answer(408, f"the request's headers did not come within {seconds:g} s")
        elif self._refused is not None:
            self._answer(503, self._refused, retry_after=1)
        else:
            # Nothing was asked, so there is nobody to tell.
            self.transport.close()

    def _answer(self, status: int, message: str, *, retry_after: int | None = None) -> None:
        """Answer before any request is known, and close."""
        if self.transport.is_closing():
            return
        error = {"message": message, "extensions": {"code": code_of(status)}}
        body = orjson.dumps({"errors": [error]})
        head = [
            STATUS_LINE[status],
            b"content-type: application/json\r\nconnection: close\r\n",
            b"content-length: %d\r\n" % len(body),
        ]
        if retry_after is not None:
            head.append(b"retry-after: %d\r\n" % retry_after)
        self.transport.write(b"".join([*head, b"\r\n", body]))
        self.transport.close()


def bounded(bounds: ConnectionBounds) -> type[HttpProtocol]:
    """The protocol of a server with these bounds."""

    class Bounded(HttpProtocol):
        open_connections = Connections(bounds)

    return Bounded


class GatheringTransport:
    """Of a transport what a response needs. Two writes in one turn of the loop become one."""

    __slots__ = ("_loop", "_transport", "_waiting")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiting: bytes | None = None

    def write(self, data: bytes) -> None:
        """Write this in the present turn of the loop, or at its end."""
        waiting = self._waiting
        if waiting is None:
            self._waiting = data
            self._loop.call_soon(self.flush)
        elif len(data) > _JOINED_BYTES:
            self._waiting = None
            self._transport.writelines((waiting, data))
        else:
            self._waiting = None
            self._transport.write(waiting + data)

    def flush(self) -> None:
        """Write what waits."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._transport.write(waiting)

    def close(self) -> None:
        """Close it once all is written."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._transport.is_closing()
