"""SIGTERM under load: sockets are told to come back, streams end whole or with a word, nothing that
was accepted is lost, and it is over in time.
"""

import asyncio
import json
import random
import signal
from pathlib import Path
from typing import Any

import aiohttp

from server.http_server import LAST_WORDS_SECONDS
from tests.fault.load import BRIEF, BROKEN, LONG, Load, is_whole, simulated_provider
from tests.fault.serving import ServerProcess, server_process
from tests.fault.subscribing import subscribed
from tests.fault.violations import Counts, demand

_STORING_SECONDS = 10.0
"""On a busy machine, to store what has ended, and to close."""
_OUTCOMES = """{ gatewayRequests(first: 100) { nodes { requestId outcome httpStatus } } }"""


async def terminated(folder: Path, chance: random.Random, counts: Counts, *, full: bool) -> None:
    """Stop it several times, sometimes by two signals."""
    grace = 3.0 if full else 1.5
    async with (
        simulated_provider() as provider,
        server_process(folder, shutdown_seconds=grace) as server,
    ):
        load = Load(server, chance)
        await load.set_up(provider)
        for number in range(3 if full else 1):
            twice = full and number == 2
            await _stopped(server, load, counts, grace=grace, twice=twice, full=full)
            await server.start()
            # What was answered, whole or not, is stored: nothing was in the way of it.
            await load.known.check(server, counts, requests_before=float("inf"))
        counts.add("writes acknowledged", load.known.total)
        await server.stop()
        server.check_log()


async def _stopped(
    server: ServerProcess, load: Load, counts: Counts, *, grace: float, twice: bool, full: bool
) -> None:
    loop = asyncio.get_running_loop()
    many = 50 if full else 5
    async with load.running(), subscribed(server, many) as sockets:
        await load.acknowledges(20)
        streams = [
            asyncio.create_task(_stream(server, path, model))
            for path in ("/v1/chat/completions", "/v1/messages")
            for model in (BRIEF, LONG)
        ]
        await load.lasts(0.6)
        idle = asyncio.create_task(_probes(server))
        began = loop.time()
        server.send(signal.SIGTERM)
        if twice:
            await asyncio.sleep(0.4)
            server.send(signal.SIGTERM)
        codes = [await one.close_code(10) for one in sockets]
        demand(set(codes) == {1012}, f"sockets were closed with {set(codes)}")
        counts.add("sockets told 1012", len(codes))
        await server.ended()
        took = loop.time() - began
        ended = await asyncio.gather(*streams)
        seen = await idle
    allowed = (0.4 if twice else grace) + LAST_WORDS_SECONDS + _STORING_SECONDS
    demand(took < allowed, f"it took {took:.1f} s to end")
    counts.most("longest stop, milliseconds", round(took * 1_000))
    counts.add("stops")
    # Some are refused by an answer, later ones by a closed port.
    demand(seen <= {"ready", "the server is stopping", "closed"}, f"probes saw {seen}")
    for model, (request_id, answer) in zip((BRIEF, LONG, BRIEF, LONG), ended, strict=True):
        if model == BRIEF and not twice:
            demand(is_whole(answer), f"a stream that had time was cut: {answer[-500:]!r}")
            counts.add("streams finished")
        elif not is_whole(answer):
            last = answer.rstrip().splitlines()[-1]
            error = json.loads(last.removeprefix(b"data: "))
            demand("stopping" in error["error"]["message"], f"a stream ended with {last!r}")
            counts.add("streams told of the end")
        load.known.requests[request_id] = began


async def _stream(server: ServerProcess, path: str, model: str) -> tuple[str, bytes]:
    """A stream through the gateway, to its end; which must not be the connection's."""
    body: dict[str, Any] = {
        "model": f"simulated/{model}", "max_tokens": 1_000, "stream": True,
        "messages": [{"role": "user", "content": "hello"}],
    }  # fmt: skip
    async with server.session.post(f"{server.url}{path}", json=body) as response:
        demand(response.status == 200, f"the gateway said {response.status}")
        return response.headers["x-trunkline-request-id"], await response.read()


async def _probes(server: ServerProcess) -> set[str]:
    """What `/readyz` says until the port is closed."""
    seen: set[str] = set()
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(10), connector=aiohttp.TCPConnector(force_close=True)
    ) as session:
        while "closed" not in seen:
            try:
                async with session.get(f"{server.url}/readyz") as response:
                    said = await response.json()
                    seen.add(said.get("reason", said["status"]))
            except BROKEN:
                seen.add("closed")
            await asyncio.sleep(0.1)
    return seen
