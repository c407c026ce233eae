"""What a thousand dashboards on one series cost: CPU a delivery, how soon a change is everywhere,
memory while nothing happens, and what compression is worth.

Run `python -m benchmarks subscribers`. A real server in a process of its own, and a thousand real
`graphql-transport-ws` connections in this one, each subscribed to the same `usageUpdated`.

- Delivery: the server's CPU time, by the system's count, over forty changes, each recorded by HTTP
  and delivered to everybody before the next. Recording it, reading the series and executing the
  document cost the same for one subscriber; that is measured too, and taken off for `pushing`. The
  base is `websockets.broadcast` of the very bytes of such a delivery, to as many connections, by a
  server that does nothing else.
- Latency: a change every 250 ms for 20 s; for each the time from sending `recordUsage`, which is
  before the commit, to its arrival at the last of the thousand. The bound is a tick, and the time
  that a thousand writes take.
- Memory: what the resident size grows by when a thousand have subscribed and got their snapshot.
  The base is uvicorn with the same websocket implementation and an application that accepts and
  waits.
- Compression: the same with `TRUNKLINE_WEBSOCKET_COMPRESSION=on` and clients that take it.
"""

import asyncio
import re
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import uvloop

from benchmarks.light_sockets import Arrivals, LightSocket, graphql_message, light_sockets
from benchmarks.live_server import TOKEN, cpu_seconds, record, resident_bytes, server

SUBSCRIBERS = 1_000
WARMING = 20
"""Connections before any is measured: whatever is made once is made for these."""
CHANGES = 40
PAUSE_SECONDS = 0.3
"""Between two changes: longer than a tick, so that each is delivered by itself."""
PACED_CHANGES = 80
PACE_SECONDS = 0.25

_TOTALS = "requests failures inputTokens outputTokens costUsd"
_GROUP = f"key label totals {{ {_TOTALS} }} points {{ start requests inputTokens costUsd }}"
WATCH = f"""subscription ($input: UsageSeriesInput!) {{ usageUpdated(input: $input) {{
  __typename
  ... on UsageSnapshot {{ series {{ asOf totals {{ {_TOTALS} }} groups {{ {_GROUP} }} }} }}
  ... on UsageDelta {{ asOf order totals {{ {_TOTALS} }} changes {{ {_GROUP} }} }} }} }}"""
INPUT = {"dimension": "MODEL", "window": {"period": "TODAY"}, "timezone": "UTC"}

_BROADCASTER = """
import asyncio, sys
from websockets.asyncio.server import broadcast, serve

async def main():
    everybody = set()
    async def handle(connection):
        everybody.add(connection)
        try:
            async for message in connection:
                if len(message) > 1:
                    broadcast(everybody, message)
        finally:
            everybody.discard(connection)
    async with serve(handle, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
_BARE = """
import socket, uvicorn

