"""A proxy for HTTP: tunnels on CONNECT, and passes on what is asked for by a whole URL.

Whatever host it is asked for, it goes to one server of this machine: names need no DNS so.
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_REFUSED = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"


@dataclass
class ProxyServer:
    """`asked` has the request line of each connection; `credentials` are user:password."""

    port: int = 0
    target_port: int = 0
    credentials: str | None = None
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            line, _, rest = head.partition(b"\r\n")
            method, wanted, version = line.decode().split(" ")
            self.asked.append(f"{method} {wanted}")
            if not self._knows(head):
                writer.write(_REFUSED)
                await writer.drain()
                return
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                to_writer.write(f"{method} {urlsplit(wanted).path} {version}\r\n".encode() + rest)
            await asyncio.gather(_pass_on(reader, to_writer), _pass_on(to_reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # Who asked went away.
        finally:
            writer.close()

    def _knows(self, head: bytes) -> bool:
        if self.credentials is None:
            return True
        expected = b"Proxy-Authorization: Basic " + base64.b64encode(self.credentials.encode())
        return expected in head


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def proxy_server(
    target_url: str, credentials: str | None = None
) -> AsyncIterator[ProxyServer]:
    """Serve it on a free port, with this server behind it."""
    proxy = ProxyServer(target_port=urlsplit(target_url).port or 0, credentials=credentials)
    server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    async with server:
        yield proxy
