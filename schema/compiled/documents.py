"""Documents that were executed before: what stays the same from one execution to the next."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    VariableNode,
)
from graphql.execution.collect_fields import FragmentDetails
from graphql.execution.values import VariableValues
from graphql.pyutils import Undefined

from schema.compiled.plans import Plan, Planned
from schema.compiled.promises import Promises
from schema.compiled.shapes import READ_BY_US
from schema.compiled_input.variables import VariableReader

MOST_DOCUMENTS = 256
MOST_LONG = 4
"""Of documents whose text is longer than `LONGEST_OF_MANY` characters."""
LONGEST_OF_MANY = 16_384
MOST_PLANS = 16
"""Of one document: one for each choice that its `@include` and `@skip` were asked for."""
MOST_PLANNED = 100_000
"""Fields with generated code, of all documents together: each takes about a kilobyte."""


class PreparedDocument:
    """One operation of a document, ready to be executed again.

    `usable` is False where plans can't be shared: with `@defer`, `@stream` and variables of
    fragments. Such an operation is executed the standard way.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        planned: Planned,
    ) -> None:
        self.schema = schema
        self.document = document
        self.operation = operation
        self.fragment_definitions: dict[str, FragmentDefinitionNode] = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self.fragments = {
            name: FragmentDetails(definition, None)
            for name, definition in self.fragment_definitions.items()
        }
        self.read_variables = VariableReader(schema, operation)
        directives = list(self._directives())
        self.usable = not any(
            one.variable_definitions for one in self.fragment_definitions.values()
        ) and all(one.name.value not in {"defer", "stream"} for one in directives)
        self._deciding = sorted(
            {
                argument.value.name.value
                for directive in directives
                if directive.name.value in READ_BY_US
                for argument in directive.arguments or ()
                if isinstance(argument.value, VariableNode)
            }
        )
        self._plans: dict[tuple[Any, ...], Plan] = {}
        self._planned = planned

    def plan(self, variables: VariableValues, promises: Promises) -> Plan | None:
        """The plan for these variables; None where there would be too many."""
        choice = tuple(variables.coerced.get(name, Undefined) for name in self._deciding)
        # Booleans and null, else the document was not validated: 1 and True are one key.
        if not all(
            one is None or one is Undefined or one is True or one is False for one in choice
        ):
            return None
        plan = self._plans.get(choice)
        if plan is None and len(self._plans) < MOST_PLANS and self._planned.fields <= MOST_PLANNED:
            plan = self._plans[choice] = Plan(self.schema, promises, self._planned)
        return plan

    def _directives(self) -> Iterator[DirectiveNode]:
        waiting: list[SelectionNode] = [
            *self.operation.selection_set.selections,
            *(
                selection
                for fragment in self.fragment_definitions.values()
                for selection in fragment.selection_set.selections
            ),
        ]
        while waiting:
            node = waiting.pop()
            yield from node.directives or ()
            if isinstance(node, FieldNode | InlineFragmentNode) and node.selection_set is not None:
                waiting += node.selection_set.selections


_Kept = OrderedDict[tuple[int, int, str | None], PreparedDocument]


class PreparedDocuments:
    """The documents last executed, found by identity: a parser that caches gives the same again.

    Of long ones a few: what is prepared holds its document, which takes up to some seventy times
    its text's length in memory.
    """

    def __init__(self, most: int = MOST_DOCUMENTS) -> None:
        self._most = most
        self._prepared: _Kept = OrderedDict()
        self._long: _Kept = OrderedDict()
        self._planned = Planned()

    def prepared(
        self, schema: GraphQLSchema, document: DocumentNode, operation_name: str | None
    ) -> PreparedDocument | None:
        """The operation to execute; None where the name tells none, or more than one."""
        # Both are held by what is found, so neither identity can have become another's.
        key = (id(schema), id(document), operation_name)
        found = self._prepared.get(key)
        if found is not None:
            self._prepared.move_to_end(key)
            return found
        found = self._long.get(key)
        if found is not None:
            self._long.move_to_end(key)
            return found
        operation = _chosen(document, operation_name)
        if operation is None:
            return None
        if self._planned.fields > MOST_PLANNED:
            # What is asked for again is planned again, in milliseconds.
            self._prepared.clear()
            self._long.clear()
            self._planned = Planned()
        found = PreparedDocument(schema, document, operation, self._planned)
        kept, most = (self._long, MOST_LONG) if _is_long(document) else (self._prepared, self._most)
        kept[key] = found
        if len(kept) > most:
            kept.popitem(last=False)
        return found


def _is_long(document: DocumentNode) -> bool:
    return document.loc is not None and document.loc.end > LONGEST_OF_MANY


def _chosen(document: DocumentNode, name: str | None) -> OperationDefinitionNode | None:
    operations = [
        definition
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode)
        and (name is None or (definition.name is not None and definition.name.value == name))
    ]
    return operations[0] if len(operations) == 1 else None
