"""Clients that stop reading, and processes that are stopped: others get what is pushed, memory is
bounded, and those that answer nothing any more are closed in the end.
"""

import asyncio
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.light_sockets import HANDSHAKE, LightSocket, graphql_message, light_sockets
from tests.fault.load import Load, simulated_provider
from tests.fault.serving import BEARER, ServerProcess, server_process
from tests.fault.subscribing import subscribed
from tests.fault.violations import Counts, demand

HEADERS = BEARER | {"Sec-WebSocket-Protocol": "graphql-transport-ws"}
MUCH = """subscription { usageUpdated(input: { dimension: AGENT, timezone: "UTC", topGroups: 100,
  window: { period: LAST_30_DAYS } }) {
  ... on UsageSnapshot { series { groups { key points { start requests inputTokens costUsd } } } }
  ... on UsageDelta { changes { key points { start requests inputTokens costUsd } } } } }"""
"""Some 50 kB at first, and a kilobyte or so at each change."""
_MOST_MEMORY_KB = 40 * 1024
_CLOSED_SECONDS = 180.0
"""A ping each 20 s, and four answers missed: with the first wait, two minutes."""


async def slow_readers(folder: Path, chance: random.Random, counts: Counts, *, full: bool) -> None:
    """So many stop reading beside those who read."""
    many = 60 if full else 10
    async with simulated_provider() as provider, server_process(folder) as server:
        load = Load(server, chance)
        await load.set_up(provider)
        async with subscribed(server, 5) as reading, load.running(pause_seconds=0.3):
            await load.acknowledges(20)
            open_before, memory = server.open_files(), server.resident_kb()
            async with _not_reading(server, many):
                for _ in range(10 if full else 1):
                    seen = [one.updates for one in reading]
                    await load.lasts(3.0 if full else 1.5)
                    demand(
                        all(
                            one.updates > before for one, before in zip(reading, seen, strict=True)
                        ),
                        "a client that reads got nothing beside those that don't",
                    )
                counts.add("clients that stopped reading", many)
                await _bounded(server, memory, counts)
                if full:
                    await closed(server, load, open_before)
                    counts.add("of them closed by the server", many)
        await _ends_well(server, load, counts)


async def half_open(folder: Path, chance: random.Random, counts: Counts, *, full: bool) -> None:
    """Peers that vanish without a word: a process that is stopped, and sockets that never answer a
    ping.
    """
    many = 60 if full else 10
    async with simulated_provider() as provider, server_process(folder) as server:
        load = Load(server, chance)
        await load.set_up(provider)
        async with subscribed(server, 5) as reading, load.running(pause_seconds=0.3):
            await load.acknowledges(20)
            open_before, memory = server.open_files(), server.resident_kb()
            async with (
                _stopped_process(server, many),
                light_sockets(server.port, many, HEADERS) as (silent, _),
            ):
                for one in silent:
                    _subscribe(one)
                counts.add("peers that vanished", 2 * many)
                seen = [one.updates for one in reading]
                await load.lasts(5.0 if full else 1.5)
                demand(
                    all(one.updates > before for one, before in zip(reading, seen, strict=True)),
                    "a client that reads got nothing beside those that are gone",
                )
                await _bounded(server, memory, counts)
                if full:
                    await closed(server, load, open_before)
                    counts.add("of them closed by the server", 2 * many)
                else:
                    # The longest way to be closed is too long for a test: an end doesn't wait.
                    await load.known.settle(server)
        await _ends_well(server, load, counts)


async def closed(server: ServerProcess, load: Load, open_before: int) -> None:
    """Wait until the server holds no more connections than before. Raises `Violation`."""
    until = asyncio.get_running_loop().time() + _CLOSED_SECONDS
    while (now := server.open_files()) > open_before + 10:
        demand(
            asyncio.get_running_loop().time() < until,
            f"{now - open_before} connections of peers that are gone stay open",
        )
        await load.lasts(1)


async def _bounded(server: ServerProcess, memory: int, counts: Counts) -> None:
    grown = server.resident_kb() - memory
    counts.most("most memory that they took, MB", grown // 1024)
    demand(grown < _MOST_MEMORY_KB, f"clients that don't read took {grown} kB")


async def _ends_well(server: ServerProcess, load: Load, counts: Counts) -> None:
    await load.known.settle(server)
    await load.known.check(server, counts, requests_before=float("inf"))
    counts.add("writes acknowledged", load.known.total)
    await server.stop()
    server.check_log()


@asynccontextmanager
async def _not_reading(server: ServerProcess, number: int) -> AsyncIterator[None]:
    """Sockets that subscribe and read nothing, with small buffers."""
    loop = asyncio.get_running_loop()
    headers = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    hello = HANDSHAKE.format(port=server.port, headers=headers).encode()
    made: list[socket.socket] = []
    try:
        for _ in range(number):
            one = socket.socket()
            made.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            one.setblocking(False)
            await loop.sock_connect(one, ("127.0.0.1", server.port))
            await loop.sock_sendall(one, hello)
            await loop.sock_recv(one, 1_000)
            for message in (b'{"type":"connection_init"}', graphql_message("1", MUCH, {})):
                await loop.sock_sendall(one, _masked(message))
        yield
    finally:
        for one in made:
            one.close()


@asynccontextmanager
async def _stopped_process(server: ServerProcess, number: int) -> AsyncIterator[None]:
    """A client process that is stopped with its sockets open."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fault.stopped_client", str(server.port), str(number),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            demand(await process.stdout.readline() == b"subscribed\n", "a client did not subscribe")
        process.send_signal(signal.SIGSTOP)
        yield
    finally:
        process.kill()
        await process.wait()


def _subscribe(one: LightSocket) -> None:
    one.send(b'{"type":"connection_init"}')
    one.send(graphql_message("1", MUCH, {}))


def _masked(message: bytes) -> bytes:
    """A text frame of a client; a mask of zeros leaves it as it is."""
    return bytes([0x81, 0x80 | 126]) + len(message).to_bytes(2, "big") + bytes(4) + message
