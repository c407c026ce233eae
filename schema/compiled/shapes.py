"""What of a selection can be compiled: the part that only reads attributes, nothing else.

A shape says what a selection is once fragments, type conditions and `@include`/`@skip` are
resolved. It holds no nodes and no variables, so it outlives the operation.
"""

from collections.abc import Callable
from dataclasses import dataclass

from graphql import (
    GraphQLError,
    GraphQLField,
    GraphQLLeafType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from graphql.execution.collect_fields import CollectedFields, FieldDetailsList
from strawberry.types.field import StrawberryField

from schema.compiled.purity import is_pure

MOST_FIELDS = 5_000
"""Of one selection with all below; what is larger is left to the standard execution."""

READ_BY_US = frozenset({"include", "skip"})
"""The directives whose effect a shape holds. A field with any other is not compiled."""

# Strawberry's own functions for a field: nobody wrapped or replaced them.
_BASIC = "GraphQLCoreConverter.from_resolver.<locals>._get_basic_result"
_RESOLVED = "GraphQLCoreConverter.from_resolver.<locals>._resolver"

Read = str | Callable[[object], object]
"""The attribute's name, or the pure function of the object."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value: a leaf, a list of values, or an object with its selected fields."""

    of: "GraphQLLeafType | Value | Selected"
    nullable: bool


@dataclass(frozen=True, slots=True)
class PlainField:
    """A field that is read from its object. `value` is None for `__typename`, a constant."""

    response_name: str
    read: Read
    value: Value | None


@dataclass(frozen=True, slots=True)
class Selected:
    """An object's fields in the order of the response, each of them plain."""

    type: GraphQLObjectType
    fields: tuple[PlainField, ...]


Collect = Callable[[GraphQLObjectType, FieldDetailsList], CollectedFields]
"""The fields selected of an object, as the executor collects them."""


class Shapes:
    """Finds the shapes in one selection. `None` means that something in it is not plain."""

    def __init__(self, schema: GraphQLSchema, collect: Collect) -> None:
        self._schema = schema
        self._collect = collect
        self._left = MOST_FIELDS

    @property
    def fields(self) -> int:
        """How many fields were looked at."""
        return MOST_FIELDS - max(self._left, 0)

    def value(self, type_: GraphQLOutputType, selections: FieldDetailsList) -> Value | None:
        """The shape of a value of this type."""
        nullable = not is_non_null_type(type_)
        inner = type_ if nullable else type_.of_type  # type: ignore[union-attr]  # seen above
        if is_leaf_type(inner):
            return Value(inner, nullable)
        if is_list_type(inner):
            item = self.value(inner.of_type, selections)
            return None if item is None else Value(item, nullable)
        if is_object_type(inner):
            selected = self.selected(inner, selections)
            return None if selected is None else Value(selected, nullable)
        return None

    def selected(self, type_: GraphQLObjectType, selections: FieldDetailsList) -> Selected | None:
        """The shape of an object of exactly this type."""
        try:
            collected = self._collect(type_, selections)
        except GraphQLError:  # An object may never come here; where one does, the standard says so.
            return None
        if collected.new_defer_usages:
            return None
        fields = []
        for response_name, field_selections in collected.grouped_field_set.items():
            field = self.field(type_, response_name, field_selections)
            if field is None:
                return None
            fields.append(field)
        return Selected(type_, tuple(fields))

    def field(
        self, parent: GraphQLObjectType, response_name: str, selections: FieldDetailsList
    ) -> PlainField | None:
        """The shape of a field with all below it."""
        self._left -= 1
        if self._left < 0 or not self.ordinary(selections):
            return None
        node = selections[0].node
        if node.name.value == "__typename":
            return PlainField(response_name, parent.name, None)
        definition = self._schema.get_field(parent, node.name.value)
        if definition is None or definition.args or node.arguments:
            return None
        read = plain_read(definition)
        value = None if read is None else self.value(definition.type, selections)
        return None if read is None or value is None else PlainField(response_name, read, value)

    @staticmethod
    def ordinary(selections: FieldDetailsList) -> bool:
        """Whether nothing but their shape decides how these are executed."""
        return all(
            details.defer_usage is None
            and details.fragment_variable_values is None
            and all(one.name.value in READ_BY_US for one in details.node.directives or ())
            for details in selections
        )


def plain_read(definition: GraphQLField) -> Read | None:
    """How the field is read, where reading is all that resolving it does."""
    field = definition.extensions.get("strawberry-definition")
    if (
        not isinstance(field, StrawberryField)
        or type(field).get_result is not StrawberryField.get_result
        or field.extensions
    ):
        return None
    resolver = field.base_resolver
    resolve = getattr(definition.resolve, "__qualname__", None)
    if resolver is None:
        is_attribute = resolve == _BASIC and field.default_resolver is getattr
        return field.python_name if is_attribute else None
    reads_parent_alone = (
        resolve == _RESOLVED
        and is_pure(resolver.wrapped_func)
        and len(resolver.signature.parameters) == 1
        and not resolver.is_async
        and resolver.info_parameter is None
        and not field.is_subscription
    )
    read: Read = resolver.wrapped_func  # type: ignore[assignment]  # marked, so it is a function
    return read if reads_parent_alone else None
