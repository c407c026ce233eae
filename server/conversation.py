"""One websocket's conversation in `graphql-transport-ws`, every close code as it says.

An operation of its own runs in a task that sends its results itself and waits for the socket to
take them, so a client that reads slowly slows its own operations and nothing piles up here. A
subscription that is shared has no task: `SharedOperation` takes what is pushed, while it can.

Longer than most: one state machine, whose parts would only reach into each other.
"""

import asyncio
import time
from contextlib import ExitStack, aclosing, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import structlog
from graphql import GraphQLError
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from resolvers.context import Viewer
from server.answers import Rejected, code_of, error_entry
from server.documents import chosen_operation
from server.execution import Executions
from server.operation_request import Malformed
from server.outcomes import Outcome, internal_failure, refusal
from server.persisted_operations import PersistedOperations
from server.quotas import Quotas
from server.requests import request_id_of
from server.shared_operation import SharedOperation
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
from server.socket_protocol import SocketProtocol
from server.traffic import Result
from trunkline.errors import RateLimited

log = structlog.get_logger("trunkline.request")

MOST_OPERATIONS = 100
"""Of one socket at a time."""

TRY_AGAIN_LATER = 1013
"""RFC 6455's registry: too busy for this one; clients come back."""

GONE = (WebSocketDisconnect, WebSocketDisconnected, OSError)
"""What sending or receiving raises when the client has left."""

# RFC 6455 §5.5: a control frame carries 125 bytes, two of which are the code.
_LONGEST_REASON = 123


