"""What the gateway's routes send: headers about a request, answers, and errors in the caller's
protocol.
"""

import math
from collections.abc import Sequence

from starlette.types import Send

from server.answers import Rejected
from trunkline.gateway.declining import Decline
from trunkline.gateway.exchange import Exchange
from trunkline.gateway.protocols import CallerError, Face

Headers = list[tuple[bytes, bytes]]

GATEWAY_HEADERS = (
    "x-trunkline-request-id",
    "x-trunkline-model",
    "x-trunkline-attempts",
    "x-trunkline-overhead-ms",
    "x-trunkline-dropped",
)
"""What an answer says of itself; pages of other origins may read these too."""
_JSON = (b"content-type", b"application/json")
_EVENTS: Sequence[tuple[bytes, bytes]] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # nginx would gather what is to be sent at once.
    (b"x-accel-buffering", b"no"),
)
_LONGEST_DROPPED = 1_000


def id_of(face: Face, request_id: str) -> Headers:
    """Under which id the request is found."""
    encoded = request_id.encode()
    return [(name, encoded) for name in (b"x-trunkline-request-id", *face.id_headers)]


def headers_of(exchange: Exchange[bytes], face: Face) -> Headers:
    """Its id, which model answers, after how many attempts, and how long we took ourselves."""
    headers = [
        *id_of(face, exchange.caller.request_id),
        (b"x-trunkline-model", _header_text(exchange.model)),
        (b"x-trunkline-attempts", b"%d" % exchange.attempts_sent),
        (b"x-trunkline-overhead-ms", b"%.2f" % exchange.overhead_ms),
    ]
    if exchange.dropped:
        dropped = ", ".join(exchange.dropped)[:_LONGEST_DROPPED]
        headers.append((b"x-trunkline-dropped", _header_text(dropped)))
    return headers


def comment_of(exchange: Exchange[bytes], face: Face) -> bytes:
    """The same as comments of an event stream, for one whose headers went before this was known."""
    lines = [b": %b: %b\n" % header for header in headers_of(exchange, face)]
    return b"".join(lines) + b"\n"


async def send_answer(send: Send, body: bytes, headers: Headers) -> None:
    """A whole answer of JSON."""
    await _send(send, 200, [_JSON, *headers], body)


async def send_error(
    send: Send, face: Face, decline: Decline, request_id: str, headers: Headers | None = None
) -> None:
    """An error in the caller's protocol. SDKs are told not to run all of it again by themselves,
    unless another server may answer.
    """
    error = decline.error
    about = [
        *(headers or id_of(face, request_id)),
        (b"x-should-retry", b"true" if decline.elsewhere else b"false"),
    ]
    if decline.retry_after is not None:
        about.append((b"retry-after", b"%d" % math.ceil(decline.retry_after)))
    if error.status == 408:
        # What is left of the body is not read.
        about.append((b"connection", b"close"))
    if error.status == 401:
        about.append((b"www-authenticate", b'Bearer realm="trunkline"'))
    await _send(send, error.status, [_JSON, *about], face.error(error))


async def begin_stream(send: Send, headers: Headers) -> None:
    """The beginning of an event stream; its events follow."""
    await send({"type": "http.response.start", "status": 200, "headers": [*_EVENTS, *headers]})


async def send_piece(send: Send, piece: bytes) -> None:
    """A part of a stream. Waits while the caller is slow to read."""
    await send({"type": "http.response.body", "body": piece, "more_body": True})


async def end_stream(send: Send, piece: bytes = b"") -> None:
    """The end of a stream, after this."""
    await send({"type": "http.response.body", "body": piece})


def declined(rejected: Rejected, code: str) -> Decline:
    """What the front door itself has to say."""
    error = CallerError(status=rejected.status, message=rejected.message, code=code)
    wait = rejected.headers.get("Retry-After")
    return Decline(error, retry_after=None if wait is None else float(wait))


async def _send(send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"content-length", b"%d" % len(body))],
        }
    )
    await send({"type": "http.response.body", "body": body})


def _header_text(text: str) -> bytes:
    """Models have any names; a header has printable ASCII."""
    return "".join(sign if " " <= sign <= "~" else "?" for sign in text).encode()
