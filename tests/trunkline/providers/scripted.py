"""A server that answers with given bytes, and an `Outgoing` that may reach it for every kind."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson

from db.vocabulary import ProviderKind
from trunkline.providers.outgoing import Outgoing


class Everywhere(Outgoing):
    """Outgoing that lets every kind reach loopback, where the tests' servers are."""

    def _may_be_private(self, kind: ProviderKind) -> bool:
        return True


@dataclass
class Scripted:
    """Give it whole HTTP answers; each request takes the next, the last one stays.

    After an answer the connection is closed. An empty one closes it without a word.
    """

    url: str = ""
    answers: list[bytes] = field(default_factory=list)
    # What was asked: request line and headers.
    asked: list[str] = field(default_factory=list)
    # Whether the connection stays open after the last answer, until who asked goes away.
    hold_last: bool = False

    def answer_json(self, *bodies: object) -> None:
        """Answer with these, one after another, with 200."""
        self.answers = [http_answer(orjson.dumps(body)) for body in bodies]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
            last = len(self.answers) == 1
            writer.write(self.answers[0] if last else self.answers.pop(0))
            await writer.drain()
            if last and self.hold_last:
                await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # Who asked went away.
        finally:
            writer.close()


def http_answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """A whole answer, closed at its end."""
    head = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers)
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def scripted_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[Scripted]:
    """Serve it on a free port of this machine."""
    scripted = Scripted()
    server = await asyncio.start_server(scripted._serve, "127.0.0.1", 0, ssl=tls)
    scheme = "https" if tls else "http"
    scripted.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield scripted
