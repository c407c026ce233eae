"""What a failed attempt is classed as, and so what is tried next."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class FailureClass(StrEnum):
    """The classes of failure, by what may help."""

    TRANSIENT = "TRANSIENT"
    """A fault that may be gone in a moment."""
    RATE_LIMITED = "RATE_LIMITED"
    """The provider asks to wait."""
    TIMEOUT = "TIMEOUT"
    """Nothing came in time."""
    TOO_LONG = "TOO_LONG"
    """The prompt doesn't fit the model."""
    UNAVAILABLE = "UNAVAILABLE"
    """This model, or the whole provider, can't be used as it is configured."""
    REJECTED = "REJECTED"
    """The provider's filter refused the content."""
    INVALID = "INVALID"
    """The request itself is wrong."""


Scope = Literal["step", "model", "provider"]
"""What an UNAVAILABLE is about."""


@dataclass(frozen=True, slots=True)
class AttemptFailure:
    """How an attempt failed.

    `reason` is ours, and fit for logs and callers; `provider_words` are the provider's, for the
    caller of a request that is REJECTED or INVALID. `wait_seconds` is what the provider asked for.
    `scope` says of an UNAVAILABLE what is: this step, its model, or all of its provider.
    """

    failure_class: FailureClass
    status: int | None
    wait_seconds: float | None
    reason: str
    provider_words: str | None = None
    scope: Scope = "step"
