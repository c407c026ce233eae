"""Which operation a document asks for, known before anything is executed.

The front door must know: a mutation may not come by GET, a subscription needs a stream, and the log
names the operation. Strawberry would run the first operation of a document that holds several and
names none; by the specification that is an error, and it is raised here.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from graphql import DocumentNode, GraphQLError, OperationDefinitionNode, parse

from schema.limits import MOST_TOKENS

OperationKind = Literal["query", "mutation", "subscription"]

_LONGEST_NAME = 100
# Documents above this are parsed each time: the cache is for what clients send again and again.
_LONGEST_CACHED = 32_768
# Strawberry parses again, further down the stack: what just fits here must fit there too.
_FRAMES_IN_RESERVE = 60


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a document. `name` is shortened for the log."""

    kind: OperationKind
    name: str | None


def chosen_operation(query: str, operation_name: str | None) -> Operation:
    """The operation to execute. Raises `GraphQLError` where it can't be parsed or determined."""
    operations = _cached(query) if len(query) <= _LONGEST_CACHED else _operations(query)
    if not operations:
        raise GraphQLError("the document holds no operation: add a query, mutation or subscription")
    if operation_name is None:
        if len(operations) > 1:
            raise GraphQLError(
                "the document holds several operations: say by `operationName` which to execute"
            )
        return _shortened(*operations[0])
    for kind, name in operations:
        if name == operation_name:
            return _shortened(kind, name)
    raise GraphQLError("the document holds no operation of the name given by `operationName`")


def _operations(query: str) -> tuple[tuple[OperationKind, str | None], ...]:
    try:
        document = _parse(query, _FRAMES_IN_RESERVE)
    except RecursionError as error:
        raise GraphQLError("the document is nested too deeply") from error
    return tuple(
        (definition.operation.value, definition.name.value if definition.name else None)
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode)
    )


_cached = lru_cache(maxsize=256)(_operations)


def _parse(query: str, frames: int) -> DocumentNode:
    if frames:
        return _parse(query, frames - 1)
    return parse(query, max_tokens=MOST_TOKENS)


def _shortened(kind: OperationKind, name: str | None) -> Operation:
    return Operation(kind, name[:_LONGEST_NAME] if name else None)
