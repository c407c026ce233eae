"""One answer on its connection: ASGI for what is right, the socket for what isn't.

ASGI has no words for a reset, or for a chunk that ends within itself. A server of our own would
have, but would bring its own HTTP parsing, keep-alive and flow control to keep right; so uvicorn's
stays, and `Connection` hands each request its transport as an ASGI extension. That is all that is
needed of it.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Mapping

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_EXTENSION = "trunkline.transport"
_RESET = struct.pack("ii", 1, 0)


class Connection(HttpToolsProtocol):
    """uvicorn's connection, whose requests can reach its transport."""

    def on_message_begin(self) -> None:
        """Each request of a connection has a scope of its own."""
        super().on_message_begin()
        self.scope["extensions"] = {_EXTENSION: {"transport": self.transport}}


class Wire:
    """Starts once; ends by `end`, or is `broken` by `cut` or `reset`."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._transport = scope["extensions"][_EXTENSION]["transport"]
        self._chunked = scope["http_version"] != "1.0"
        self._receive = receive
        self._send = send
        self.ended = False
        self.broken = False

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Status and headers. Without a `content-length` the body comes in chunks."""
        if "content-length" in headers:
            self._chunked = False
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def write(self, data: bytes) -> None:
        """More of the body, once the client has taken what came before."""
        if data:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        """The body is whole."""
        gone = self._transport.is_closing()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        self.ended = not gone

    def cut(self, unfinished: bytes = b"") -> None:
        """Send half of this, and close: within a chunk, or before the promised length."""
        half = unfinished[: len(unfinished) // 2]
        if half:
            length = b"%x\r\n" % len(unfinished) if self._chunked else b""
            self._transport.write(length + half)
        self.broken = True
        self._transport.close()

    def reset(self) -> None:
        """Reset the connection: the client gets no answer, or no more of it."""
        connected = self._transport.get_extra_info("socket")
        # Through a copy of the descriptor: uvloop's stand-in for a socket takes no options.
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connected.fileno())) as copy:
            copy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.broken = True
        self._transport.abort()

    async def until_gone(self) -> None:
        """Until the connection is lost. To be awaited once the request is read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