async def app(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await receive()

listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
print(listener.getsockname()[1], flush=True)
config = uvicorn.Config(app, ws="websockets-sansio", ws_per_message_deflate=False,
                        lifespan="off", log_config=None, access_log=False)
uvicorn.Server(config).run([listener])
"""

_DEFLATE = {"Sec-WebSocket-Extensions": "permessage-deflate"}


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one server: CPU seconds of a change, bytes of a delivery and of a snapshot on the wire,
    one delivery, and the growth of the resident size for each subscriber.
    """

    change_seconds: float
    wire_bytes: float
    snapshot_bytes: float
    delivery: bytes
    idle_bytes: float


def main() -> None:
    """Print the tables."""
    uvloop.run(_main())


async def _main() -> None:
    with server() as (process, port):
        await _warm(port)
        alone = await _measured(process.pid, port, 1)
    with server() as (process, port):
        await _warm(port)
        plain = await _measured(process.pid, port, SUBSCRIBERS)
        latencies, cores = await _latencies(process.pid, port)
    with server(TRUNKLINE_WEBSOCKET_COMPRESSION="on") as (process, port):
        await _warm(port, **_DEFLATE)
        packed = await _measured(process.pid, port, SUBSCRIBERS, **_DEFLATE)
    bare_idle = await _bare_idle_bytes()
    base = await _broadcast_seconds(plain.delivery)
    print(
        f"{SUBSCRIBERS:,} subscribers to one series, a delivery of {len(plain.delivery):,} bytes\n"
    )
    print("| server CPU a delivery | µs | of `websockets.broadcast` | aim |")
    print("|---|---|---|---|")
    print(f"| `websockets.broadcast` | {base * 1e6:.1f} | 1.0 | |")
    for name, seconds, aim in (
        ("`usageUpdated`, pushing", plain.change_seconds - alone.change_seconds, "2"),
        ("the same, compressed", packed.change_seconds - alone.change_seconds, ""),
        ("the whole of a change: recorded, read, executed, pushed", plain.change_seconds, ""),
    ):
        each = seconds / SUBSCRIBERS
        print(f"| {name} | {each * 1e6:.1f} | {each / base:.1f} | {aim} |")
    print("\n| a change every 250 ms | | aim |")
    print("|---|---|---|")
    for name, share in (("median", 0.5), ("p99", 0.99)):
        aim = "250 ms" if share > 0.9 else ""
        figure = _quantile(latencies, share)
        print(f"| to the last of {SUBSCRIBERS:,}, {name} | {figure * 1e3:.0f} ms | {aim} |")
    print(f"| the server's CPU | {cores:.2f} cores | 1 |")
    print("\n| memory of an idle subscriber | kB | of a bare websocket | aim |")
    print("|---|---|---|---|")
    print(f"| uvicorn, accepted and waiting | {bare_idle / 1e3:.1f} | 1.0 | |")
    for name, one in (("subscribed, with its snapshot", plain), ("the same, compressed", packed)):
        aim = "2" if one is plain else ""
        print(f"| {name} | {one.idle_bytes / 1e3:.1f} | {one.idle_bytes / bare_idle:.2f} | {aim} |")
    print("\n| on the wire | plain, bytes | compressed, bytes | ratio |")
    print("|---|---|---|---|")
    for name, before, after in (
        ("a delivery", plain.wire_bytes, packed.wire_bytes),
        ("a snapshot", plain.snapshot_bytes, packed.snapshot_bytes),
    ):
        print(f"| {name} | {before:,.0f} | {after:,.0f} | {after / before:.2f} |")


async def _warm(port: int, **headers: str) -> None:
    """Whatever is made once is made for these."""
    for number in range(40):
        record(port, number)
    async with _subscribed(port, WARMING, **headers):
        pass
    await asyncio.sleep(1)


async def _measured(pid: int, port: int, count: int, **headers: str) -> Measured:
    before = resident_bytes(pid)
    async with _subscribed(port, count, **headers) as (_, arrivals):
        await asyncio.sleep(1)
        idle_bytes = (resident_bytes(pid) - before) / count
        snapshot_bytes = arrivals.wire_bytes / count
        arrivals.clear()
        began = cpu_seconds(pid)
        for number in range(CHANGES):
            await asyncio.to_thread(record, port, 1_000 + number)
            await arrivals.wait_for((number + 1) * count)
            await asyncio.sleep(PAUSE_SECONDS)
        seconds = (cpu_seconds(pid) - began) / CHANGES
        wire_bytes = arrivals.wire_bytes / CHANGES / count
        return Measured(seconds, wire_bytes, snapshot_bytes, arrivals.messages[-1][1], idle_bytes)


async def _latencies(pid: int, port: int) -> tuple[list[float], float]:
    """Seconds from each change to its arrival at the last socket, and the server's cores."""
    async with _subscribed(port, SUBSCRIBERS) as (_, arrivals):
        before = _requests(arrivals.messages[-1][1])
        arrivals.clear()
        await asyncio.sleep(1)  # The last of them had a reading of its own.
        began, cpu_began = time.perf_counter(), cpu_seconds(pid)
        sent: list[float] = []
        for number in range(PACED_CHANGES):
            await asyncio.sleep(began + number * PACE_SECONDS - time.perf_counter())
            sent.append(time.perf_counter())
            await asyncio.to_thread(record, port, 5_000 + number)
        await asyncio.sleep(1)
        cores = (cpu_seconds(pid) - cpu_began) / (time.perf_counter() - began)
    # A delivery shows all changes up to its count of requests. When the last socket had it:
    complete: dict[int, float] = {}
    for at, message in arrivals.messages:
        complete[_requests(message)] = at
    assert len(arrivals.messages) == len(complete) * SUBSCRIBERS
    assert max(complete) == before + PACED_CHANGES
    found = [
        min(at for count, at in complete.items() if count > before + number) - begun
        for number, begun in enumerate(sent)
    ]
    return found, cores


def _requests(message: bytes) -> int:
    """The series' total, which says what is in a delivery."""
    found = re.search(rb'"requests":(\d+)', message)
    assert found is not None, message
    return int(found[1])


async def _broadcast_seconds(message: bytes) -> float:
    with _program(_BROADCASTER) as (process, port):
        async with light_sockets(port, SUBSCRIBERS, {}) as (every, arrivals):
            began = cpu_seconds(process.pid)
            for number in range(CHANGES):
                every[0].send(message)
                await arrivals.wait_for((number + 1) * SUBSCRIBERS)
                await asyncio.sleep(PAUSE_SECONDS)
            return (cpu_seconds(process.pid) - began) / CHANGES / SUBSCRIBERS


async def _bare_idle_bytes() -> float:
    with _program(_BARE) as (process, port):
        async with light_sockets(port, WARMING, {}):
            pass
        await asyncio.sleep(1)
        before = resident_bytes(process.pid)
        async with light_sockets(port, SUBSCRIBERS, {}):
            await asyncio.sleep(1)
            return (resident_bytes(process.pid) - before) / SUBSCRIBERS


@asynccontextmanager
async def _subscribed(
    port: int, count: int, **headers: str
) -> AsyncIterator[tuple[list[LightSocket], Arrivals]]:
    """Sockets that have their snapshots; nothing else counts as having arrived."""
    own = {"Authorization": f"Bearer {TOKEN}", "Sec-WebSocket-Protocol": "graphql-transport-ws"}
    async with light_sockets(port, count, own | headers) as (every, arrivals):
        for one in every:
            one.send(b'{"type":"connection_init"}')
        await arrivals.wait_for(count)
        arrivals.clear()
        for number, one in enumerate(every):
            one.send(graphql_message(f"operation-{number:04}", WATCH, {"input": INPUT}))
        await arrivals.wait_for(count)
        yield every, arrivals


def _quantile(figures: list[float], share: float) -> float:
    return statistics.quantiles(figures, n=100, method="inclusive")[round(share * 100) - 1]


@contextmanager
def _program(text: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    with subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


if __name__ == "__main__":
    main()
