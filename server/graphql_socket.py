"""`/graphql` as a websocket: the `graphql-transport-ws` protocol, every close code as it says.

Each operation runs in a task that sends its results itself and waits for the socket to take them,
so a client that reads slowly slows its own operations and nothing piles up here.
"""

import asyncio
import time
from contextlib import ExitStack, aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog
from graphql import GraphQLError
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from resolvers.context import Viewer
from server.answers import Rejected, code_of, error_answer, error_entry
from server.documents import chosen_operation
from server.execution import Executions, Outcome, refusal
from server.operation_request import Malformed
from server.requests import request_id_of
from server.sign_in import HOW_TO_SIGN_IN, Gate
from server.socket_messages import (
    ClientMessage,
    Complete,
    ConnectionInit,
    Ping,
    Pong,
    Subscribe,
    client_message,
)

log = structlog.get_logger("trunkline.request")

SUBPROTOCOL = "graphql-transport-ws"
MOST_SOCKETS = 4_096
MOST_OPERATIONS = 100
"""Of one socket at a time."""
INIT_SECONDS = 10.0

# What sending or receiving raises when the client has left.
_GONE = (WebSocketDisconnect, WebSocketDisconnected, OSError)

# RFC 6455 §5.5: a control frame carries 125 bytes, two of which are the code.
_LONGEST_REASON = 123


class SocketClosed(Exception):
    """The socket is to be closed with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason.encode()[:_LONGEST_REASON].decode(errors="ignore")


class GraphQLOverSocket:
    """Takes sockets in, up to `MOST_SOCKETS` at a time, and serves each to its end."""

    def __init__(
        self,
        executions: Executions,
        gate: Gate,
        *,
        most_sockets: int = MOST_SOCKETS,
        init_seconds: float = INIT_SECONDS,
    ) -> None:
        self._executions = executions
        self._gate = gate
        self._most_sockets = most_sockets
        self._init_seconds = init_seconds
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket, as an ASGI application."""
        socket = WebSocket(scope, receive, send)
        try:
            viewer = await self._admit(socket)
        except Rejected as rejected:
            await socket.send_denial_response(error_answer(rejected, request_id_of(socket.scope)))
            return
        self._open += 1
        try:
            await self._serve(socket, viewer)
        finally:
            self._open -= 1

    async def _admit(self, socket: WebSocket) -> Viewer | None:
        if self._open >= self._most_sockets:
            raise Rejected(503, "too many sockets are open", headers={"Retry-After": "5"})
        return await self._gate.recognize(socket)

    async def _serve(self, socket: WebSocket, viewer: Viewer | None) -> None:
        if SUBPROTOCOL not in socket.scope["subprotocols"]:
            # Only an open socket can tell the client why.
            await socket.accept()
            await socket.close(4406, f"Subprotocol not acceptable: use {SUBPROTOCOL}")
            return
        await socket.accept(SUBPROTOCOL)
        conversation = _Conversation(socket, viewer, self._executions, self._gate)
        try:
            with conversation.watched:
                conversation.watch()
                await conversation.hold(self._init_seconds)
        except SocketClosed as closed:
            await conversation.end()
            try:
                await socket.close(closed.code, closed.reason)
            except _GONE:
                return
        except _GONE:
            return
        finally:
            await conversation.end()


