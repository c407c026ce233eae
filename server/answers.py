"""What the front door says when it answers for itself: JSON, the right status, what to do.

An error looks like a GraphQL response that has no data, so that one client code path reads both.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from starlette.responses import Response

from trunkline.errors import RateLimited

JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"
EVENT_STREAM = "text/event-stream"

_CODES = {
    401: "UNAUTHENTICATED",
    403: "FORBIDDEN",
    429: "RATE_LIMITED",
    503: "UNAVAILABLE",
}


class Rejected(Exception):
    """A request that gets this status and message instead of what it asked for."""

    def __init__(
        self, status: int, message: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


def unauthenticated(message: str) -> Rejected:
    """The rejection of somebody who isn't signed in."""
    return Rejected(401, message, headers={"WWW-Authenticate": 'Bearer realm="trunkline"'})


def too_many(error: RateLimited) -> Rejected:
    """The rejection of somebody who asks for more than their share."""
    seconds = math.ceil(error.retry_after_seconds)
    return Rejected(429, str(error), headers={"Retry-After": str(seconds)})


def json_answer(
    content: object,
    status: int = 200,
    *,
    headers: Mapping[str, str] | None = None,
    media_type: str = JSON,
) -> Response:
    """`content` as UTF-8 JSON."""
    return Response(
        orjson.dumps(content),
        status,
        {"Content-Type": f"{media_type}; charset=utf-8", **(headers or {})},
    )


def error_answer(rejected: Rejected, request_id: str, *, media_type: str = JSON) -> Response:
    """A rejection as a response, in the shape of a GraphQL error."""
    return json_answer(
        {"errors": [error_entry(rejected.message, code_of(rejected.status), request_id)]},
        rejected.status,
        headers=rejected.headers,
        media_type=media_type,
    )


def error_entry(
    message: str, code: str, request_id: str, *, locations: Sequence[Any] | None = None
) -> dict[str, Any]:
    """One entry of `errors`, with its code and the id under which to find it in the log."""
    entry: dict[str, Any] = {"message": message}
    if locations:
        entry["locations"] = locations
    entry["extensions"] = {"code": code, "requestId": request_id}
    return entry


def code_of(status: int) -> str:
    """The `extensions.code` that goes with an HTTP status."""
    return _CODES.get(status, "INTERNAL" if status >= 500 else "BAD_USER_INPUT")
