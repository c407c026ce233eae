"""A server on the tests' own services, in the tests' own loop."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from resolvers.context import OperationContext, Viewer
from schema.root import schema
from server.app import FrontDoor
from server.serving import make_server
from server.sign_in import COOKIE, Gate
from trunkline.services import Services

TOKEN = "test-admin-token-0123456789"


@dataclass
class Served:
    """A running server."""

    gate: Gate
    port: int = 0
    executed: list[str] = field(default_factory=list)
    """The request id of each operation whose execution was begun."""


@asynccontextmanager
async def serving(
    services: Services, *, held_bytes: int | None = None, websocket_compression: bool = False
) -> AsyncIterator[Served]:
    """Serve; the system holds `held_bytes` for a client, where given."""
    served = Served(Gate(services.database, services.clock, TOKEN))

    def make_context(viewer: Viewer, request_id: str) -> OperationContext:
        served.executed.append(request_id)
        return OperationContext(services, viewer, request_id)

    async def check_ready() -> None: ...

    door = FrontDoor(
        schema=schema,
        make_context=make_context,
        gate=served.gate,
        check_ready=check_ready,
    )
    async with listening(
        door, held_bytes=held_bytes, websocket_compression=websocket_compression
    ) as served.port:
        yield served


@asynccontextmanager
async def listening(
    door: FrontDoor, *, held_bytes: int | None = None, websocket_compression: bool = False
) -> AsyncIterator[int]:
    """Serve this front door in the test's own loop; the port. The system holds `held_bytes` for a
    client, where given.
    """
    ready = asyncio.Event()
    server = make_server(door, ready.set, websocket_compression=websocket_compression)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if held_bytes is not None:
            # Connections inherit it.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, held_bytes)
        running = asyncio.ensure_future(server.serve([listener]))
        await asyncio.wait_for(ready.wait(), 20)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await running


@asynccontextmanager
async def opened(
    served: Served, *, session: str | None = None, **options: Any
) -> AsyncIterator[ClientConnection]:
    """A websocket that is signed in: by a browser's session, or by the token."""
    signed_in = {"Authorization": f"Bearer {TOKEN}"}
    if session is not None:
        signed_in = {"Cookie": f"{COOKIE}={session}", "Origin": f"http://127.0.0.1:{served.port}"}
    async with connect(
        f"ws://127.0.0.1:{served.port}/graphql",
        subprotocols=[Subprotocol("graphql-transport-ws")],
        additional_headers=signed_in,
        **({"compression": None} | options),
    ) as connection:
        await connection.send(json.dumps({"type": "connection_init"}))
        assert json.loads(await connection.recv()) == {"type": "connection_ack"}
        yield connection


async def subscribe(
    connection: ClientConnection, query: str, operation_id: str = "1", **variables: Any
) -> None:
    """Begin an operation."""
    payload = {"query": query, "variables": variables}
    await connection.send(json.dumps({"id": operation_id, "type": "subscribe", "payload": payload}))


async def said(connection: ClientConnection) -> Any:
    """The next message."""
    return json.loads(await asyncio.wait_for(connection.recv(), 20))
