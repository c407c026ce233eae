"""What an error that isn't data looks like to a client: a message, a code, the request's id.

An error that we raised on purpose keeps its text. Anything else is a fault of ours: it is logged
whole, and the client sees that it happened and under which id to find it, nothing more.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog
from graphql import GraphQLError

from db.failing import StoreUnavailable
from db.paging import BadCursor
from resolvers.context import OperationContext, Unauthenticated
from trunkline.access.allowed import Forbidden
from trunkline.errors import BadRequest, RateLimited, TookTooLong

if TYPE_CHECKING:
    from strawberry.types import ExecutionContext

log = structlog.get_logger(__name__)


def present(errors: Sequence[GraphQLError], context: "ExecutionContext | None") -> None:
    """Give each error its code and request id, in place, and hide what is a fault of ours."""
    caller = context.context if context is not None else None
    request_id = caller.request_id if isinstance(caller, OperationContext) else None
    for error in errors:
        if error.extensions and "code" in error.extensions:
            continue
        cause = _cause(error)
        code = _code(error, cause)
        if code == "INTERNAL":
            log.error(
                "operation failed",
                request_id=request_id,
                path=error.path,
                exc_info=cause or error,
            )
            error.message = "Internal error: it was logged under this request id"
            error.original_error = None
        elif isinstance(cause, StoreUnavailable):
            log.warning(
                "store unavailable", request_id=request_id, path=error.path, why=cause.reason
            )
        extensions: dict[str, object] = {"code": code}
        if request_id is not None:
            extensions["requestId"] = request_id
        if isinstance(cause, Forbidden):
            extensions["missingScope"] = cause.missing.value
            extensions["scopes"] = [scope.value for scope in cause.scopes]
        if isinstance(cause, RateLimited):
            extensions["retryAfterSeconds"] = cause.retry_after_seconds
        error.extensions = extensions


def _cause(error: GraphQLError) -> BaseException | None:
    cause = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause


def _code(error: GraphQLError, cause: BaseException | None) -> str:
    match cause:
        case Unauthenticated():
            return "UNAUTHENTICATED"
        case Forbidden():
            return "FORBIDDEN"
        case RateLimited():
            return "RATE_LIMITED"
        case TookTooLong():
            return "TIMEOUT"
        case StoreUnavailable():
            return "UNAVAILABLE"
        case None | BadRequest() | BadCursor():
            # No cause: graphql-core itself refused the document.
            return "BAD_USER_INPUT"
        case ValueError() | TypeError() if error.path is None and error.nodes:
            # A scalar refused a value of the document or of the variables, before anything ran.
            return "BAD_USER_INPUT"
        case _:
            return "INTERNAL"
