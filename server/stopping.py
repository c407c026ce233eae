"""Refuses what comes while the server stops, so that it is sent elsewhere at once.

The port stays open until the last request has ended: who connects meanwhile is told why there is no
answer, and probes get one.
"""

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from server.answers import Rejected, error_answer
from server.gateway_answers import send_error
from server.gateway_routes import PREFIX, face_of
from server.requests import request_id_of
from trunkline.gateway.declining import STOPPING

REFUSAL = Rejected(
    503,
    "the server is stopping: try again",
    headers={"Connection": "close", "Retry-After": "1"},
)
_PROBES = ("/healthz", "/readyz")


class Stopping:
    """An ASGI middleware. Everything passes until `closing` is set, and probes always."""

    def __init__(self, app: ASGIApp, closing: asyncio.Event) -> None:
        self._app = app
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, or refuse, one request or socket."""
        path: str = scope["path"]
        if not self._closing.is_set() or path in _PROBES:
            await self._app(scope, receive, send)
        elif path.startswith(PREFIX) and scope["type"] == "http":
            await send_error(send, face_of(scope), STOPPING, request_id_of(scope))
        else:
            await error_answer(REFUSAL, request_id_of(scope))(scope, receive, send)
