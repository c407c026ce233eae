"""What the provider saw, the newest of it: requests, and how each one ended."""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import orjson

from server.simulated.faults import Fault
from server.simulated.json_values import Json, json_object

MOST_REQUESTS = 200
LARGEST_KEPT_BODY = 64 * 1024
_SECRET_HEADERS = ("authorization", "x-api-key", "x-goog-api-key", "cookie")
_SHOWN_OF_SECRET = 4


class Outcome(StrEnum):
    """How a request ended."""

    ANSWERED = "answered"
    # By the provider: a fault.
    BROKEN = "broken"
    # By the client, while the answer was awaited or on its way.
    CLIENT_GONE = "client_gone"


@dataclass(slots=True, eq=False)
class SeenRequest:
    """A request. `began` and `ended` are seconds of a clock that never goes back."""

    number: int
    method: str
    # With its query.
    path: str
    headers: dict[str, str]
    began: float
    began_at: datetime
    # The beginning of the body where it is longer than what is kept.
    body: bytes = b""
    body_bytes: int = 0
    model: str | None = None
    fault: Fault = Fault.NONE
    # What was answered until now.
    status: int | None = None
    tokens_sent: int = 0
    outcome: Outcome | None = None
    ended: float | None = None
    _over: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def json(self) -> Json:
        """The body; empty where it is no object. Raises ValueError where it is no JSON, or too
        long to be kept whole."""
        return json_object(orjson.loads(self.body))

    def end(self, outcome: Outcome, at: float) -> None:
        """Note how it ended; the first word counts."""
        if self.outcome is None:
            self.outcome, self.ended = outcome, at
            self._over.set()

    async def until_ended(self) -> Outcome:
        """Wait for its end: cancelled requests end as CLIENT_GONE."""
        await self._over.wait()
        assert self.outcome is not None  # noqa: S101  # set before the event
        return self.outcome

    def shown(self) -> Json:
        """For the log over HTTP: keys by their last characters alone."""
        return {
            "number": self.number,
            "method": self.method,
            "path": self.path,
            "headers": {
                name: _masked(value) if name in _SECRET_HEADERS else value
                for name, value in self.headers.items()
            },
            "body": self.body.decode(errors="replace"),
            "bodyBytes": self.body_bytes,
            "model": self.model,
            "fault": self.fault.value,
            "began": self.began,
            "beganAt": self.began_at.isoformat(),
            "ended": self.ended,
            "status": self.status,
            "tokensSent": self.tokens_sent,
            "outcome": None if self.outcome is None else self.outcome.value,
        }


class RequestLog:
    """The last requests, oldest first."""

    def __init__(self, most: int = MOST_REQUESTS) -> None:
        self._requests: deque[SeenRequest] = deque(maxlen=most)
        self._came = asyncio.Event()
        self.total = 0

    def __iter__(self) -> Iterator[SeenRequest]:
        """Oldest first."""
        return iter(tuple(self._requests))

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._requests)

    def __getitem__(self, at: int) -> SeenRequest:
        """By its place among those that are kept: -1 is the newest."""
        return self._requests[at]

    def add(
        self, method: str, path: str, headers: dict[str, str], began: float, began_at: datetime
    ) -> SeenRequest:
        """A request that came."""
        self.total += 1
        seen = SeenRequest(self.total, method, path, headers, began, began_at)
        self._requests.append(seen)
        came, self._came = self._came, asyncio.Event()
        came.set()
        return seen

    def clear(self) -> None:
        """Forget what came until now; the count goes on."""
        self._requests.clear()

    async def until(self, total: int) -> SeenRequest:
        """Wait until so many have come in all; gives the newest."""
        while self.total < total:
            await self._came.wait()
        return self._requests[-1]


def _masked(value: str) -> str:
    return "…" + value[-_SHOWN_OF_SECRET:] if len(value) > 2 * _SHOWN_OF_SECRET else "…"
