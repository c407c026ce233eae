"""The simulated provider as an ASGI app, and how to run it on a port of this machine."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from uvicorn.server import ServerState

from server.simulated.behaviour import Behaviour
from server.simulated.control import control_routes
from server.simulated.routes import provider_routes
from server.simulated.wire import Connection

# Longer than clients keep an idle connection: it is theirs to close.
_KEEP_ALIVE_SECONDS = 120
_BACKLOG = 1_024


def create_simulated_provider(behaviour: Behaviour) -> Starlette:
    """A provider that speaks all four protocols, each on its own paths.

    It wants connections that give their transport away: `wire.Connection`.
    """
    return Starlette(routes=[*provider_routes(behaviour), *control_routes(behaviour)])


@asynccontextmanager
async def running_simulator(behaviour: Behaviour, port: int = 0) -> AsyncIterator[str]:
    """Serve it on loopback; gives its URL, `http://127.0.0.1:<port>`."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        async with serving_simulator(behaviour, listener):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@asynccontextmanager
async def serving_simulator(behaviour: Behaviour, listener: socket.socket) -> AsyncIterator[None]:
    """Serve it on a bound socket; at the end every connection is dropped, streams included.

    uvicorn's connections on a plain asyncio server: its own would want the program's signals, and
    a tenth of a second to stop, which tests pay again and again.
    """
    config = uvicorn.Config(
        create_simulated_provider(behaviour),
        log_config=None,
        access_log=False,
        ws="none",
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )
    config.load()
    # Connections inherit it. asyncio sets it on those alone whose protocol is named, and without it
    # each whole answer takes 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(config, state, {}), sock=listener, backlog=_BACKLOG
    )
    try:
        yield
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await server.wait_closed()
        await asyncio.gather(*state.tasks, return_exceptions=True)
