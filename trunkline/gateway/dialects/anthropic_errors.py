"""Anthropic's errors, which come with a status, or within a stream or a 200 without one.

https://platform.claude.com/docs/en/api/errors
"""

from collections.abc import Mapping

from trunkline.gateway.protocols import StreamFailed

ERROR_STATUSES: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status that goes with each `error.type`."""


def failure_in(data: dict[str, object], body: bytes) -> StreamFailed:
    """The failure that an object of `type` "error" tells of; `body` is its JSON."""
    error = data.get("error")
    kind = error.get("type") if isinstance(error, dict) else None
    status = ERROR_STATUSES.get(kind, 500) if isinstance(kind, str) else 500
    return StreamFailed(status, body)
