"""Which operations are shared by those who ask for the same: subscriptions to fields that say so.

A field that is not marked by `schema.fields.watching` is executed for each subscriber: its source
may mean to tell each everything from its own beginning.
"""

from functools import lru_cache

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    parse,
)
from strawberry import Schema
from strawberry.types.base import StrawberryObjectDefinition

from schema.fields import SHARED
from schema.limits.bounds import MOST_TOKENS
from server.operation_request import OperationRequest

LONGEST_SHARED = 32_768
"""Characters of a document that is looked at; longer ones are executed for each."""


class Shareable:
    """What of one schema is shared. A document is looked at once."""

    def __init__(self, schema: Schema) -> None:
        found = schema.get_type_by_name("Subscription")
        fields = found.fields if isinstance(found, StrawberryObjectDefinition) else []
        name_of = schema.config.name_converter.from_field
        self._fields = frozenset(name_of(field) for field in fields if field.metadata.get(SHARED))
        self._known = lru_cache(maxsize=256)(self._look)

    def includes(self, operation: OperationRequest) -> bool:
        """Whether this operation is shared. What can't be parsed is not, and is no error here."""
        if not self._fields or len(operation.query) > LONGEST_SHARED:
            return False
        return self._known(operation.query, operation.operation_name)

    def _look(self, query: str, operation_name: str | None) -> bool:
        try:
            document = parse(query, max_tokens=MOST_TOKENS, no_location=True)
        except (GraphQLError, RecursionError):
            return False
        match _asked_for(document, operation_name):
            # A subscription has a single root field; what hides it in a fragment is not looked for.
            case OperationDefinitionNode(
                operation=OperationType.SUBSCRIPTION, selection_set=selections
            ):
                return all(
                    isinstance(one, FieldNode) and one.name.value in self._fields
                    for one in selections.selections
                )
            case _:
                return False


def _asked_for(
    document: DocumentNode, operation_name: str | None
) -> OperationDefinitionNode | None:
    found = [
        one
        for one in document.definitions
        if isinstance(one, OperationDefinitionNode)
        and (operation_name is None or (one.name and one.name.value == operation_name))
    ]
    return found[0] if len(found) == 1 else None
