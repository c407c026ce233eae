"""What one request meets: its pace, at most one fault, and what the answer is to hold."""

import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from enum import StrEnum

from server.simulated.faults import Fault


class Ending(StrEnum):
    """How an answer ends that was neither whole nor a call of a tool."""

    LENGTH = "length"
    REFUSAL = "refusal"
    FILTERED = "filtered"


class WaitForm(StrEnum):
    """How a provider says when to come back."""

    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"
    DATE = "date"


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """When to come back. Gemini says it in the body, whatever the form."""

    seconds: float
    form: WaitForm = WaitForm.SECONDS

    def header(self, now: datetime) -> tuple[str, str]:
        """Its name and value."""
        match self.form:
            case WaitForm.MILLISECONDS:
                return "retry-after-ms", f"{self.seconds * 1_000:.0f}"
            case WaitForm.DATE:
                # The form has no fractions; who comes at that instant must not be early.
                then = now + timedelta(seconds=self.seconds, milliseconds=999)
                return "retry-after", format_datetime(then, usegmt=True)
            case WaitForm.SECONDS:
                return "retry-after", f"{self.seconds:g}"


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast an answer comes. `tokens_per_second` 0: as fast as it goes."""

    latency_seconds: float = 0
    first_token_seconds: float = 0
    tokens_per_second: float = 0
    byte_seconds: float = 0.01
    # Shows that the stream lives, each second of a wait.
    pings: bool = False


@dataclass(frozen=True, slots=True)
class Content:
    """What the answer holds, where that isn't left to the request. Shares are of the input."""

    output_tokens: int | None = None
    tool_calls: int = 0
    reasoning_tokens: int = 0
    ending: Ending | None = None
    cached_share: float | None = None
    cache_written_share: float = 0
    context_tokens: int | None = None
    usage_told: bool = True


@dataclass(frozen=True, slots=True)
class Reaction:
    """A fault with what belongs to it, a pace, and a content."""

    fault: Fault = Fault.NONE
    # Instead of the fault's own.
    status: int | None = None
    # Tokens of a stream that come before the fault.
    after_tokens: int = 0
    retry_after: RetryAfter | None = None
    should_retry: bool | None = None
    # Said in place of the fault's own words.
    message: str | None = None
    # Of the requests, how many meet the fault; every one where nothing is said.
    fault_share: float | None = None
    # So many requests meet the fault, then so many don't, then again.
    flap: tuple[int, int] | None = None
    pace: Pace = field(default_factory=Pace)
    content: Content = field(default_factory=Content)

    def settled(self, turn: int, dice: random.Random) -> "Reaction":
        """For the request of this turn, counted from 0: with its fault, or without."""
        if self.flap is not None and turn % sum(self.flap) >= self.flap[0]:
            return self.healthy()
        if self.fault_share is not None and dice.random() >= self.fault_share:
            return self.healthy()
        return self

    def healthy(self) -> "Reaction":
        """Without its fault; pace and content stay."""
        return Reaction(pace=self.pace, content=self.content)

    def failing(self, fault: Fault, message: str | None = None) -> "Reaction":
        """With this fault instead."""
        return replace(self.healthy(), fault=fault, message=message)
