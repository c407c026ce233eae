"""What a run of a chain works with: its steps, the port that tries one, the record of attempts.

The port knows protocols and connections; nothing else here does. `T` is what it passes on to the
caller: a chunk of a stream, or a whole answer.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from trunkline.errors import TrunklineError
from trunkline.failover.classes import AttemptFailure, FailureClass

T = TypeVar("T")


class Skipped(StrEnum):
    """Why a step was not tried."""

    DISABLED = "DISABLED"
    NO_API_KEY = "NO_API_KEY"
    OPEN = "OPEN"
    """Its circuit is open."""
    TOO_SMALL = "TOO_SMALL"
    """Its context window is no larger than one that the prompt didn't fit."""
    UNSUPPORTED = "UNSUPPORTED"
    """The model, or its provider's protocol, can't do what is asked for."""
    BUSY = "BUSY"
    """Its provider has as many requests as it gets at a time, and no place came free in time."""
    OVER_BUDGET = "OVER_BUDGET"
    """A budget is used up that it would count in, and blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedStep:
    """A step as it can be tried. `skip` says why it can't, and `id` is None without a chain."""

    id: int | None
    model_id: int
    provider_id: int
    label: str
    max_retries: int
    timeout_seconds: float
    first_token_timeout_seconds: float
    context_window: int | None = None
    skip: Skipped | None = None


@dataclass(frozen=True, slots=True)
class Piece(Generic[T]):
    """What came of an attempt. A sign of life alone (a role, a ping) is no token."""

    payload: T
    is_token: bool = True
    size: int = 0
    """Bytes, as they count where an answer is held back."""


@dataclass(slots=True)
class AttemptRecord:
    """One try of one step, or why there was none. `outcome` is None for a success, and for one that
    was `cancelled`, as the caller left.
    """

    step: ResolvedStep
    started_at: datetime
    outcome: FailureClass | Skipped | None = None
    status: int | None = None
    milliseconds: float = 0.0
    reason: str = ""
    cancelled: bool = False

    @property
    def was_sent(self) -> bool:
        """Whether a request left for the provider."""
        return not isinstance(self.outcome, Skipped)


class AttemptFailed(TrunklineError):
    """Raised by the port: the attempt came to nothing, before its first token or after it."""

    def __init__(self, failure: AttemptFailure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class StepSkipped(TrunklineError):
    """Raised by the port, before anything is sent: this step is not to be tried; the message says
    why. `wait_seconds` is until it may be tried again, where that is known.
    """

    def __init__(self, skip: Skipped, reason: str, wait_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.skip = skip
        self.wait_seconds = wait_seconds


Attempt = Callable[[ResolvedStep, float], AsyncGenerator[Piece[T]]]
"""Tries a step with a stream, for at most so many seconds. Closed early, it lets go of its
connection at once.

It raises `AttemptFailed` or `StepSkipped`, and ends when the answer is whole.
"""
Ask = Callable[[ResolvedStep, float], Awaitable[T]]
"""Tries a step whose answer comes as one, with the same errors. Cancelled, it lets go at once."""
