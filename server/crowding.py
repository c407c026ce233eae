"""How many HTTP requests are served at a time: those beyond are told to come back, at once.

Each holds memory and waits for the same few connections to the database; the thousandth that waits
only makes the others slower. Probes are answered however many there are, or a busy server would be
taken for a dead one. Sockets have a bound of their own.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from server.answers import Rejected, error_answer
from server.requests import request_id_of

MOST_REQUESTS = 2_048
_PROBES = frozenset({"/healthz", "/readyz"})


class Crowding:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, most_requests: int) -> None:
        self._app = app
        self._most_requests = most_requests
        self._serving = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http" or scope["path"] in _PROBES:
            await self._app(scope, receive, send)
            return
        if self._serving >= self._most_requests:
            rejected = Rejected(
                503,
                f"{self._most_requests} requests are being served: nothing of this one was done, "
                "send it again",
                headers={"Retry-After": "1"},
            )
            await error_answer(rejected, request_id_of(scope))(scope, receive, send)
            return
        self._serving += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._serving -= 1
