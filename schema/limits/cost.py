"""What an operation costs: the fields that answering it resolves at most, from what it asks for.

A field counts 1, one that is loaded 20, and one that has arguments 50: those are questions of
their own to the store. That is what they take of the processor, in fields (measured in
`docs/decisions/limits.md`). What lies below a list counts as often as the list may be long. Fields
under `@skip` and `@include` count by their variables. A field that is written twice counts twice.

A document is worked out once, into a formula in which only what variables say is open; each
fragment is worked out once too.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    Undefined,
    VariableNode,
    Visitor,
    get_named_type,
    get_operation_ast,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    value_from_ast_untyped,
    visit,
)
from strawberry.types.field import StrawberryField

from schema.limits.formula import Constant, Factor, Formula, Variables, times, total
from schema.limits.list_sizes import ArgumentSizes, Scale, Sizes, argument_sizes, list_size

QUESTION = 50
"""What a field with arguments counts itself."""
LOADED = 20
"""What one counts that waits for a batch of loads."""

Bill = Mapping[Scale | None, Formula]
"""What a selection counts: under None once, under a scale as often as a field above will say."""


class OperationCost:
    """The cost of one operation of a valid document, by its variables."""

    def __init__(
        self, schema: GraphQLSchema, document: DocumentNode, operation_name: str | None
    ) -> None:
        operation = get_operation_ast(document, operation_name)
        if operation is None:
            raise ValueError("the document holds no such operation")
        self._defaults = _defaults(operation)
        root = schema.get_root_type(operation.operation)
        if root is None:
            raise ValueError("the schema holds no such operation")
        self._formula = _Pricing(schema, document).operation(operation, root)

    def of(self, variables: Variables | None) -> int:
        """The cost with these variables, as the client sent them."""
        return self._formula.value({**self._defaults, **(variables or {})})


class _Pricing:
    """Works out formulas. The document is valid and within its bounds: no recursion is endless."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = {
            one.name.value: one
            for one in document.definitions
            if isinstance(one, FragmentDefinitionNode)
        }
        self._known: dict[str, Bill] = {}

    def operation(self, operation: OperationDefinitionNode, root: GraphQLNamedType) -> Formula:
        bill = self._selections(operation.selection_set, root)
        # Nobody above says how long these lists are, so no field here can be long.
        return total(bill.values())

    def _selections(self, selection_set: SelectionSetNode, parent: GraphQLNamedType) -> Bill:
        terms: dict[Scale | None, list[Formula]] = {}
        for selection in selection_set.selections:
            for scale, formula in self._selection(selection, parent).items():
                terms.setdefault(scale, []).append(_conditional(selection, formula))
        return {scale: total(formulas) for scale, formulas in terms.items()}

    def _selection(self, selection: SelectionNode, parent: GraphQLNamedType) -> Bill:
        if isinstance(selection, FragmentSpreadNode):
            return self._fragment(selection.name.value)
        if isinstance(selection, InlineFragmentNode):
            condition = selection.type_condition
            inner = self._schema.type_map[condition.name.value] if condition else parent
            return self._selections(selection.selection_set, inner)
        assert isinstance(selection, FieldNode)  # noqa: S101  # there is no fourth kind
        return self._field(selection, parent)

    def _fragment(self, name: str) -> Bill:
        if name not in self._known:
            fragment = self._fragments[name]
            on = self._schema.type_map[fragment.type_condition.name.value]
            self._known[name] = self._selections(fragment.selection_set, on)
        return self._known[name]

    def _field(self, node: FieldNode, parent: GraphQLNamedType) -> Bill:
        field = self._definition(node.name.value, parent)
        if field is None:  # __typename
            return {None: Formula(1)}
        own = _own(field) if not parent.name.startswith("__") else 1
        named = get_named_type(field.type)
        if node.selection_set is None or is_leaf_type(named):
            return {None: Formula(own)}
        bill = self._selections(node.selection_set, named)
        if _is_list(field):
            bill = self._of_list(bill, list_size(self._schema, parent, node.name.value) or 1)
        sizes = argument_sizes(field)
        if sizes is not None:
            bill = _sized(node, sizes, bill)
        return {**bill, None: total([Formula(own), bill.get(None, Formula())])}

    def _of_list(self, bill: Bill, size: Scale | int) -> Bill:
        if isinstance(size, int):
            return {scale: times(Constant(size), formula) for scale, formula in bill.items()}
        # What is below is counted by its own scale already: a series' points all together.
        once = bill.get(None, Formula())
        others: dict[Scale | None, Formula] = {
            scale: formula for scale, formula in bill.items() if scale not in (None, size)
        }
        return {**others, size: total([once, bill.get(size, Formula())])}

    def _definition(self, name: str, parent: GraphQLNamedType) -> GraphQLField | None:
        if not isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
            return None
        return self._schema.get_field(parent, name) if name != "__typename" else None


def _own(field: GraphQLField) -> int:
    if field.args:
        return QUESTION
    definition = field.extensions.get("strawberry-definition")
    return LOADED if isinstance(definition, StrawberryField) and definition.is_async else 1


def _sized(node: FieldNode, sizes: ArgumentSizes, bill: Bill) -> Bill:
    """A field's bill once its arguments have said how long the lists below it are."""

    def read(variables: Variables) -> Sizes:
        return sizes.read(
            {
                argument.name.value: value_from_ast_untyped(argument.value, variables)
                for argument in node.arguments or ()
            }
        )

    constant = None if _holds_variables(node) else read({})
    terms = [bill.get(None, Formula())]
    for scale in sizes.scales:
        formula = bill.get(scale, Formula())
        if scale is Scale.POINTS:
            # A series reads its points, whoever selects them.
            formula = total([formula, Formula(1)])
        factor: Factor = (
            partial(_size, read, scale) if constant is None else Constant(constant.get(scale, 0))
        )
        terms.append(times(factor, formula))
    said = {scale: formula for scale, formula in bill.items() if scale not in sizes.scales}
    return {**said, None: total(terms)}


def _size(read: Callable[[Variables], Sizes], scale: Scale, variables: Variables) -> int:
    return read(variables).get(scale, 0)


def _conditional(selection: SelectionNode, formula: Formula) -> Formula:
    for directive in selection.directives or ():
        if directive.name.value in {"skip", "include"}:
            wanted = directive.name.value == "include"
            for argument in directive.arguments or ():
                formula = times(partial(_included, argument.value, wanted), formula)
    return formula


def _included(condition: Any, wanted: bool, variables: Variables) -> int:  # noqa: FBT001  # partial's
    return int(value_from_ast_untyped(condition, variables) in (wanted, Undefined, None))


def _defaults(operation: OperationDefinitionNode) -> dict[str, Any]:
    return {
        one.variable.name.value: value_from_ast_untyped(one.default_value)
        for one in operation.variable_definitions or ()
        if one.default_value is not None
    }


def _is_list(field: GraphQLField) -> bool:
    kind = field.type.of_type if is_non_null_type(field.type) else field.type
    return bool(is_list_type(kind))


def _holds_variables(node: FieldNode) -> bool:
    found = _VariableFinder()
    for argument in node.arguments or ():
        visit(argument, found)
    return found.found


class _VariableFinder(Visitor):
    found = False

    def enter_variable(self, _node: VariableNode, *_rest: object) -> None:
        self.found = True
