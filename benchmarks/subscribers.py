"""What a thousand dashboards on one series cost: CPU a delivery, and memory while nothing happens.

Run `python -m benchmarks.subscribers`. A real server in a process of its own, and a thousand real
`graphql-transport-ws` connections in this one, each subscribed to the same `usageUpdated`.

- Delivery: the server's CPU time, by the system's count, over forty changes, each recorded by HTTP
  and delivered to everybody before the next. The base is `websockets.broadcast` of the very bytes
  of such a delivery, to as many connections, by a server that does nothing else.
- Memory: what the resident size grows by when a thousand have subscribed and got their snapshot.
  The base is uvicorn with the same websocket implementation and an application that accepts and
  waits.
"""

import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

SUBSCRIBERS = 1_000
WARMING = 20
"""Connections before any is measured: whatever is made once is made for these."""
CHANGES = 40
PAUSE_SECONDS = 0.3
"""Between two changes: longer than a tick, so that each is delivered by itself."""

TOKEN = "benchmark-token-0123456789"
MODELS = ("claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-5", "claude-opus-4-1")
RECORD = """mutation ($events: [UsageEventInput!]!) { recordUsage(input: { events: $events }) {
  recorded userErrors { message } } }"""
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


def main() -> None:
    """Print both tables."""
    asyncio.run(_main())


async def _main() -> None:
    with tempfile.TemporaryDirectory() as folder, _trunkline(Path(folder)) as (process, port):
        for number in range(40):
            _record(port, number)
        url = f"ws://127.0.0.1:{port}/graphql"
        async with _connections(url, "graphql-transport-ws", WARMING) as first:
            await asyncio.gather(*(_subscribe(one) for one in first))
        await asyncio.sleep(1)
        before = _resident_bytes(process.pid)
        async with _connections(url, "graphql-transport-ws") as every:
            await asyncio.gather(*(_subscribe(one) for one in every))
            await asyncio.sleep(1)
            idle = (_resident_bytes(process.pid) - before) / SUBSCRIBERS
            seconds, message = await _delivered(process.pid, port, every)
    bare_idle = await _bare_idle_bytes()
    bare_seconds = await _broadcast_seconds(message)
    print(f"{SUBSCRIBERS:,} subscribers to one series, a delivery of {len(message):,} bytes\n")
    print("| server CPU a delivery | µs | of `websockets.broadcast` |")
    print("|---|---|---|")
    print(f"| `websockets.broadcast` | {bare_seconds * 1e6:.1f} | 1.0 |")
    print(f"| `usageUpdated` | {seconds * 1e6:.1f} | {seconds / bare_seconds:.1f} |\n")
    print("| memory of an idle subscriber | kB | of a bare websocket |")
    print("|---|---|---|")
    print(f"| uvicorn, accepted and waiting | {bare_idle / 1e3:.1f} | 1.0 |")
    print(f"| subscribed, with its snapshot | {idle / 1e3:.1f} | {idle / bare_idle:.2f} |")


async def _delivered(pid: int, port: int, every: list[ClientConnection]) -> tuple[float, str]:
    """The server's CPU seconds a delivery, and the text of one."""
    text = ""
    began = _cpu_seconds(pid)
    for number in range(CHANGES):
        received = asyncio.gather(*(one.recv() for one in every))
        await asyncio.to_thread(_record, port, 1_000 + number)
        for one in await received:
            text = str(one)
            assert json.loads(text)["type"] == "next", text
        await asyncio.sleep(PAUSE_SECONDS)
    return (_cpu_seconds(pid) - began) / CHANGES / len(every), text


async def _broadcast_seconds(message: str) -> float:
    with _program(_BROADCASTER) as (process, port):
        async with _connections(f"ws://127.0.0.1:{port}/", None) as every:
            began = _cpu_seconds(process.pid)
            for _ in range(CHANGES):
                received = asyncio.gather(*(one.recv() for one in every))
                await every[0].send(message)
                await received
                await asyncio.sleep(PAUSE_SECONDS)
            return (_cpu_seconds(process.pid) - began) / CHANGES / len(every)


async def _bare_idle_bytes() -> float:
    with _program(_BARE) as (process, port):
        async with _connections(f"ws://127.0.0.1:{port}/", None, WARMING):
            pass
        await asyncio.sleep(1)
        before = _resident_bytes(process.pid)
        async with _connections(f"ws://127.0.0.1:{port}/", None):
            await asyncio.sleep(1)
            return (_resident_bytes(process.pid) - before) / SUBSCRIBERS


@asynccontextmanager
async def _connections(
    url: str, protocol: str | None, count: int = SUBSCRIBERS
) -> AsyncIterator[list[ClientConnection]]:
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(count):
            connection = await stack.enter_async_context(
                connect(
                    url,
                    subprotocols=[Subprotocol(protocol)] if protocol else None,
                    compression=None,
                    ping_interval=None,
                    max_queue=4,
                    additional_headers={"Authorization": f"Bearer {TOKEN}"},
                )
            )
            found.append(connection)
        gc.freeze()
        yield found


async def _subscribe(connection: ClientConnection) -> None:
    """Until the snapshot is there."""
    await connection.send(json.dumps({"type": "connection_init"}))
    assert json.loads(await connection.recv())["type"] == "connection_ack"
    payload = {"query": WATCH, "variables": {"input": INPUT}}
    await connection.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
    assert "UsageSnapshot" in str(await connection.recv())


def _record(port: int, number: int) -> None:
    event = {
        "idempotencyKey": f"benchmark-{number}",
        "providerSlug": "anthropic",
        "modelName": MODELS[number % len(MODELS)],
        "inputTokens": 1_000 + number,
        "outputTokens": 10,
    }
    body = json.dumps({"query": RECORD, "variables": {"events": [event]}}).encode()
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", body, headers)
    with urllib.request.urlopen(request) as response:
        answer: dict[str, Any] = json.load(response)
    assert answer["data"]["recordUsage"] == {"recorded": 1, "userErrors": []}, answer


@contextmanager
def _trunkline(folder: Path) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
    environment = own | {
        "TRUNKLINE_DATA_DIR": str(folder),
        "TRUNKLINE_ADMIN_TOKEN": TOKEN,
    }
    program = [str(Path(sys.executable).with_name("trunkline")), "serve", "--port", "0"]
    with subprocess.Popen(
        program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            link = next(line for line in process.stdout if "#code=" in line)
            yield process, int(link.partition("/graphiql")[0].rpartition(":")[2])
        finally:
            process.kill()


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


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_bytes(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
