"""How a run of a chain ends for its caller where it ends without an answer."""

from collections.abc import Sequence

from trunkline.errors import TrunklineError
from trunkline.failover.attempts import AttemptRecord, Skipped
from trunkline.failover.classes import AttemptFailure, FailureClass


class RunFailed(TrunklineError):
    """There is no answer. `status` is what HTTP says of it, `retry_after` seconds where known."""

    status = 502
    retry_after: float | None = None


class ChainExhausted(RunFailed):
    """Every step failed or was skipped; the message has a line for each attempt."""

    def __init__(
        self, attempts: Sequence[AttemptRecord], *, status: int, retry_after: float | None
    ) -> None:
        self.attempts = tuple(attempts)
        self.status = status
        self.retry_after = retry_after
        lines = [
            f"{number}. {one.step.label}: {one.outcome}"
            + (f", status {one.status}" if one.status is not None else "")
            + (f", {one.milliseconds:.0f} ms" if one.was_sent else "")
            + (f": {one.reason}" if one.reason else "")
            for number, one in enumerate(attempts, 1)
        ]
        super().__init__("\n".join(["every step failed:", *lines]))


class RequestRefused(RunFailed):
    """The provider refused the request itself, or its content: no other step would take it."""

    def __init__(self, failure: AttemptFailure) -> None:
        super().__init__(failure.provider_words or failure.reason)
        self.failure = failure
        self.status = failure.status or 400


class AnswerCut(RunFailed):
    """The answer broke off when the caller had a part of it. It is never ended as if it were whole,
    nor gone on with in another model's words.
    """

    def __init__(self, failure: AttemptFailure) -> None:
        super().__init__(f"the answer broke off: {failure.reason}")
        self.failure = failure


class TooMuchHeld(RunFailed):
    """An answer that is held back until it is whole would take more memory than there is for it."""

    status = 503

    def __init__(self, *, alone: bool) -> None:
        super().__init__(
            "the answer is larger than 8 MiB, the most that is held back: use a chain that streams"
            if alone
            else "too many answers are held back just now: try again in a moment"
        )
        self.retry_after = None if alone else 1.0


def exhausted(
    attempts: Sequence[AttemptRecord], *, retry_after: float | None, rate_limited: bool
) -> ChainExhausted:
    """The end of a run whose steps all failed, with the status that says the most of it.

    429 where all were rate-limited, 504 where all timed out, 400 where the prompt fits none, 502
    otherwise. Where nothing was sent as all circuits are open, 429 or 503, by what opened them; 429
    too where providers are busy or budgets block, and 400 where no step can do what is asked for.
    """
    kinds = {one.outcome for one in attempts if one.was_sent}
    skipped = {one.outcome for one in attempts if not one.was_sent}
    status = 502
    if not kinds and Skipped.OPEN in skipped:
        status = 429 if rate_limited else 503
    elif not kinds and skipped & {Skipped.BUSY, Skipped.OVER_BUDGET}:
        status = 429
    elif not kinds and Skipped.UNSUPPORTED in skipped:
        status = 400
    elif kinds == {FailureClass.RATE_LIMITED}:
        status = 429
    elif kinds == {FailureClass.TIMEOUT}:
        status = 504
    elif kinds == {FailureClass.TOO_LONG}:
        status = 400
    return ChainExhausted(attempts, status=status, retry_after=retry_after)
