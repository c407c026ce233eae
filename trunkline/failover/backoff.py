"""How long to wait before the same step is tried again.

Exponential, from half a second to eight, each drawn evenly from nothing up to that ("full jitter":
those who failed together don't come back together). What a provider asks for counts where we are
ready to wait for as long.
"""

from trunkline.failover.classes import AttemptFailure, FailureClass

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 8.0
LONGEST_WAIT_SECONDS = 5.0
"""Of what a provider asks for. For longer, the next step is better."""


def pause_before_retry(failure: AttemptFailure, retry: int, chance: float) -> float | None:
    """Seconds before retry number `retry`, from 0; None where the next step is to be tried at once.

    `chance` is from 0 to 1.
    """
    if failure.failure_class not in {FailureClass.TRANSIENT, FailureClass.RATE_LIMITED}:
        return None
    asked = failure.wait_seconds
    if asked is not None and asked > LONGEST_WAIT_SECONDS:
        return None
    if asked is not None and failure.failure_class is FailureClass.RATE_LIMITED:
        return max(asked, 0.0)
    backoff = chance * min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(retry, 30))
    return max(backoff, asked or 0.0)
