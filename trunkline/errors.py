"""What can go wrong that a caller can put right.

`Refused` carries every problem at once; the operation that raised it changed nothing. `schema/`
turns it into `userErrors`. Anything else that escapes the work is a fault of ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class ProblemCode(StrEnum):
    """The kinds of problem, as the API names them."""

    INVALID = "INVALID"
    TAKEN = "TAKEN"
    NOT_FOUND = "NOT_FOUND"
    VERSION_CONFLICT = "VERSION_CONFLICT"
    DUPLICATE = "DUPLICATE"
    KEY_REUSED = "KEY_REUSED"
    IN_USE = "IN_USE"
    TOO_FEW = "TOO_FEW"
    TOO_MANY = "TOO_MANY"
    UPSTREAM_FAILED = "UPSTREAM_FAILED"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to put right.

    `field` is the path to the input field in the API's names, such as `("steps", "1", "modelId")`,
    or None where the problem is about the whole.
    """

    code: ProblemCode
    field: tuple[str, ...] | None
    message: str


class TrunklineError(Exception):
    """The root of the errors that the work raises on purpose."""


class Refused(TrunklineError):
    """The operation changed nothing, and these are all the reasons.

    `current` is the object that stands, where there is one (a row of `db/`); `used_by` are the
    failover chains that keep the object from being deleted; `detail` is a connection test that
    says why an upstream failed.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        *,
        current: object | None = None,
        used_by: Sequence[object] = (),
        detail: object | None = None,
    ) -> None:
        if not problems:
            raise ValueError("a refusal names at least one problem")
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = tuple(problems)
        self.current = current
        self.used_by = tuple(used_by)
        self.detail = detail


class BadRequest(TrunklineError):
    """A read that was asked for in a way that can't be answered; the message says what to do."""


class RateLimited(TrunklineError):
    """The server takes no more just now. `retry_after_seconds` says when to come back."""

    def __init__(self, message: str, *, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class TookTooLong(TrunklineError):
    """It was ended before it was done. The message says what was done of it, and what to do."""
