"""What came of an operation, ready to send: of one caller, or of many that share it."""

from dataclasses import dataclass
from typing import Any

import orjson
from graphql import GraphQLError

from server.answers import code_of, error_entry
from server.deflating import deflated_alone
from server.traffic import Result
from trunkline.errors import RateLimited


@dataclass(frozen=True, slots=True)
class Outcome:
    """One result. `refused` says that nothing was executed: there is no `data`."""

    response: dict[str, Any]
    refused: bool

    @property
    def internal(self) -> bool:
        """Whether it was a fault of ours that kept the operation from being executed."""
        return self.refused and any(
            error.get("extensions", {}).get("code") == "INTERNAL"
            for error in self.response["errors"]
        )

    @property
    def result(self) -> Result:
        """How it counts."""
        if self.refused:
            return "failed" if self.internal else "refused"
        return "errors" if "errors" in self.response else "completed"

    def encoded(self) -> bytes:
        """The response as JSON."""
        return orjson.dumps(self.response)


class SharedResult:
    """One result of many equal subscriptions: encoded once, and compressed once where any of them
    takes it so.
    """

    __slots__ = ("_deflated", "_encoded")

    def __init__(self, encoded: bytes) -> None:
        self._encoded = encoded
        self._deflated: bytes | None = None

    def encoded(self) -> bytes:
        """The response as JSON."""
        return self._encoded

    def deflated(self) -> bytes:
        """The same as blocks of DEFLATE, to stand inside a message of `permessage-deflate`."""
        if self._deflated is None:
            self._deflated = deflated_alone(self._encoded)
        return self._deflated


def refusal(error: GraphQLError | RateLimited, request_id: str) -> Outcome:
    """The outcome of a document that couldn't be parsed or found, or may not be executed (now)."""
    if isinstance(error, RateLimited):
        entry = error_entry(str(error), "RATE_LIMITED", request_id)
        entry["extensions"]["retryAfterSeconds"] = error.retry_after_seconds
        return Outcome({"errors": [entry]}, refused=True)
    locations = error.formatted.get("locations")
    code = str((error.extensions or {}).get("code", "BAD_USER_INPUT"))
    entry = error_entry(error.message, code, request_id, locations=locations)
    return Outcome({"errors": [entry]}, refused=True)


def internal_failure(request_id: str) -> Outcome:
    """The outcome of a fault of ours, which was logged under this request id."""
    message = "Internal error: it was logged under this request id"
    return Outcome({"errors": [error_entry(message, code_of(500), request_id)]}, refused=True)
