"""What the gateway adds to a request, beside an ASGI app that relays with aiohttp and does no more.

Run `python -m benchmarks gateway`. Three processes beside this one: a simulated provider, the relay
under uvicorn, and a real `trunkline serve` whose usage is recorded durably in SQLite. Relay and
gateway are measured in turns, and the medians of their ratios are what counts.

- Requests and streams a second: 32 in flight, over connections that stay open; a stream has 60
  chunks. The CPU is that of the server's process alone, by the system's count.
- Added latency: with 8 in flight, what a request takes beyond one sent straight to the provider.
- Memory: the resident size after 1,000 requests and after 100,000, and what an open stream holds.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ROUNDS = 7
ROUND_SECONDS = 3.0
IN_FLIGHT = 32
FEW_IN_FLIGHT = 8
CHUNKS = 60
OPEN_STREAMS = 200
EARLY, LATE = 1_000, 100_000
TOKEN = "benchmark-token-0123456789"
_TRUNKLINE = Path(sys.executable).with_name("trunkline")
_TICK = os.sysconf("SC_CLK_TCK")

_RELAY = """
import sys
import aiohttp, socket, uvicorn

UPSTREAM = sys.argv[1]
session = None

async def app(scope, receive, send):
    global session
    if session is None:
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    headers = {"content-type": "application/json"}
    async with session.post(UPSTREAM + scope["path"], data=body, headers=headers) as answer:
        kept = [(b"content-type", answer.headers["content-type"].encode())]
        if "content-length" in answer.headers:
            kept.append((b"content-length", answer.headers["content-length"].encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": kept})
        async for chunk in answer.content.iter_any():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
print(listener.getsockname()[1], flush=True)
config = uvicorn.Config(app, http="httptools", lifespan="off", log_config=None, access_log=False)
uvicorn.Server(config).run([listener])
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A server under measurement, and the bytes of its requests."""

    port: int
    pid: int
    plain: bytes
    streamed: bytes
    endless: bytes


@dataclass(frozen=True, slots=True)
class Measured:
    """A second of one server."""

    per_second: float
    cpu_microseconds: float


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway")
    parser.add_argument("--late", type=int, default=LATE, help="requests before the last look")
    asyncio.run(_main(parser.parse_args(arguments or []).late))


async def _main(late: int) -> None:
    with ExitStack() as stack:
        upstream = stack.enter_context(_simulator())
        direct = _server(upstream, 0, "sim-ok", "/v1/chat/completions")
        relay = stack.enter_context(_relay(upstream))
        ours = stack.enter_context(_trunkline(upstream))
        await _warm(relay, ours)
        print("| what, with 32 in flight | relay | gateway | ratio | aim |")
        print("|---|---|---|---|---|")
        await _rates("plain requests/s", relay, ours, lambda one: one.plain)
        await _rates(f"{CHUNKS}-chunk streams/s", relay, ours, lambda one: one.streamed)
        print("\n| added latency, 8 in flight | relay | gateway | ratio | aim |")
        print("|---|---|---|---|---|")
        await _latencies(direct, relay, ours)
        print("\n| memory of the gateway | MB | ratio | aim |")
        print("|---|---|---|---|")
        await _memory(ours, late)


async def _rates(
    name: str, relay: Server, ours: Server, request: Callable[[Server], bytes]
) -> None:
    rounds = [
        (await _run(relay, request(relay), IN_FLIGHT), await _run(ours, request(ours), IN_FLIGHT))
        for _ in range(ROUNDS)
    ]
    base = statistics.median(one.per_second for one, _ in rounds)
    found = statistics.median(one.per_second for _, one in rounds)
    ratio = statistics.median(mine.per_second / theirs.per_second for theirs, mine in rounds)
    print(f"| {name} | {base:,.0f} | {found:,.0f} | {ratio:.2f} | 0.6 |")
    cpu = [statistics.median(pair[place].cpu_microseconds for pair in rounds) for place in (0, 1)]
    print(f"| … CPU of the server, µs each | {cpu[0]:,.0f} | {cpu[1]:,.0f} | "
          f"{cpu[1] / cpu[0]:.2f} | |")  # fmt: skip


async def _latencies(direct: Server, relay: Server, ours: Server) -> None:
    rounds = []
    for _ in range(ROUNDS):
        each = [await _times(one, one.plain, FEW_IN_FLIGHT) for one in (direct, relay, ours)]
        rounds.append(each)
    for name, share in (("p50", 0.50), ("p99", 0.99)):
        found = [[_percentile(times, share) * 1e3 for times in each] for each in rounds]
        added = [(mine_relay - base, mine - base) for base, mine_relay, mine in found]
        relays, gateways = (statistics.median(one[place] for one in added) for place in (0, 1))
        print(f"| {name} | {relays:.2f} ms | {gateways:.2f} ms | {gateways / relays:.2f} | 1.5 |")


async def _memory(ours: Server, late: int) -> None:
    sent = 0
    sizes = {}
    for until in (EARLY, late):
        await _send_many(ours, ours.plain, IN_FLIGHT, until - sent)
        sent = until
        await asyncio.sleep(1)
        sizes[until] = _resident(ours.pid)
    print(f"| after {EARLY:,} requests | {sizes[EARLY] / 1e6:.1f} | 1.00 | |")
    print(f"| after {late:,} requests | {sizes[late] / 1e6:.1f} | "
          f"{sizes[late] / sizes[EARLY]:.3f} | 1.05 |")  # fmt: skip
    held = await _open_streams(ours)
    print(f"| an open stream, {OPEN_STREAMS} of them | {held / 1e6:.4f} | | 0.064 |")


async def _open_streams(server: Server) -> float:
    """What the resident size grows by for each stream that is open and runs, after some time."""

    async def one() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(server.endless)
        await reader.readuntil(b"\r\n\r\n")
        return reader, writer

    async def read(reader: asyncio.StreamReader) -> None:
        while await reader.read(65_536):
            pass

    warming = [await one() for _ in range(20)]
    await asyncio.sleep(1)
    before = _resident(server.pid)
    opened = [await one() for _ in range(OPEN_STREAMS)]
    readers = [asyncio.create_task(read(reader)) for reader, _ in opened]
    await asyncio.sleep(8)
    if any(task.done() for task in readers):
        raise RuntimeError("a stream ended that was to stay open")
    grown = _resident(server.pid) - before
    for task in readers:
        task.cancel()
    for _, writer in [*warming, *opened]:
        writer.close()
    await asyncio.sleep(1)
    return grown / OPEN_STREAMS


async def _warm(*servers: Server) -> None:
    for server in servers:
        await _send_many(server, server.plain, IN_FLIGHT, 300)
        await _send_many(server, server.streamed, IN_FLIGHT, 64)


async def _run(server: Server, request: bytes, in_flight: int) -> Measured:
    """So many a second, for a while."""
    until = time.perf_counter() + ROUND_SECONDS
    before, began = _cpu_seconds(server.pid), time.perf_counter()

    async def client() -> int:
        count = 0
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        while time.perf_counter() < until:
            await _exchange(reader, writer, request)
            count += 1
        writer.close()
        return count

    count = sum(await asyncio.gather(*(client() for _ in range(in_flight))))
    seconds = time.perf_counter() - began
    await asyncio.sleep(0.3)  # What it still records counts too.
    return Measured(count / seconds, (_cpu_seconds(server.pid) - before) / count * 1e6)


async def _times(server: Server, request: bytes, in_flight: int) -> list[float]:
    """Seconds of each request, for a while."""
    until = time.perf_counter() + ROUND_SECONDS
    times: list[float] = []

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        while time.perf_counter() < until:
            began = time.perf_counter()
            await _exchange(reader, writer, request)
            times.append(time.perf_counter() - began)
        writer.close()

    await asyncio.gather(*(client() for _ in range(in_flight)))
    return times


async def _send_many(server: Server, request: bytes, in_flight: int, number: int) -> None:
    left = iter(range(number))

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for _ in left:
            await _exchange(reader, writer, request)
        writer.close()

    await asyncio.gather(*(client() for _ in range(in_flight)))


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> None:
    """Send a request and read its answer whole."""
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 200"):
        raise RuntimeError(head.decode())
    place = head.find(b"content-length: ")
    if place >= 0:
        await reader.readexactly(int(head[place + 16 : head.index(b"\r\n", place)]))
    else:
        await reader.readuntil(b"\r\n0\r\n\r\n")


def _percentile(times: list[float], share: float) -> float:
    return sorted(times)[int(len(times) * share)]


def _server(port: int, pid: int, model: str, path: str) -> Server:
    def request(**more: object) -> bytes:
        prompt = "Name the three primary colours, and say why they are called so. " * 4
        body = json.dumps(
            {"model": model, "messages": [{"role": "user", "content": prompt}]} | more
        ).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    return Server(
        port,
        pid,
        request(max_tokens=40),
        request(stream=True, max_tokens=CHUNKS),
        request(stream=True, model=f"{model}-long"),
    )


@contextmanager
def _simulator() -> Iterator[int]:
    with subprocess.Popen(
        [_TRUNKLINE, "simulate-provider", "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = next(
            word for line in process.stdout for word in line.split() if "http://127.0.0.1:" in word
        )
        yield int(url.split("127.0.0.1:")[1].split("/")[0].strip("`.,"))
        process.terminate()


@contextmanager
def _relay(upstream: int) -> Iterator[Server]:
    command = [sys.executable, "-c", _RELAY, f"http://127.0.0.1:{upstream}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield _server(port, process.pid, "sim-ok", "/v1/chat/completions")
        process.terminate()


@contextmanager
def _trunkline(upstream: int) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "TRUNKLINE_DATA_DIR": folder,
            "TRUNKLINE_ADMIN_TOKEN": TOKEN,
        }
        with subprocess.Popen(
            [_TRUNKLINE, "serve", "--port", "0"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            assert process.stdout is not None
            link = next(
                word for line in process.stdout for word in line.split() if "#code=" in word
            )
            port = int(link.split("127.0.0.1:")[1].split("/")[0])
            _configure(port, upstream)
            yield _server(port, process.pid, "chain/bench", "/v1/chat/completions")
            process.terminate()


def _configure(port: int, upstream: int) -> None:
    """A provider at the simulator, its model, and a chain of them."""
    provider = _execute(
        port,
        """mutation ($url: String!) { createProvider(input: { slug: "bench", name: "bench",
        kind: OPENAI_COMPATIBLE, baseUrl: $url }) { provider { id } userErrors { message } } }""",
        url=f"http://127.0.0.1:{upstream}/v1",
    )["createProvider"]["provider"]["id"]
    for name, model in (("bench", "sim-ok"), ("bench-long", "sim-tokens-20000-tps-50")):
        created = _execute(
            port,
            """mutation ($provider: ID!, $name: String!) { createModel(input: {
            providerId: $provider, wireName: $name, priceOverride: { inputPerMillion: "1",
            outputPerMillion: "2" } }) { model { id } userErrors { message } } }""",
            provider=provider,
            name=model,
        )["createModel"]["model"]["id"]
        _execute(
            port,
            """mutation ($name: String!, $model: ID!) { createFailoverChain(input: { name: $name,
            slug: $name, steps: [{ modelId: $model }] }) { failoverChain { id } } }""",
            name=name,
            model=created,
        )


def _execute(port: int, query: str, **variables: object) -> dict[str, dict[str, dict[str, str]]]:
    body = json.dumps({"query": query, "variables": variables}).encode()
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    url = f"http://127.0.0.1:{port}/graphql"
    with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
        found = json.load(answer)
    if "errors" in found:
        raise RuntimeError(found["errors"])
    data: dict[str, dict[str, dict[str, str]]] = found["data"]
    return data


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main(sys.argv[1:])
