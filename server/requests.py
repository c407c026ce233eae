"""Around every request: its id, its line in the log, and an answer when something of ours breaks.

A line holds id, method, path, operation name, status and milliseconds. Never a header, a query
string, variables or a body: those may hold keys.
"""

import asyncio
import os
import time
from collections.abc import Callable

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from db.failing import StoreUnavailable
from server.answers import Rejected, error_answer
from server.security_headers import secured
from server.traffic import Traffic

log = structlog.get_logger("trunkline.request")

_OK = 200
_CLIENT_GONE = 499
_LONGEST_PATH = 200


def request_id_of(scope: Scope) -> str:
    """The id under which this request is logged."""
    request_id: str = scope["state"]["request_id"]
    return request_id


def name_operation(scope: Scope, name: str | None) -> None:
    """Put the operation's name, as parsed from the document, into the request's line."""
    scope["state"]["operation_name"] = name


def is_recorded(scope: Scope) -> None:
    """Leave the request out of the log if it goes well: a row of its own in the store says more."""
    scope["state"]["is_recorded"] = True


def has_begun(scope: Scope) -> bool:
    """Whether a part of the response has been sent."""
    return "has_begun" in scope["state"]


def is_stream(scope: Scope) -> None:
    """Count the request among the streams of events, which last as long as their clients like."""
    scope["state"]["is_stream"] = True


class RequestLog:
    """The outermost ASGI middleware."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        closing: asyncio.Event,
        traffic: Traffic | None = None,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._app = app
        self._traffic = traffic or Traffic()
        self._closing = closing
        self._timer = timer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send)
        begun = self._timer()
        try:
            await self._app(scope, receive, exchange.send)
        except ClientDisconnect:
            exchange.status = _CLIENT_GONE
        except asyncio.CancelledError:
            # The server ran out of patience while it was stopping; say so where nothing was said.
            if not self._closing.is_set() or exchange.begun:
                raise
            await exchange.answer(
                Rejected(503, "the server is stopping: try again", headers={"Retry-After": "1"}),
                receive,
            )
        except StoreUnavailable as error:
            log.warning("store unavailable", request_id=exchange.request_id, why=error.reason)
            if exchange.begun:
                raise
            await exchange.answer(Rejected(503, str(error), headers={"Retry-After": "1"}), receive)
        except Exception:  # The outermost place: whoever asked gets an answer whatever broke.
            log.exception("request failed", request_id=exchange.request_id)
            if exchange.begun:
                raise
            await exchange.answer(
                Rejected(500, "Internal error: it was logged under this request id"), receive
            )
        finally:
            self._write(scope, exchange, begun)

    def _write(self, scope: Scope, exchange: "_Exchange", begun: float) -> None:
        seconds = self._timer() - begun
        if scope["type"] == "websocket":
            self._traffic.note_socket(exchange.status)
        else:
            self._traffic.note_request(
                scope["path"],
                scope["method"],
                exchange.status,
                seconds,
                is_stream="is_stream" in scope["state"],
            )
        if "is_recorded" in scope["state"] and exchange.status == _OK:
            return
        log.info(
            "socket" if scope["type"] == "websocket" else "request",
            request_id=exchange.request_id,
            method=scope.get("method", "SOCKET"),
            path=scope["path"][:_LONGEST_PATH],
            operation=scope["state"].get("operation_name"),
            status=exchange.status,
            milliseconds=round(seconds * 1000, 1),
        )


def _new_id() -> str:
    """128 bits in hexadecimal: 48 of the time in milliseconds, so that rows which are named by it
    lie one after another in an index, and 80 of chance.
    """
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


class _Exchange:
    """What has been said on one request so far."""

    # A thousand sockets hold one each.
    __slots__ = ("_scope", "_send", "begun", "request_id", "status")

    def __init__(self, scope: Scope, send: Send) -> None:
        self.request_id = _new_id()
        # A state of our own: the server shares its between requests.
        scope["state"] = {**scope.get("state", {}), "request_id": self.request_id}
        self._scope = scope
        self._send = send
        self.begun = False
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        """Note the status, and add to the headers the id and what every answer has."""
        kind = message["type"]
        if kind in {"http.response.start", "websocket.http.response.start", "websocket.accept"}:
            self.begun = True
            self._scope["state"]["has_begun"] = True
            self.status = message.get("status", 101)
            # What opens a socket is no answer that a browser would show.
            given = message.get("headers", [])
            headers = [*given] if kind == "websocket.accept" else secured(given)
            message["headers"] = [*headers, (b"x-request-id", self.request_id.encode())]
        elif kind == "websocket.close":
            self.begun = True
            self.status = message.get("code", 1000)
        await self._send(message)

    async def answer(self, rejected: Rejected, receive: Receive) -> None:
        """Answer in place of the app."""
        await error_answer(rejected, self.request_id)(self._scope, receive, self.send)
