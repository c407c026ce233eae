"""Running a document against the schema, for every transport alike."""

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any

from graphql import GraphQLError
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.execution import ExecutionResult, PreExecutionError
from strawberry.types.graphql import OperationType

from resolvers.context import OperationContext
from schema.root import schema
from server.documents import Document

READS = frozenset({OperationType.QUERY})
NOT_LIVE = frozenset({OperationType.QUERY, OperationType.MUTATION})

TOO_DEEP = "the operation is nested too deeply"


class WrongOperation(Exception):
    """The operation may not be run this way; `kind` is the operation's."""

    def __init__(self, kind: OperationType) -> None:
        super().__init__(f"a {kind.value} can't be run this way")
        self.kind = kind


async def execute(
    document: Document, context: OperationContext, allowed: Iterable[OperationType]
) -> ExecutionResult:
    """The one result of a query or mutation. Raises `WrongOperation`."""
    try:
        result: ExecutionResult = await schema.execute(
            document.query,
            variable_values=document.variables,
            context_value=context,
            operation_name=document.operation_name,
            allowed_operation_types=allowed,
        )
    except InvalidOperationTypeError as error:
        raise WrongOperation(error.operation_type) from error
    except (CannotGetOperationTypeError, MissingQueryError):
        return _refused(
            "operationName names no operation of the document"
            if document.operation_name
            else "the document holds several operations: name one in operationName"
        )
    except RecursionError:
        return _refused(TOO_DEEP)
    return result


async def stream(
    document: Document, context: OperationContext
) -> AsyncIterator[ExecutionResult]:
    """The results of any operation: many of a subscription, one of another."""
    try:
        source: Any = await schema.stream(
            document.query,
            variable_values=document.variables,
            context_value=context,
            operation_name=document.operation_name,
        )
        async with aclosing(source):
            async for result in source:
                yield result
    except RecursionError:
        yield _refused(TOO_DEEP)


def is_request_error(result: ExecutionResult) -> bool:
    """Whether nothing was executed: the document or its variables were refused."""
    if isinstance(result, PreExecutionError):
        return True
    return result.data is None and all(error.path is None for error in result.errors or ())


def formatted(result: ExecutionResult) -> dict[str, Any]:
    """The result as the GraphQL specification shapes a response."""
    response: dict[str, Any] = {}
    if result.errors:
        response["errors"] = [error.formatted for error in result.errors]
    if not is_request_error(result):
        response["data"] = result.data
    if result.extensions:
        response["extensions"] = result.extensions
    return response


def _refused(message: str) -> PreExecutionError:
    error = GraphQLError(message, extensions={"code": "BAD_USER_INPUT"})
    return PreExecutionError(data=None, errors=[error])
