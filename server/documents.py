"""Which operation a document asks for, known before anything is executed.

The front door must know: a mutation may not come by GET, a subscription needs a stream, and the log
names the operation. Strawberry would run the first operation of a document that holds several and
names none; by the specification that is an error, and it is raised here.
"""

from dataclasses import dataclass
from typing import Literal

from graphql import GraphQLError, OperationDefinitionNode

from schema.limits.known_document import known_document

OperationKind = Literal["query", "mutation", "subscription"]

_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a document. `name` is shortened for the log."""

    kind: OperationKind
    name: str | None


def chosen_operation(query: str, operation_name: str | None) -> Operation:
    """The operation to execute. Raises `GraphQLError` where it can't be parsed or determined."""
    return _operation(chosen_definition(query, operation_name))


def chosen_definition(query: str, operation_name: str | None) -> OperationDefinitionNode:
    """The same as it is written in the document. Raises the same."""
    operations = [
        definition
        for definition in known_document(query).document.definitions
        if isinstance(definition, OperationDefinitionNode)
    ]
    if not operations:
        raise GraphQLError("the document holds no operation: add a query, mutation or subscription")
    if operation_name is None:
        if len(operations) > 1:
            raise GraphQLError(
                "the document holds several operations: say by `operationName` which to execute"
            )
        return operations[0]
    for definition in operations:
        if definition.name is not None and definition.name.value == operation_name:
            return definition
    raise GraphQLError("the document holds no operation of the name given by `operationName`")


def _operation(definition: OperationDefinitionNode) -> Operation:
    name = definition.name.value[:_LONGEST_NAME] if definition.name else None
    return Operation(definition.operation.value, name)
