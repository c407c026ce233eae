"""uvicorn's HTTP protocol, with a response's head and body in one packet.

uvicorn writes the head at once, then the body: two system calls and two packets for each response,
which were a tenth of a request's time through the gateway. Here what is written first waits for
what follows in the same turn of the loop.
"""

import asyncio
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_JOINED_BYTES = 64 * 1024
"""Larger bodies are not copied behind their heads."""


class HttpProtocol(HttpToolsProtocol):
    """The same in all else."""

    def on_headers_complete(self) -> None:
        """A request has come whole but for its body: gather what its response writes."""
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            gathering = GatheringTransport(self.cycle.transport, self.loop)
            self.cycle.transport = cast("asyncio.Transport", gathering)


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
