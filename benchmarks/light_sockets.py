"""Websocket clients that cost next to nothing, so that a thousand of them leave the machine to the
server that is measured. They check no more than a benchmark needs.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

HANDSHAKE = (
    "GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n{headers}\r\n"
)
_TEXT = 0x1


class Arrivals:
    """What all sockets together have received: for each message its socket, when, and what."""

    def __init__(self) -> None:
        self.messages: list[tuple[float, bytes]] = []
        self.wire_bytes = 0
        self._expected: tuple[int, asyncio.Future[None]] | None = None

    def note(self, message: bytes, wire_bytes: int) -> None:
        """One more."""
        self.messages.append((time.perf_counter(), message))
        self.wire_bytes += wire_bytes
        if self._expected is not None and len(self.messages) >= self._expected[0]:
            self._expected[1].set_result(None)
            self._expected = None

    async def wait_for(self, count: int) -> None:
        """Until this many have come since `clear`."""
        if len(self.messages) < count:
            future = asyncio.get_running_loop().create_future()
            self._expected = (count, future)
            await asyncio.wait_for(future, 60)

    def clear(self) -> None:
        """Begin again."""
        self.messages.clear()
        self.wire_bytes = 0


class LightSocket(asyncio.Protocol):
    """One connection. Messages are left as they come, compressed ones compressed."""

    def __init__(self, arrivals: Arrivals, request: str) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self._arrivals = arrivals
        self._request = request
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request.encode())

    def data_received(self, data: bytes) -> None:
        """Take every frame that is whole."""
        unread = self._unread + data
        if not self.opened.done():
            head, found, unread = unread.partition(b"\r\n\r\n")
            if not found:
                self._unread = head
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self.opened.set_result(None)
        while len(unread) >= 2:
            start, length = 2, unread[1]
            if length == 126:
                start, length = 4, int.from_bytes(unread[2:4], "big")
            elif length == 127:
                start, length = 10, int.from_bytes(unread[2:10], "big")
            if len(unread) < start + length:
                break
            if unread[0] & 0xF == _TEXT:
                self._arrivals.note(unread[start : start + length], start + length)
            unread = unread[start + length :]
        self._unread = unread

    def send(self, message: bytes) -> None:
        """A text message; a mask of zeros leaves it as it is."""
        head = bytes([0x80 | _TEXT, 0x80 | 126]) + len(message).to_bytes(2, "big")
        self.transport.write(head + bytes(4) + message)


@asynccontextmanager
async def light_sockets(
    port: int, count: int, headers: dict[str, str]
) -> AsyncIterator[tuple[list[LightSocket], Arrivals]]:
    """This many connections, one after another."""
    arrivals = Arrivals()
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = HANDSHAKE.format(port=port, headers=lines)
    loop = asyncio.get_running_loop()
    opened: list[LightSocket] = []
    try:
        for _ in range(count):
            _, one = await loop.create_connection(
                lambda: LightSocket(arrivals, request), "127.0.0.1", port
            )
            opened.append(one)
            await one.opened
        yield opened, arrivals
    finally:
        for one in opened:
            one.transport.abort()


def graphql_message(operation_id: str, query: str, variables: object) -> bytes:
    """A `subscribe` of `graphql-transport-ws`."""
    payload = {"query": query, "variables": variables}
    return json.dumps({"id": operation_id, "type": "subscribe", "payload": payload}).encode()
