"""What a test sees of requests: which addresses this process connects to, and what arrives.

No connection leaves this machine: to any other address it fails as without a network, and is noted.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

BODY = "planted-in-an-answer"
"""Stands in every answer of a listener, and in nothing that is told of it."""


@dataclass
class Connections:
    """`made` has the address of each connection that was begun, but for those to `own_port`."""

    made: list[str] = field(default_factory=list)
    own_port: int = 0


@contextmanager
def watched_connections() -> Iterator[Connections]:
    """Watch every socket of this process."""
    connections = Connections()
    connect = socket.socket.connect

    def watched(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6} and address[1] != connections.own_port:
            connections.made.append(address[0])
            where = ip_address(address[0].partition("%")[0])
            if not (getattr(where, "ipv4_mapped", None) or where).is_loopback:
                raise OSError(errno.ENETUNREACH, "no test leaves this machine")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", watched)
        yield connections


@dataclass
class Listener:
    """Listens on 127.0.0.1 and ::1, and answers each request with `answer`."""

    port: int = 0
    connections: int = 0
    received: bytearray = field(default_factory=bytearray)
    answer: bytes = b""

    @property
    def keys(self) -> int:
        """How many requests brought a key."""
        return self.received.lower().count(b"\r\nauthorization:")

    def reset(self) -> None:
        """Forget what came, and answer as at first."""
        self.connections = 0
        self.received.clear()
        self.answer = http_answer("500 Internal Server Error")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take what comes until there is no more."""
        self.connections += 1
        begun = len(self.received)
        with suppress(ConnectionError):
            while some := await reader.read(65_536):
                self.received += some
                if b"\r\n\r\n" in self.received[begun:]:
                    writer.write(self.answer)
                    begun = len(self.received)
                    if b"Connection: close" in self.answer:
                        break
        writer.close()


def http_answer(status: str, *headers: str, kept: bool = False) -> bytes:
    """An answer with `BODY`. The connection is closed after it, unless it is kept."""
    body = f'{{"error": {{"message": "{BODY}"}}}}'
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    if not kept:
        head.append("Connection: close")
    return ("\r\n".join([*head, "Content-Type: application/json", "", body])).encode()


@asynccontextmanager
async def listening(tls: ssl.SSLContext | None = None) -> AsyncIterator[Listener]:
    """A listener on a free port."""
    listener = Listener()
    listener.reset()
    first = await asyncio.start_server(listener.serve, "127.0.0.1", 0, ssl=tls)
    listener.port = first.sockets[0].getsockname()[1]
    async with first, await asyncio.start_server(listener.serve, "::1", listener.port, ssl=tls):
        yield listener


class Names(AbstractResolver):
    """A DNS server that says what it is told to say: of each name the next of its answers, the last
    one for good. Numbers it takes for addresses as the system does, in every spelling.
    """

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[str, ...]]] = {}
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        answers = self.answers.get(host.rstrip(".").lower())
        if answers is None:
            found = socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)
            addresses: tuple[str, ...] = tuple(str(one[4][0]) for one in found[:1])
        else:
            addresses = answers[0] if len(answers) == 1 else answers.pop(0)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is open."""
