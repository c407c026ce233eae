"""What every request and socket passes first: its id, its host, its origin, its line in the log.

Host is checked against DNS rebinding: a name that resolves to us is not ours for that. Origin is
checked on requests and sockets alike; our own is the one that the Host header names.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import uuid4

import structlog
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.answers import failure

log = structlog.get_logger(__name__)

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
}
_CORS_HEADERS = "authorization, content-type, accept, x-request-id"


@dataclass(slots=True)
class Passage:
    """What is known of a request while it is answered; kept in `scope["state"]`."""

    request_id: str
    origin: str | None
    # Our own, or one that a setting allows as if it were.
    origin_is_own: bool
    operation: str | None = field(default=None)


class Gate:
    """ASGI middleware. `hosts` are names without a port, `origins` are allowed beside our own."""

    def __init__(
        self, app: ASGIApp, *, hosts: frozenset[str], origins: tuple[str, ...]
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        passage = Passage(uuid4().hex, origin, origin in self._own(scope, headers))
        scope.setdefault("state", {})["passage"] = passage
        refusal = self._refusal(headers, passage)
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send, passage, refused=refusal is not None)
        else:
            await self._request(scope, receive, send, passage, refusal)

    def _own(self, scope: Scope, headers: Headers) -> frozenset[str]:
        scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
        return self._origins | {f"{scheme}://{headers.get('host', '').lower()}"}

    def _refusal(self, headers: Headers, passage: Passage) -> Response | None:
        host = headers.get("host", "").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if name not in self._hosts:
            return failure(
                421,
                "this server does not answer to that host name: "
                "add it to TRUNKLINE_ALLOWED_HOSTS if it should",
                "FORBIDDEN",
            )
        if passage.origin is not None and not passage.origin_is_own:
            return failure(
                403,
                "requests from that origin are refused: "
                "add it to TRUNKLINE_ALLOWED_ORIGINS if it may ask",
                "FORBIDDEN",
            )
        return None

    async def _socket(
        self, scope: Scope, receive: Receive, send: Send, passage: Passage, *, refused: bool
    ) -> None:
        began = time.perf_counter()
        if refused:
            await receive()
            # Before it is accepted, a close is an HTTP 403.
            await send({"type": "websocket.close", "code": 4403, "reason": "Forbidden"})
        else:
            await self._app(scope, receive, send)
        _log("socket", scope, passage, 403 if refused else 101, began)

    async def _request(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        passage: Passage,
        refusal: Response | None,
    ) -> None:
        began = time.perf_counter()
        status = 0
        added = {**SECURITY_HEADERS, "x-request-id": passage.request_id}
        if passage.origin in self._origins and passage.origin is not None:
            added |= _cors(passage.origin)

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_encoded(added)]
            await send(message)

        preflight = scope["method"] == "OPTIONS" and "access-control-allow-origin" in added
        try:
            if refusal is not None:
                await refusal(scope, receive, sending)
            elif preflight:
                await Response(status_code=204)(scope, receive, sending)
            else:
                await self._app(scope, receive, sending)
        except Exception:
            # Nothing below raises on purpose: whatever it is, the client gets our words for it.
            log.exception("request failed", request_id=passage.request_id)
            if status:
                raise
            await failure(
                500, f"internal error, logged as request {passage.request_id}", "INTERNAL"
            )(scope, receive, sending)
        finally:
            _log("request", scope, passage, status, began)


def passage_of(scope: Scope) -> Passage:
    """What the gate knows of this request."""
    passage: Passage = scope["state"]["passage"]
    return passage


def _cors(origin: str) -> Mapping[str, str]:
    return {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": "GET, POST",
        "access-control-allow-headers": _CORS_HEADERS,
        "access-control-expose-headers": "x-request-id",
        "access-control-max-age": "600",
        "vary": "Origin",
    }


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]


def _log(what: str, scope: Scope, passage: Passage, status: int, began: float) -> None:
    # The path without its query: what is asked for is nobody's business but the operation's name.
    log.info(
        what,
        request_id=passage.request_id,
        method=scope.get("method", "WS"),
        path=scope["path"][:200],
        operation=passage.operation,
        status=status,
        milliseconds=round((time.perf_counter() - began) * 1_000, 1),
    )
