"""How a request that got no answer is told so: every error of the gateway as its caller sees it."""

from dataclasses import dataclass

from db.failing import StoreUnavailable
from trunkline.errors import Refused, TrunklineError
from trunkline.failover.attempts import Skipped
from trunkline.failover.classes import FailureClass
from trunkline.failover.outcomes import ChainExhausted, RequestRefused, RunFailed
from trunkline.gateway.budgets import BudgetExhausted
from trunkline.gateway.opening import UnknownModel
from trunkline.gateway.protocols import BadRequestBody, CallerError, CannotSay

_CODES = {
    400: "unsupported",
    429: "rate_limited",
    502: "chain_exhausted",
    503: "unavailable",
    504: "timeout",
}


@dataclass(frozen=True, slots=True)
class Decline:
    """What to say, and after how many seconds it may be worth to come back, where that is known."""

    error: CallerError
    retry_after: float | None = None
    elsewhere: bool = False
    """Whether another server may well answer: SDKs may run it again by themselves."""


STOPPING = Decline(
    CallerError(status=503, message="the server is stopping: try again", code="unavailable"),
    retry_after=1.0,
    elsewhere=True,
)
"""Said of what comes, or isn't done, when the server stops."""


def decline(
    error: TrunklineError | StoreUnavailable, cause: CannotSay | BadRequestBody | None = None
) -> Decline | None:
    """What to say of this error; None where it is none of the gateway's. `cause` is why the last
    model that could not do what was asked for can't.
    """
    match error:
        case BadRequestBody():
            return Decline(
                CallerError(
                    status=400, message=str(error), code="invalid_request", param=error.param
                )
            )
        case UnknownModel():
            return Decline(
                CallerError(status=404, message=str(error), code="model_not_found", param="model")
            )
        case BudgetExhausted():
            return Decline(
                CallerError(status=429, message=str(error), code="budget_exhausted"),
                error.retry_after,
            )
        case StoreUnavailable():
            return Decline(
                CallerError(status=503, message=str(error), code="unavailable"), retry_after=1.0
            )
        case Refused():
            return Decline(CallerError(status=400, message=str(error), code="too_many_agents"))
        case ChainExhausted():
            return _exhausted(error, cause)
        case RequestRefused():
            rejected = error.failure.failure_class is FailureClass.REJECTED
            return Decline(
                CallerError(
                    status=error.status,
                    message=str(error),
                    code="content_filter" if rejected else "invalid_request",
                )
            )
        case RunFailed():
            return Decline(
                CallerError(status=error.status, message=str(error), code=_CODES.get(error.status)),
                error.retry_after,
            )
        case _:
            return None


def _exhausted(error: ChainExhausted, cause: CannotSay | BadRequestBody | None) -> Decline:
    outcomes = {one.outcome for one in error.attempts}
    code = _CODES.get(error.status)
    message = str(error)
    param = None
    if outcomes == {Skipped.OVER_BUDGET}:
        code = "budget_exhausted"
    elif outcomes == {FailureClass.TOO_LONG}:
        code = "context_length_exceeded"
    elif outcomes == {Skipped.UNSUPPORTED}:
        reasons = {one.reason for one in error.attempts}
        if len(reasons) == 1:
            # All say the same, and it is about the request: no list is needed.
            message = reasons.pop()
        if isinstance(cause, BadRequestBody):
            code, param = "invalid_request", cause.param
    return Decline(
        CallerError(status=error.status, message=message, code=code, param=param),
        error.retry_after,
    )
