"""GraphQL over websockets: the subprotocol graphql-transport-ws, to the letter.

Any frame may come. What breaks the protocol closes the socket with the protocol's own code; what
is wrong with one operation is an `error` for that operation, and the socket stays.

| code | when |
|---|---|
| 4400 | a frame that is no message of the protocol |
| 4401 | an operation before the sign-in was acknowledged |
| 4403 | nobody is signed in with what `connection_init` or the cookie holds |
| 4406 | the subprotocol is another |
| 4408 | no `connection_init` in time, or no answer to a ping |
| 4409 | an operation's id is in use |
| 4429 | `connection_init` came twice |

The protocol: github.com/enisdenjo/graphql-ws, PROTOCOL.md.
"""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing, suppress
from typing import Any

import orjson
import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from resolvers.context import OperationContext, Viewer
from server.documents import BadDocument, Document, checked
from server.execution import formatted, is_request_error, stream
from server.gate import passage_of
from server.state import state_of
from server.visitors import by_payload, visitor

log = structlog.get_logger(__name__)

SUBPROTOCOL = "graphql-transport-ws"
INIT_SECONDS = 10.0
PING_SECONDS = 25.0
# A laptop's lid, a stopped tab: who comes back within this goes on where it was.
ANSWER_SECONDS = 150.0
MOST_OPERATIONS = 100
LONGEST_ID = 256


