"""Refuses what comes while the server stops, so that it is sent elsewhere at once.

The port stays open until the last request has ended: who connects meanwhile is told why there is no
answer, and a probe of `/readyz` gets one.
"""

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from server.answers import Rejected, error_answer, json_answer
from server.gateway_answers import send_error
from server.gateway_routes import PREFIX, face_of
from server.requests import request_id_of
from trunkline.gateway.declining import STOPPING

_CLOSE = {"Connection": "close", "Retry-After": "1"}
REFUSAL = Rejected(503, "the server is stopping: try again", headers=_CLOSE)


class Stopping:
    """An ASGI middleware. Everything passes until `closing` is set, and `/healthz` always."""

    def __init__(self, app: ASGIApp, closing: asyncio.Event) -> None:
        self._app = app
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, or refuse, one request or socket."""
        path: str = scope["path"]
        if not self._closing.is_set() or path == "/healthz":
            await self._app(scope, receive, send)
        elif path.startswith(PREFIX) and scope["type"] == "http":
            await send_error(send, face_of(scope), STOPPING, request_id_of(scope))
        elif path == "/readyz":
            answer = json_answer({"status": "stopping"}, 503, headers=_CLOSE)
            await answer(scope, receive, send)
        else:
            await error_answer(REFUSAL, request_id_of(scope))(scope, receive, send)