@dataclass(slots=True)
class _Conversation:
    """One accepted socket. `viewer` is who the handshake showed, then who init did."""

    socket: WebSocket
    viewer: Viewer | None
    executions: Executions
    gate: Gate
    initialized: bool = False
    begun: int = 0
    # By the client's id. Touched by the reading task and by each operation when it ends.
    operations: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    # Also those whose id is free again but that are still sending their last message.
    tasks: "set[asyncio.Task[None]]" = field(default_factory=set)
    # Held, so that it isn't collected before it is done.
    closing: "asyncio.Task[None] | None" = None
    # Watches what let `viewer` in.
    watched: ExitStack = field(default_factory=ExitStack)

    async def hold(self, init_seconds: float) -> None:
        """Read until the client leaves. Raises `SocketClosed` or `WebSocketDisconnect`."""
        try:
            async with asyncio.timeout(init_seconds):
                while not self.initialized:
                    await self.handle(await self.next_message())
        except TimeoutError as error:
            raise SocketClosed(4408, "Connection initialisation timeout") from error
        while True:
            await self.handle(await self.next_message())

    async def end(self) -> None:
        """Stop every operation and wait until its resolver has let go."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def watch(self) -> None:
        """Watch what lets the present viewer in, and nothing that let in who was it before."""
        self.watched.close()
        if self.viewer is not None:
            self.watched.enter_context(self.gate.access.watching(self.viewer.proofs, self.forbid))

    def forbid(self) -> None:
        """Close the socket: the session or token that let it in has ended."""
        self.viewer = None
        self.closing = asyncio.create_task(self.close_forbidden())

    async def close_forbidden(self) -> None:
        """Stop every operation, and say why."""
        await self.end()
        with suppress(*_GONE):
            await self.socket.close(4403, "Forbidden: UNAUTHENTICATED: your access has ended")

    async def next_message(self) -> ClientMessage:
        """The next message, or the closing of the socket for one that is none."""
        event = await self.socket.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event.get("code", 1005))
        try:
            return client_message(event.get("text"))
        except Malformed as error:
            raise SocketClosed(4400, f"Invalid message: {error}") from error

    async def handle(self, message: ClientMessage) -> None:
        """Do what a message asks."""
        match message:
            case ConnectionInit(payload):
                await self.initialize(payload)
            case Ping(payload):
                await self.send({"type": "pong"} | ({"payload": payload} if payload else {}))
            case Pong():
                pass
            case Subscribe():
                await self.subscribe(message)
            case Complete(operation_id):
                task = self.operations.pop(operation_id, None)
                if task is not None:
                    task.cancel()

    async def initialize(self, payload: dict[str, Any]) -> None:
        """Acknowledge a client that may come in; refuse another."""
        if self.initialized:
            raise SocketClosed(4429, "Too many initialisation requests")
        authorization = next(
            (value for name, value in payload.items() if name.lower() == "authorization"), None
        )
        if authorization is not None:
            text = authorization if isinstance(authorization, str) else ""
            try:
                self.viewer = await self.gate.bearer(text, self.socket)
            except Rejected as error:
                reason = f"Forbidden: {code_of(error.status)}: {error.message}"
                raise SocketClosed(4403, reason) from error
            self.watch()
        if self.viewer is None:
            raise SocketClosed(4403, f"Forbidden: UNAUTHENTICATED: {HOW_TO_SIGN_IN}")
        self.initialized = True
        await self.send({"type": "connection_ack"})

    async def subscribe(self, message: Subscribe) -> None:
        """Begin an operation."""
        if not self.initialized or self.viewer is None:
            raise SocketClosed(4401, "Unauthorized: send connection_init first")
        if message.id in self.operations:
            raise SocketClosed(4409, f"Subscriber for {message.id} already exists")
        self.begun += 1
        request_id = f"{request_id_of(self.socket.scope)}-{self.begun}"
        if len(self.tasks) >= MOST_OPERATIONS:
            text = f"at most {MOST_OPERATIONS} operations run on one socket: complete one first"
            entry = error_entry(text, "RATE_LIMITED", request_id)
            await self.send({"id": message.id, "type": "error", "payload": [entry]})
            return
        task = asyncio.create_task(self.run(message, self.viewer, request_id))
        self.operations[message.id] = task
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def run(self, message: Subscribe, viewer: Viewer, request_id: str) -> None:
        """One operation, from its document to its last message."""
        asked = message.operation
        begun = time.perf_counter()
        name: str | None = None
        status = "cancelled"
        try:
            try:
                operation = chosen_operation(asked.query, asked.operation_name)
            except GraphQLError as error:
                status = "refused"
                await self.send_last(message.id, refusal(error, request_id))
                return
            name = operation.name
            status = await self.run_operation(message, viewer, request_id)
        except _GONE:
            # The client left while something was being sent; the reading task sees that too.
            return
        finally:
            milliseconds = round((time.perf_counter() - begun) * 1000, 1)
            log.info(
                "operation",
                request_id=request_id,
                operation=name,
                status=status,
                milliseconds=milliseconds,
            )

    async def run_operation(self, message: Subscribe, viewer: Viewer, request_id: str) -> str:
        """Send what an operation yields; returns how it ended, for the log."""
        try:
            results = self.executions.stream(message.operation, viewer, request_id)
            async with aclosing(results):
                async for outcome in results:
                    if outcome.refused:
                        await self.send_last(message.id, outcome)
                        return "refused"
                    await self.send_raw(
                        b'{"id":%b,"type":"next","payload":%b}'
                        % (orjson.dumps(message.id), outcome.encoded())
                    )
        except _GONE:
            raise
        except Exception:
            log.exception("operation failed", request_id=request_id)
            text = "Internal error: it was logged under this request id"
            entry = error_entry(text, code_of(500), request_id)
            await self.send_last(message.id, Outcome({"errors": [entry]}, refused=True))
            return "failed"
        await self.send_last(message.id, None)
        return "completed"

    async def send_last(self, operation_id: str, refused: Outcome | None) -> None:
        """End an operation: `complete`, or `error` with the reasons. Its id is free before that."""
        if self.operations.get(operation_id) is asyncio.current_task():
            del self.operations[operation_id]
        if refused is None:
            await self.send({"id": operation_id, "type": "complete"})
        else:
            errors = refused.response["errors"]
            await self.send({"id": operation_id, "type": "error", "payload": errors})

    async def send(self, message: dict[str, Any]) -> None:
        """Send one message, and wait until the socket has taken it."""
        await self.send_raw(orjson.dumps(message))

    async def send_raw(self, message: bytes) -> None:
        """Send an encoded message, and wait until the socket has taken it."""
        await self.socket.send_text(message.decode())