class Closed(Exception):
    """The socket is to be closed with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


async def graphql_socket(socket: WebSocket) -> None:
    """The websocket of /graphql."""
    if SUBPROTOCOL not in socket.scope.get("subprotocols", ()):
        await socket.accept()
        await socket.close(4406, "Subprotocol not acceptable")
        return
    await socket.accept(SUBPROTOCOL)
    await Connection(socket).serve()


class Connection:
    """One socket from its acceptance to its end, with the operations that run on it."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._state = state_of(socket.app)
        self._viewer: Viewer | None = None
        self._initialised = False
        # Set by whatever the client sends: it lives.
        self._heard = asyncio.Event()
        self._operations: dict[str, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Read until the client leaves or breaks the protocol."""
        watching = [
            asyncio.create_task(self._close_without_init()),
            asyncio.create_task(self._keep_alive()),
        ]
        try:
            while True:
                await self._handle(await self._receive())
        except Closed as closed:
            await self._close(closed.code, closed.reason)
        except (WebSocketDisconnect, RuntimeError):
            pass  # Gone, or closed by one of those who watch.
        finally:
            tasks = [*watching, *self._operations.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _receive(self) -> Mapping[str, Any]:
        message = await self._socket.receive()
        if message["type"] != "websocket.receive":
            raise WebSocketDisconnect
        self._heard.set()
        text = message.get("text")
        if text is None:
            raise Closed(4400, "Messages are text, not binary")
        try:
            parsed = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise Closed(4400, "Messages are JSON") from None
        if not isinstance(parsed, dict):
            raise Closed(4400, "A message is a JSON object")
        return parsed

    async def _handle(self, message: Mapping[str, Any]) -> None:
        payload = message.get("payload")
        match message.get("type"):
            case "connection_init":
                await self._init(payload)
            case "ping":
                _check_payload(payload)
                await self._send({"type": "pong"})
            case "pong":
                _check_payload(payload)
            case "subscribe":
                await self._subscribe(_id_of(message), payload)
            case "complete":
                operation = self._operations.pop(_id_of(message), None)
                if operation is not None:
                    operation.cancel()
            case _:
                raise Closed(4400, "The message's type is none of the protocol's")

    async def _init(self, payload: object) -> None:
        if self._initialised:
            raise Closed(4429, "Too many initialisation requests")
        self._initialised = True
        given = _check_payload(payload)
        viewer = by_payload(given, self._state.sign_in)
        if viewer is None and "authorization" not in {name.lower() for name in given}:
            viewer = await visitor(self._socket, self._state.sign_in)
        if viewer is None:
            raise Closed(4403, "Forbidden")
        self._viewer = viewer
        await self._send({"type": "connection_ack"})

    async def _subscribe(self, operation_id: str, payload: object) -> None:
        if self._viewer is None:
            raise Closed(4401, "Unauthorized")
        if operation_id in self._operations:
            raise Closed(4409, f"Subscriber for {operation_id[:64]} already exists"[:120])
        if not isinstance(payload, dict):
            raise Closed(4400, "subscribe needs a payload that is an object")
        try:
            document = checked(payload)
        except BadDocument as error:
            raise Closed(4400, str(error)) from None
        if len(self._operations) >= MOST_OPERATIONS:
            await self._send_error(
                operation_id,
                f"at most {MOST_OPERATIONS} operations run on a connection at once: "
                "complete one first",
                "RATE_LIMITED",
            )
            return
        task = asyncio.create_task(self._run(operation_id, document))
        self._operations[operation_id] = task

    async def _run(self, operation_id: str, document: Document) -> None:
        """Send what the operation gives. Each message waits for the socket, so nothing queues up."""
        passage = passage_of(self._socket.scope)
        context = OperationContext(self._state.services, self._viewer, passage.request_id)
        try:
            async with aclosing(stream(document, context)) as results:
                first = True
                async for result in results:
                    if first and is_request_error(result):
                        errors = [error.formatted for error in result.errors or ()]
                        self._operations.pop(operation_id, None)
                        await self._send({"id": operation_id, "type": "error", "payload": errors})
                        return
                    first = False
                    await self._send(
                        {"id": operation_id, "type": "next", "payload": formatted(result)}
                    )
            self._operations.pop(operation_id, None)
            await self._send({"id": operation_id, "type": "complete"})
        except (WebSocketDisconnect, RuntimeError):
            pass  # The socket went while this was being sent.
        except Exception:
            # Whatever it is stays here; the client learns that it happened.
            log.exception("operation failed", request_id=passage.request_id)
            if self._operations.pop(operation_id, None) is not None:
                with suppress(WebSocketDisconnect, RuntimeError):
                    await self._send_error(operation_id, "Internal error", "INTERNAL")

    async def _close_without_init(self) -> None:
        await asyncio.sleep(INIT_SECONDS)
        if not self._initialised:
            await self._close(4408, "Connection initialisation timeout")

    async def _keep_alive(self) -> None:
        """Ask whether the client lives. Closing with 4408 lets clients come back; 1011 does not."""
        while True:
            self._heard.clear()
            await asyncio.sleep(PING_SECONDS)
            if self._heard.is_set() or self._viewer is None:
                continue
            try:
                await asyncio.wait_for(self._send({"type": "ping"}), ANSWER_SECONDS)
                await asyncio.wait_for(self._heard.wait(), ANSWER_SECONDS)
            except TimeoutError:
                await self._close(4408, "No answer to a ping")
                return
            except (WebSocketDisconnect, RuntimeError):
                return

    async def _send(self, message: Mapping[str, Any]) -> None:
        await self._socket.send_text(orjson.dumps(message).decode())

    async def _send_error(self, operation_id: str, message: str, code: str) -> None:
        error = {"message": message, "extensions": {"code": code}}
        await self._send({"id": operation_id, "type": "error", "payload": [error]})

    async def _close(self, code: int, reason: str) -> None:
        with suppress(RuntimeError, WebSocketDisconnect):
            # A close frame has room for 123 bytes of reason.
            await self._socket.close(code, reason.encode()[:120].decode(errors="ignore"))


def _id_of(message: Mapping[str, Any]) -> str:
    operation_id = message.get("id")
    if not isinstance(operation_id, str) or not 0 < len(operation_id) <= LONGEST_ID:
        raise Closed(4400, f"An id is a string of 1 to {LONGEST_ID} characters")
    return operation_id


def _check_payload(payload: object) -> Mapping[str, Any]:
    if payload is None:
        return {}
    if not isinstance(payload, dict):
        raise Closed(4400, "A payload is an object, or left out")
    return payload
