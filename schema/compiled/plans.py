"""What is known of one selection and kept for the next time that it is executed."""

from collections.abc import Callable
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    is_non_null_type,
    is_object_type,
)
from graphql.execution.collect_fields import (
    CollectedFields,
    FieldDetailsList,
    GroupedFieldSet,
)
from graphql.language import FieldNode

from schema.compiled.fallback import LISTS, NO_INFO, NeedsStandard, known_classes, require_object
from schema.compiled.promises import Promises
from schema.compiled.shapes import Collect, Shapes
from schema.compiled.source import Complete, compile_fields, compile_value
from schema.compiled_input.resolving import Resolve, compiled_resolve


class FieldPlan:
    """A field that is resolved by a call, with what the executor looks up for it each time."""

    __slots__ = ("definition", "nodes", "resolve", "takes_arguments", "type")

    def __init__(
        self, definition: GraphQLField, nodes: list[FieldNode], resolve: Resolve | None
    ) -> None:
        self.definition = definition
        self.type: GraphQLOutputType = definition.type
        self.nodes = nodes
        self.resolve = resolve
        self.takes_arguments = bool(definition.args or nodes[0].arguments)


class ObjectPlan:
    """The fields selected of an object: `read` gives the plain ones, and a place to the others."""

    __slots__ = ("read", "resolved")

    def __init__(self, read: Complete, resolved: list[tuple[str, FieldDetailsList]]) -> None:
        self.read = read
        self.resolved = resolved


class ItemsPlan:
    """A list of objects of one type, of which not all fields are plain. `check` raises for an item
    that must be left to the standard execution.
    """

    __slots__ = ("check", "fields", "type")

    def __init__(self, type_: GraphQLObjectType, fields: ObjectPlan) -> None:
        self.type = type_
        self.fields = fields
        self.check = _check(type_)


class Planned:
    """How many fields there is generated code for, since all of it was last forgotten."""

    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields = 0


class Plan:
    """One operation with one choice of `@include` and `@skip`, for as long as it is cached.

    The executor's own memo of collected fields is part of it, and keeps alive the lists by whose
    identity everything else here is found. What is None was tried, and is the standard's.
    """

    def __init__(self, schema: GraphQLSchema, promises: Promises, planned: Planned) -> None:
        self.root: GroupedFieldSet | None = None
        self.collected: dict[
            tuple[GraphQLObjectType, int], tuple[FieldDetailsList, CollectedFields]
        ] = {}
        self.fields: dict[int, FieldPlan | None] = {}
        self.objects: dict[int, ObjectPlan] = {}
        self.values: dict[tuple[GraphQLObjectType, int], Complete | None] = {}
        self.lists: dict[tuple[int, GraphQLOutputType], Complete | None] = {}
        self.items: dict[tuple[int, GraphQLOutputType], ItemsPlan | None] = {}
        self._schema = schema
        self.list_types = LISTS | promises.by_column.keys()
        self._promises = promises
        self._planned = planned

    def plan_field(
        self, parent: GraphQLObjectType, selections: FieldDetailsList
    ) -> FieldPlan | None:
        """How the field is resolved; None where the schema has no such field."""
        nodes = [details.node for details in selections]
        definition = self._schema.get_field(parent, nodes[0].name.value)
        planned = (
            None
            if definition is None
            else FieldPlan(definition, nodes, compiled_resolve(self._schema, definition))
        )
        self.fields[id(selections)] = planned
        return planned

    def plan_object(
        self, parent: GraphQLObjectType, grouped: GroupedFieldSet, collect: Collect
    ) -> ObjectPlan:
        """Which of the fields are plain, and the code that reads them."""
        shapes = Shapes(self._schema, collect)
        fields = [
            (name, shapes.field(parent, name, selections)) for name, selections in grouped.items()
        ]
        self._planned.fields += shapes.fields
        planned = ObjectPlan(
            compile_fields(fields, self._promises),
            [(name, grouped[name]) for name, field in fields if field is None],
        )
        self.objects[id(grouped)] = planned
        return planned

    def plan_value(
        self, type_: GraphQLObjectType, selections: FieldDetailsList, collect: Collect
    ) -> Complete | None:
        """The code that completes an object of this type with all below it."""
        complete = self._compiled(GraphQLNonNull(type_), selections, collect)
        self.values[type_, id(selections)] = complete
        return complete

    def plan_list(
        self, item_type: GraphQLOutputType, selections: FieldDetailsList, collect: Collect
    ) -> Complete | None:
        """The code that completes a list of these items."""
        list_type = GraphQLNonNull(GraphQLList(item_type))
        complete = self._compiled(list_type, selections, collect)
        self.lists[id(selections), item_type] = complete
        return complete

    def plan_items(
        self, item_type: GraphQLOutputType, selections: FieldDetailsList, collect: Collect
    ) -> ItemsPlan | None:
        """How the objects of a list are completed one by one."""
        planned = None
        type_ = item_type.of_type if is_non_null_type(item_type) else item_type
        if is_object_type(type_) and Shapes.ordinary(selections):
            planned = self._items(type_, selections, collect)
        self.items[id(selections), item_type] = planned
        return planned

    def _items(
        self, type_: GraphQLObjectType, selections: FieldDetailsList, collect: Collect
    ) -> ItemsPlan | None:
        try:
            collected = collect(type_, selections)
        except GraphQLError:
            return None
        if collected.new_defer_usages:
            return None
        grouped = collected.grouped_field_set
        fields = self.objects.get(id(grouped)) or self.plan_object(type_, grouped, collect)
        return ItemsPlan(type_, fields)

    def _compiled(
        self, type_: GraphQLOutputType, selections: FieldDetailsList, collect: Collect
    ) -> Complete | None:
        if not Shapes.ordinary(selections):
            return None
        try:
            shapes = Shapes(self._schema, collect)
            value = shapes.value(type_, selections)
            if value is None:
                return None
            self._planned.fields += shapes.fields
            return compile_value(value, self._promises)
        except RecursionError:
            return None


def _check(type_: GraphQLObjectType) -> Callable[[Any], None]:
    known = known_classes()
    is_type_of = type_.is_type_of

    def check(item: Any) -> None:
        if type(item) not in known:
            require_object(item)
        if is_type_of is not None and is_type_of(item, NO_INFO) is not True:  # type: ignore[arg-type]  # whoever looks at it gives up
            raise NeedsStandard

    return check
