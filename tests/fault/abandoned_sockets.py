"""Thousands of websockets are opened, subscribe, and are abandoned: no memory stays behind."""

import asyncio
import random
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.light_sockets import graphql_message, light_sockets
from server.graphql_socket import _COLLECT_SECONDS
from tests.fault.load import Load, simulated_provider
from tests.fault.serving import BEARER, ServerProcess, server_process
from tests.fault.subscribing import WATCH_USAGE
from tests.fault.violations import Counts, demand

_ROUNDS = 3
_AT_ONCE = 50
_MORE = 1.10
"""Of the memory after the first round, what there may be after the third."""
_INIT = b'{"type":"connection_init"}'


async def abandoned_sockets(
    folder: Path, chance: random.Random, counts: Counts, *, full: bool
) -> None:
    """Three rounds of 2,000, with some load beside."""
    many = 2_000 if full else 100
    async with simulated_provider() as provider, server_process(folder) as server:
        load = Load(server, chance)
        await load.set_up(provider)
        memory = []
        for _ in range(_ROUNDS):
            before = server.open_files()
            async with load.running(recording=1, gateway=1, pause_seconds=0.3):
                await load.acknowledges(1)
                async with AsyncExitStack() as stack:
                    # Who says nothing for ten seconds is closed.
                    for _ in range(many // _AT_ONCE):
                        await _subscribed(stack, server)
                    await load.lasts(chance.uniform(0.2, 2.0))
                counts.add("sockets abandoned", many)
                await _files_are(server, before + 20)
            # By then what they left behind is collected.
            await asyncio.sleep(_COLLECT_SECONDS + 2 if full else 0.2)
            memory.append(server.resident_kb())
        counts.most("memory after the first round, MB", memory[0] // 1024)
        counts.most("memory after the third round, MB", memory[2] // 1024)
        demand(memory[2] <= memory[0] * _MORE, f"memory grew from round to round: {memory} kB")
        await load.known.settle(server)
        await load.known.check(server, counts, requests_before=float("inf"))
        await server.stop()
        server.check_log()


async def _subscribed(stack: AsyncExitStack, server: ServerProcess) -> None:
    """Some more, each with its first state."""
    sockets, arrivals = await stack.enter_async_context(
        light_sockets(server.port, _AT_ONCE, _HEADERS)
    )
    for one in sockets:
        one.send(_INIT)
        one.send(graphql_message("1", WATCH_USAGE, {}))
    await arrivals.wait_for(2 * _AT_ONCE)


async def _files_are(server: ServerProcess, most: int) -> None:
    """Wait until what was abandoned is closed at the server too."""
    until = asyncio.get_running_loop().time() + 30
    while (now := server.open_files()) > most:
        demand(asyncio.get_running_loop().time() < until, f"{now} files stay open, not {most}")
        await asyncio.sleep(0.1)


_HEADERS = BEARER | {"Sec-WebSocket-Protocol": "graphql-transport-ws"}