class SocketClosed(Exception):
    """The socket is to be closed with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason.encode()[:_LONGEST_REASON].decode(errors="ignore")


@dataclass(slots=True)
class Conversation:
    """One accepted socket. `viewer` is who the handshake showed, then who init did."""

    socket: WebSocket
    protocol: SocketProtocol
    viewer: Viewer | None
    executions: Executions
    gate: Gate
    persisted: PersistedOperations
    quotas: Quotas
    # Its place among the viewer's sockets.
    held: ExitStack = field(default_factory=ExitStack)
    initialized: bool = False
    begun: int = 0
    # By the client's id. Touched by the reading task and by each operation when it ends.
    operations: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    shared: dict[str, SharedOperation] = field(default_factory=dict)
    # The places of shared operations among the viewer's subscriptions.
    places: dict[str, ExitStack] = field(default_factory=dict)
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
        self.leave_all()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.executions.broadcasts.let_go()

    def watch(self) -> None:
        """Watch what lets the present viewer in, and nothing that let in who was it before."""
        self.watched.close()
        if self.viewer is not None:
            self.watched.enter_context(self.gate.access.watching(self.viewer.proofs, self.forbid))

    def forbid(self) -> None:
        """Close the socket: the session or token that let it in has ended."""
        self.viewer = None
        self.leave_all()
        self.closing = asyncio.create_task(self.close_forbidden())

    async def close_forbidden(self) -> None:
        """Stop every operation, and say why."""
        await self.end()
        with suppress(*GONE):
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
        if self.closing is not None:
            # It is told why it is closed, and not what is wrong with what it says meanwhile.
            return
        match message:
            case ConnectionInit(payload):
                await self.initialize(payload)
            case Ping(payload):
                await self.answer_ping(payload)
            case Pong():
                pass
            case Subscribe():
                await self.subscribe(message)
            case Complete(operation_id):
                self.leave(operation_id)
                task = self.operations.pop(operation_id, None)
                if task is not None:
                    task.cancel()

    async def answer_ping(self, payload: dict[str, Any] | None) -> None:
        """Answer with the same payload."""
        try:
            pong = orjson.dumps({"type": "pong"} | ({"payload": payload} if payload else {}))
        except orjson.JSONEncodeError as error:
            # JSON is read four times as deep as it is written.
            reason = "Invalid message: `payload` is nested too deeply"
            raise SocketClosed(4400, reason) from error
        await self.protocol.send_text(pong)

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
        try:
            self.held.enter_context(self.quotas.socket(self.viewer))
        except RateLimited as error:
            raise SocketClosed(TRY_AGAIN_LATER, str(error)) from error
        self.initialized = True
        await self.send({"type": "connection_ack"})

    async def subscribe(self, message: Subscribe) -> None:
        """Begin an operation."""
        if not self.initialized or self.viewer is None:
            raise SocketClosed(4401, "Unauthorized: send connection_init first")
        if message.id in self.operations or message.id in self.shared:
            raise SocketClosed(4409, f"Subscriber for {message.id} already exists")
        self.begun += 1
        request_id = f"{request_id_of(self.socket.scope)}-{self.begun}"
        if len(self.tasks) + len(self.shared) >= MOST_OPERATIONS:
            text = f"at most {MOST_OPERATIONS} operations run on one socket: complete one first"
            entry = error_entry(text, "RATE_LIMITED", request_id)
            await self.send({"id": message.id, "type": "error", "payload": [entry]})
            return
        try:
            self.quotas.take_operation(self.viewer)
            message = replace(message, operation=self.persisted.resolve(message.operation))
            if self.executions.shares(message.operation):
                self.share(message, self.viewer, request_id)
                return
        except (GraphQLError, RateLimited) as error:
            await self.send_last(message.id, refusal(error, request_id))
            _log_operation(request_id, None, "refused", 0.0)
            self.executions.traffic.note_operation(None, None, "refused")
            return
        task = asyncio.create_task(self.run(message, self.viewer, request_id))
        self.operations[message.id] = task
        self.keep(task)

    def share(self, message: Subscribe, viewer: Viewer, request_id: str) -> None:
        """Share an operation with those who ask for the same. Raises `RateLimited`."""
        place = ExitStack()
        place.enter_context(self.quotas.stream(viewer))
        self.places[message.id] = place
        asked = message.operation
        shared = SharedOperation(
            self.protocol,
            message.id,
            chosen_operation(asked.query, asked.operation_name).name,
            request_id,
            self.finish,
            self.executions.traffic,
            self.persisted.name_of(asked),
        )
        self.shared[message.id] = shared
        self.protocol.on_able = self.wake
        self.executions.broadcasts.join(asked, viewer, request_id, shared)

    def keep(self, task: "asyncio.Task[None]") -> None:
        """Hold a task until it is done."""
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def wake(self) -> None:
        """The socket takes results again."""
        for shared in self.shared.values():
            shared.wake()

    def leave(self, operation_id: str) -> None:
        """Leave a shared operation, if it is one."""
        shared = self.shared.pop(operation_id, None)
        if shared is not None:
            self.places.pop(operation_id).close()
            shared.leave()

    def leave_all(self) -> None:
        """Leave every shared operation."""
        for operation_id in [*self.shared]:
            self.leave(operation_id)

    def finish(self, operation_id: str, refused: Outcome | None) -> None:
        """A shared operation has ended by itself."""
        del self.shared[operation_id]
        self.places.pop(operation_id).close()
        self.keep(asyncio.create_task(self.tell_end(operation_id, refused)))

    async def tell_end(self, operation_id: str, refused: Outcome | None) -> None:
        """Send its last message, once the socket takes it."""
        with suppress(*GONE):
            await self.send_last(operation_id, refused)

    async def run(self, message: Subscribe, viewer: Viewer, request_id: str) -> None:
        """One operation, from its document to its last message."""
        asked = message.operation
        begun = time.perf_counter()
        name: str | None = None
        status: Result = "cancelled"
        held = ExitStack()
        try:
            try:
                operation = chosen_operation(asked.query, asked.operation_name)
                if operation.kind == "subscription":
                    held.enter_context(self.quotas.stream(viewer))
            except (GraphQLError, RateLimited) as error:
                status = "refused"
                self.executions.traffic.note_operation(None, None, status)
                await self.send_last(message.id, refusal(error, request_id))
                return
            name = operation.name
            with (
                self.executions.noting(operation, self.persisted.name_of(asked)) as noted,
                # Within it: that the client left is no fault of ours.
                suppress(*GONE),
            ):
                status = noted.result = await self.run_operation(message, viewer, request_id)
        except GONE:
            # The client left while something was being sent; the reading task sees that too.
            return
        finally:
            held.close()
            _log_operation(request_id, name, status, time.perf_counter() - begun)

    async def run_operation(self, message: Subscribe, viewer: Viewer, request_id: str) -> Result:
        """Send what an operation yields; returns how it ended, for the log."""
        ended: Result = "completed"
        try:
            results = self.executions.stream(message.operation, viewer, request_id)
            async with aclosing(results):
                async for outcome in results:
                    if isinstance(outcome, Outcome) and outcome.result != "completed":
                        ended = outcome.result
                        if outcome.refused:
                            await self.send_last(message.id, outcome)
                            return ended
                    await self.protocol.send_text(
                        b'{"id":%b,"type":"next","payload":%b}'
                        % (orjson.dumps(message.id), outcome.encoded())
                    )
        except GONE:
            raise
        except Exception:  # A fault of ours ends this operation, and not the socket.
            log.exception("operation failed", request_id=request_id)
            await self.send_last(message.id, internal_failure(request_id))
            return "failed"
        await self.send_last(message.id, None)
        return ended

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
        await self.protocol.send_text(orjson.dumps(message))


def _log_operation(request_id: str, name: str | None, status: str, seconds: float) -> None:
    log.info(
        "operation",
        request_id=request_id,
        operation=name,
        status=status,
        milliseconds=round(seconds * 1000, 1),
    )
