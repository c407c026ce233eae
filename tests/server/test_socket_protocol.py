"""What becomes of clients that read slowly, not at all, or not any more."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from server.outcomes import SharedResult
from server.socket_protocol import LEAST_COMPRESSED, MOST_MISSED, SocketProtocol, protocol_of

MESSAGE = "x" * 2_000_000
"""More than the system takes for a client that doesn't read."""
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%b\r\n"
)


class App:
    """Accepts a socket, sends what it is told to, and waits for its end."""

    def __init__(self, *messages: str) -> None:
        self.messages = messages
        self.sent = 0
        self.ended = False

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        try:
            for message in self.messages:
                await send({"type": "websocket.send", "text": message})
                self.sent += 1
            while (await receive())["type"] != "websocket.disconnect":
                pass
        finally:
            self.ended = True


class Impatient(SocketProtocol):
    """Closes sooner, and can be looked at."""

    opened: "list[Impatient]"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.close_timeout = 0.05
        super().connection_made(transport)
        self.opened.append(self)


@asynccontextmanager
async def serving(app: App, **options: Any) -> AsyncIterator[tuple[Any, type[Impatient]]]:
    """A server of the app: its address, and the protocols that it made."""
    protocol = type("Watched", (Impatient,), {"opened": []})
    listener = socket.create_server(("127.0.0.1", 0))
    # What the system holds for a client is small, and the same on every machine.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
    server = uvicorn.Server(
        uvicorn.Config(app, ws=protocol, lifespan="off", log_config=None, **options)
    )
    task = asyncio.ensure_future(server.serve([listener]))
    while not server.started:  # noqa: ASYNC110  # uvicorn tells in no other way
        await asyncio.sleep(0.01)
    try:
        yield listener.getsockname(), protocol
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def client(
    address: Any, headers: bytes = b""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client that said hello and reads no more than it is told to."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, address)
    reader, writer = await asyncio.open_connection(sock=raw, limit=1_024)
    writer.write(HANDSHAKE % headers)
    await reader.readuntil(b"\r\n\r\n")
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def until(condition: Callable[[], bool]) -> None:
    """Let the server go on until something is so."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # a protocol tells in no other way
            await asyncio.sleep(0.005)


async def read_to(reader: asyncio.StreamReader, end: bytes) -> bytes:
    """Everything up to these bytes, however much that is."""
    received = b""
    async with asyncio.timeout(20):
        while not received.endswith(end):
            received += await reader.read(100_000)
    return received


def masked(opcode: int, payload: bytes) -> bytes:
    """A frame as clients send it; a mask of zeros leaves the payload as it is."""
    return bytes([0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0]) + payload


async def test_a_client_that_answers_no_ping_is_told_to_come_again() -> None:
    app = App()
    async with (
        serving(app, ws_ping_interval=0.02, ws_ping_timeout=0.02) as (address, _),
        client(address) as (reader, _),
    ):
        received = await asyncio.wait_for(reader.read(-1), 30)
    ping, close = received[:6], received[6:]
    assert ping[:2] == b"\x89\x04"
    assert close[0] == 0x88
    assert int.from_bytes(close[2:4], "big") == 1012
    assert app.ended


async def test_a_late_answer_to_a_ping_is_an_answer() -> None:
    async with (
        serving(App(), ws_ping_interval=0.02, ws_ping_timeout=0.2) as (address, opened),
        client(address) as (reader, writer),
    ):
        first = await reader.readexactly(6)
        await until(lambda: opened.opened[0].missed == 1)
        writer.write(masked(0x0A, first[2:]))
        second = await asyncio.wait_for(reader.readexactly(6), 30)
        assert second[:2] == b"\x89\x04"
        assert second != first
        assert opened.opened[0].missed == 0


async def test_a_client_that_takes_what_is_sent_is_there_though_it_answers_no_ping() -> None:
    """The ping lies behind a message that takes its time."""
    async with (
        serving(App(MESSAGE), ws_ping_interval=0.05, ws_ping_timeout=0.05) as (address, opened),
        client(address) as (reader, _),
    ):
        (protocol,) = opened.opened
        for _ in range(3):
            await until(lambda: protocol.missed >= MOST_MISSED - 2)
            before = protocol.untaken
            while protocol.transport.get_write_buffer_size() >= before:
                await reader.read(50_000)
            await until(lambda: protocol.missed == 0)
        assert not protocol.close_sent


async def test_a_client_that_takes_nothing_is_left_in_the_end() -> None:
    """Neither a ping's timeout nor a closing waits for it for ever."""
    app = App(MESSAGE, "never")
    async with (
        serving(app, ws_ping_interval=0.02, ws_ping_timeout=0.02) as (address, opened),
        client(address),
    ):
        await until(lambda: app.ended and opened.opened[0].disconnected)
        assert app.sent == 0


async def test_a_client_that_closes_without_reading_is_left_in_the_end() -> None:
    app = App(MESSAGE)
    async with serving(app) as (address, opened), client(address) as (_, writer):
        (protocol,) = opened.opened
        await until(lambda: not protocol.writable.is_set())
        writer.write(masked(0x08, b"\x03\xe8"))
        await until(lambda: protocol.disconnected)
        await until(lambda: app.ended)


async def test_a_client_that_does_not_read_holds_one_message() -> None:
    app = App("first", MESSAGE, *["x" * 100_000] * 10, "last")
    async with serving(app) as (address, opened), client(address) as (reader, _):
        (protocol,) = opened.opened
        await until(lambda: not protocol.writable.is_set())
        # Nothing else is asked for before this one is taken.
        assert app.sent == 1
        assert protocol.transport.get_write_buffer_size() < len(MESSAGE) + 14
        received = await read_to(reader, b"last")
        assert len(received) > len(MESSAGE) + 1_000_000
        await until(lambda: app.sent == len(app.messages))


async def test_pings_of_a_client_that_does_not_read_pile_up_nowhere() -> None:
    app = App(MESSAGE, "last")
    async with serving(app) as (address, opened), client(address) as (reader, writer):
        (protocol,) = opened.opened
        await until(lambda: not protocol.writable.is_set())
        held = protocol.transport.get_write_buffer_size()
        for number in range(20_000):
            writer.write(masked(0x09, b"%05d" % number + b"p" * 100))
            await writer.drain()
        await until(lambda: b"19999" in protocol.unsent_pong)
        assert protocol.transport.get_write_buffer_size() <= held
        received = await read_to(reader, b"last")
        assert received.count(b"p" * 100) == 1
        assert b"19999" in received, "the last one is answered"
        # And each again, once the client reads.
        writer.write(masked(0x09, b"again"))
        assert await asyncio.wait_for(reader.readexactly(7), 30) == b"\x8a\x05again"


class Pusher(App):
    """Pushes what it is told to, head and tail around each."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        for message in self.messages:
            protocol_of(scope).push(b"<", SharedResult(message.encode()), b">")
        await protocol_of(scope).send_text(b"the end")
        while (await receive())["type"] != "websocket.disconnect":
            pass


@pytest.mark.parametrize("length", [1, 123, 124, 125, 65_532, 65_533, 65_534, 200_000])
async def test_what_is_pushed_is_one_frame_whatever_its_length(length: int) -> None:
    async with serving(Pusher("x" * length)) as (address, _), client(address) as (reader, _):
        received = await read_to(reader, b"the end")
    assert received[0] == 0x81
    head = 2 if length + 2 < 126 else 4 if length + 2 < 65_536 else 10
    if head > 2:
        assert int.from_bytes(received[2:head], "big") == length + 2
    assert received[head : head + length + 2] == b"<" + b"x" * length + b">"
    assert received[head + length + 2 :] == b"\x81\x07the end"


@pytest.mark.parametrize(
    ("offer", "first_byte"),
    [
        (b"", 0x81),
        (b"permessage-deflate", 0xC1),
        (b"permessage-deflate; client_max_window_bits", 0xC1),
        # What is shared looks back further than this client would.
        (b"permessage-deflate; server_max_window_bits=10", 0x81),
    ],
)
async def test_who_is_pushed_compressed_messages(offer: bytes, first_byte: int) -> None:
    header = b"Sec-WebSocket-Extensions: %b\r\n" % offer if offer else b""
    app = Pusher("x" * LEAST_COMPRESSED, "x" * (LEAST_COMPRESSED - 1))
    async with (
        serving(app, ws_per_message_deflate=True) as (address, _),
        client(address, header) as (reader, _),
    ):
        received = await read_to(reader, b"the end")
    assert received[0] == first_byte
    # Too short to be worth it.
    assert b"\x81\x7e\x01\x01<" + b"x" * (LEAST_COMPRESSED - 1) + b">" in received


async def test_compression_is_off_unless_it_is_asked_for() -> None:
    header = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
    async with (
        serving(Pusher("x" * LEAST_COMPRESSED), ws_per_message_deflate=False) as (address, _),
        client(address, header) as (reader, _),
    ):
        assert (await read_to(reader, b"the end"))[0] == 0x81
