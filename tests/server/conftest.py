"""A real server on a free port, with a small schema, for tests of the protocols."""

import asyncio
import json
import shutil
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pytest
import strawberry
from graphql import GraphQLError
from strawberry.extensions import ParserCache
from strawberry.types import ExecutionContext
from websockets.asyncio.client import ClientConnection, connect

from db.engine import Database
from resolvers.context import OperationContext, Viewer
from schema.errors import present
from server.app import FrontDoor
from server.serving import make_server
from server.sign_in import Gate
from trunkline.clock import system_clock
from trunkline.errors import BadRequest

T = TypeVar("T")

TOKEN = "test-admin-token-0123456789"


@dataclass
class Witness:
    """What resolvers noticed."""

    bumps: int = 0
    open_streams: int = 0
    sent: int = 0
    contexts: list[object] = field(default_factory=list)


witness = Witness()


@strawberry.type
class Query:
    @strawberry.field
    def hello(self, name: str = "world") -> str:
        return f"hello {name}"

    @strawberry.field
    def viewer(self, info: strawberry.Info[OperationContext, None]) -> str:
        witness.contexts.append(info.context)
        return info.context.viewer.name if info.context.viewer else "nobody"

    @strawberry.field
    def fails(self) -> str | None:
        raise ValueError("sk-ant-secret-detail")

    @strawberry.field
    def required(self) -> str:
        raise BadRequest("ask differently")

    @strawberry.field
    async def waits(self) -> str:
        await asyncio.sleep(3600)
        return "done"

    @strawberry.field
    def me(self) -> "Query":
        return Query()


@strawberry.type
class Mutation:
    @strawberry.mutation
    def bump(self) -> int:
        witness.bumps += 1
        return witness.bumps


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, to: int) -> AsyncGenerator[int, None]:
        for number in range(to):
            yield number

    @strawberry.subscription
    async def forever(self) -> AsyncGenerator[int, None]:
        witness.open_streams += 1
        try:
            yield 0
            await asyncio.Event().wait()
        finally:
            witness.open_streams -= 1

    @strawberry.subscription
    async def breaks(self) -> AsyncGenerator[int, None]:
        yield 0
        raise ValueError("sk-ant-secret-detail")

    @strawberry.subscription
    async def refuses(self) -> AsyncGenerator[int, None]:
        raise BadRequest("there is no such thing to watch")
        yield 0  # type: ignore[unreachable]  # what makes it a generator

    @strawberry.subscription
    async def floods(self) -> AsyncGenerator[str, None]:
        witness.open_streams += 1
        try:
            while True:
                witness.sent += 1
                yield "x" * 100_000
        finally:
            witness.open_streams -= 1


class SmallSchema(strawberry.Schema):
    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        present(errors, execution_context)


small_schema = SmallSchema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    extensions=[lambda: ParserCache(maxsize=64)],
)


@dataclass
class RunningServer:
    """A server in a thread of its own."""

    port: int
    door: FrontDoor
    witness: Witness
    token: str
    loop: asyncio.AbstractEventLoop
    stop: Callable[[], None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the server's loop."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self.loop)
        return future.result(10)

    def post(self, body: object = None, **options: Any) -> httpx2.Response:
        """POST to /graphql as the admin, JSON unless `content` says otherwise."""
        headers = self.bearer | options.pop("headers", {})
        if "content" not in options:
            options["json"] = body
        else:
            headers.setdefault("Content-Type", "application/json")
        return httpx2.post(f"{self.url}/graphql", headers=headers, **options)

    def get(self, path: str = "/graphql", **options: Any) -> httpx2.Response:
        """GET as the admin."""
        headers = self.bearer | options.pop("headers", {})
        return httpx2.get(f"{self.url}{path}", headers=headers, **options)

    def socket(self, **options: Any) -> connect:
        """A websocket to /graphql, nothing said yet."""
        options.setdefault("subprotocols", ["graphql-transport-ws"])
        return connect(f"ws://127.0.0.1:{self.port}/graphql", **options)

    def raw(self, data: bytes) -> bytes:
        """What comes back for these bytes until the server closes or goes quiet."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
        return b"".join(parts)


ServerMaker = Callable[..., RunningServer]


@pytest.fixture(scope="module")
def make_running_server(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerMaker]:
    """Starts servers; keywords are those of `FrontDoor`, and `bounds` of connections."""
    running: list[RunningServer] = []

    def make(**door: Any) -> RunningServer:
        path = tmp_path_factory.mktemp("server") / "trunkline.db"
        shutil.copy(sqlite_template, path)
        running.append(_start(path, door))
        return running[-1]

    yield make
    for one in running:
        one.stop()


@pytest.fixture(scope="module")
def server(make_running_server: ServerMaker) -> RunningServer:
    """The server that most tests of a module share."""
    return make_running_server()


def _start(path: Path, given: dict[str, Any]) -> RunningServer:
    started: Future[RunningServer] = Future()

    bounds = given.pop("bounds", None)

    async def serve() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        database = Database.open(f"sqlite+aiosqlite:///{path}")

        async def check_ready() -> None:
            async with database.read():
                pass

        def make_context(viewer: Viewer, request_id: str) -> OperationContext:
            nothing: Any = None
            return OperationContext(nothing, viewer, request_id)

        door = FrontDoor(
            **{
                "schema": small_schema,
                "make_context": make_context,
                "gate": Gate(database, system_clock, TOKEN),
                "check_ready": check_ready,
                **given,
            }
        )
        loop = asyncio.get_running_loop()

        def ready() -> None:
            def stop() -> None:
                uvicorn_server.should_exit = True
                thread.join(10)
                assert not thread.is_alive()

            port = listener.getsockname()[1]
            started.set_result(RunningServer(port, door, witness, TOKEN, loop, stop))

        uvicorn_server = make_server(door, ready, bounds=bounds)
        try:
            await uvicorn_server.serve([listener])
        finally:
            await database.close()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            raise

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return started.result(10)


@pytest.fixture
def initialized(server: RunningServer) -> Callable[[], Coroutine[Any, Any, ClientConnection]]:
    """Opens a socket and signs it in; whoever calls closes it."""

    async def open_socket() -> ClientConnection:
        connection = await server.socket()
        await connection.send(
            json.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {TOKEN}"}})
        )
        assert '"connection_ack"' in str(await connection.recv())
        return connection

    return open_socket
