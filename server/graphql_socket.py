"""`/graphql` as a websocket: who may open one, and how many are open.

What is said on one is in `conversation.py`.
"""

import asyncio
import gc

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from resolvers.context import Viewer
from server.answers import Rejected, error_answer
from server.conversation import GONE, Conversation, SocketClosed
from server.execution import Executions
from server.persisted_operations import PersistedOperations
from server.quotas import Quotas
from server.requests import request_id_of
from server.sign_in import Gate
from server.socket_protocol import protocol_of

SUBPROTOCOL = "graphql-transport-ws"
MOST_SOCKETS = 4_096
INIT_SECONDS = 10.0
COLLECTED_AFTER = 256
"""Sockets that closed. Each leaves some 70 objects behind that refer to one another, and are old by
then: Python alone would look for such after millions, some hundred MB later.
"""
_COLLECT_SECONDS = 5.0
# By then the transports have let go too; a second after, a tenth was free.


class GraphQLOverSocket:
    """Takes sockets in, up to `MOST_SOCKETS` at a time, and serves each to its end. `open` says how
    many are.
    """

    def __init__(
        self,
        executions: Executions,
        gate: Gate,
        persisted: PersistedOperations,
        quotas: Quotas,
        *,
        most_sockets: int = MOST_SOCKETS,
        init_seconds: float = INIT_SECONDS,
    ) -> None:
        self._executions = executions
        self._gate = gate
        self._persisted = persisted
        self._quotas = quotas
        self._most_sockets = most_sockets
        self._init_seconds = init_seconds
        self.open = 0
        self._closed = 0
        self._collecting: asyncio.TimerHandle | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket, as an ASGI application."""
        socket = WebSocket(scope, receive, send)
        try:
            viewer = await self._admit(socket)
        except Rejected as rejected:
            await socket.send_denial_response(error_answer(rejected, request_id_of(socket.scope)))
            return
        self.open += 1
        try:
            await self._serve(socket, viewer)
        finally:
            self.open -= 1
            self._leave_behind()

    def _leave_behind(self) -> None:
        """Count one that closed, and have what many left behind collected, once they are gone."""
        self._closed += 1
        if self._closed >= COLLECTED_AFTER and self._collecting is None:
            loop = asyncio.get_running_loop()
            self._collecting = loop.call_later(_COLLECT_SECONDS, self._collect)

    def _collect(self) -> None:
        self._collecting = None
        self._closed = 0
        gc.collect()

    async def _admit(self, socket: WebSocket) -> Viewer | None:
        self._require_place()
        viewer = await self._gate.recognize(socket)
        # Others may have come in while the store was asked who this is.
        self._require_place()
        return viewer

    def _require_place(self) -> None:
        if self.open >= self._most_sockets:
            raise Rejected(503, "too many sockets are open", headers={"Retry-After": "5"})

    async def _serve(self, socket: WebSocket, viewer: Viewer | None) -> None:
        if SUBPROTOCOL not in socket.scope["subprotocols"]:
            # Only an open socket can tell the client why.
            await socket.accept()
            await socket.close(4406, f"Subprotocol not acceptable: use {SUBPROTOCOL}")
            return
        await socket.accept(SUBPROTOCOL)
        conversation = Conversation(
            socket,
            protocol_of(socket.scope),
            viewer,
            self._executions,
            self._gate,
            self._persisted,
            self._quotas,
        )
        try:
            with conversation.watched:
                conversation.watch()
                await conversation.hold(self._init_seconds)
        except SocketClosed as closed:
            await conversation.end()
            try:
                await socket.close(closed.code, closed.reason)
            except GONE:
                return
        except GONE:
            return
        finally:
            await conversation.end()
            conversation.held.close()
