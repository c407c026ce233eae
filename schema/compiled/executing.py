"""Execution of operations by generated code, inside Strawberry's executor.

    class Executor(CompiledExecution, StrawberryGraphQLCoreExecutionContext): ...

    schema = strawberry.Schema(Query, execution_context_class=Executor, extensions=[ParserCache])

What a client gets is the same as without: data, order, errors and their paths. Fields that only
read an attribute are read by code that is generated once for a selection of a document and kept
with it; so is what graphql-core looks up anew for each field. Fields with a resolver run as they
always do. Where generated code meets an error, a null that may not be, or anything rare, it gives
up on that value before anything happened, and graphql-core completes it from the start.

So three things must hold for the schema that it is used with:

- reading an attribute of an object, or calling a resolver marked `pure`, has no effect;
- `is_type_of` of a type has none either, and awaits nothing (it may look at `info`: then it runs
  the standard way);
- the parser gives the same document for the same text, as `ParserCache` does; otherwise all is
  correct, and nothing is gained.

Built on what graphql-core 3.3 calls private; the tests run random operations both ways.
"""

from collections.abc import Awaitable, Iterable, Sequence
from enum import Enum
from typing import Any

from graphql import GraphQLObjectType, GraphQLOutputType, GraphQLResolveInfo
from graphql.execution.collect_fields import FieldDetailsList, GroupedFieldSet
from graphql.execution.values import get_argument_values
from graphql.pyutils import Path, Undefined

from schema.compiled.fallback import UNCHANGING, NeedsStandard
from schema.compiled.gathering import gathered
from schema.compiled.plans import FieldPlan, ItemsPlan
from schema.compiled.prepared_execution import PreparedExecution


class CompiledExecution(PreparedExecution):
    """Mix it in before Strawberry's executor."""

    def complete_object_value(
        self,
        return_type: GraphQLObjectType,
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        """Complete an object."""
        plan = self._plan
        if plan is not None:
            try:
                complete = plan.values[return_type, id(field_details_list)]
            except KeyError:
                complete = plan.plan_value(return_type, field_details_list, self.collect_subfields)
            if complete is not None:
                try:
                    return complete(result)
                except (Exception, NeedsStandard):  # noqa: BLE001, S110  # graphql-core meets it too
                    pass
        return super().complete_object_value(
            return_type, field_details_list, info, path, result, position_context
        )

    def complete_iterable_value(
        self,
        item_type: GraphQLOutputType,
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        items: Iterable[Any],
        position_context: Any,
    ) -> Any:
        """Complete a list. Its items are of objects that are read first, all of them, and then
        resolved, where not all is plain.
        """
        plan = self._plan
        if plan is not None and type(items) in plan.list_types:
            try:
                complete = plan.lists[id(field_details_list), item_type]
            except KeyError:
                complete = plan.plan_list(item_type, field_details_list, self.collect_subfields)
            if complete is not None:
                try:
                    return complete(items)
                except (Exception, NeedsStandard):  # noqa: BLE001, S110  # graphql-core meets it too
                    pass
            elif position_context is None:
                try:
                    each = plan.items[id(field_details_list), item_type]
                except KeyError:
                    each = plan.plan_items(item_type, field_details_list, self.collect_subfields)
                read = None if each is None else _read(each, items)
                if each is not None and read is not None:
                    return self._resolve_items(each, item_type, field_details_list, path, read)
        return super().complete_iterable_value(
            item_type, field_details_list, info, path, items, position_context
        )

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: GroupedFieldSet,
        position_context: Any,
    ) -> Any:
        """Execute the fields of an object: first those that are read, then those that are resolved.

        Nothing is resolved before all is read, so where reading fails nothing has happened yet.
        """
        plan = self._plan
        if plan is not None:
            planned = plan.objects.get(id(grouped_field_set)) or plan.plan_object(
                parent_type, grouped_field_set, self.collect_subfields
            )
            try:
                results = planned.read(source_value)
            except (Exception, NeedsStandard):  # noqa: BLE001, S110  # graphql-core meets it too
                pass
            else:
                return self._resolve_fields(
                    parent_type, source_value, path, results, planned.resolved
                )
        return super().execute_fields(
            parent_type, source_value, path, grouped_field_set, position_context
        )

    def _resolve_fields(
        self,
        parent_type: GraphQLObjectType,
        source: Any,
        path: Path | None,
        results: dict[str, Any],
        resolved: list[tuple[str, FieldDetailsList]],
    ) -> Any:
        is_awaitable = self.is_awaitable
        awaited: list[str] = []
        try:
            for name, selections in resolved:
                result = self.execute_field(
                    parent_type, source, selections, Path(path, name, parent_type.name), None
                )
                if result is Undefined:
                    del results[name]
                    continue
                results[name] = result
                if is_awaitable(result):
                    awaited.append(name)
        except Exception:  # Whatever a field raises goes on, once the others are looked after.
            if awaited:
                self.settle_in_background([results[name] for name in awaited])
            raise
        return _gathered(results, awaited) if awaited else results

    def _resolve_items(
        self,
        each: ItemsPlan,
        item_type: GraphQLOutputType,
        field_details_list: FieldDetailsList,
        path: Path,
        read: list[tuple[Any, dict[str, Any]]],
    ) -> Any:
        results: list[Any] = []
        awaited: list[int] = []
        try:
            for index, (item, plain) in enumerate(read):
                item_path = path.add_key(index, None)
                try:
                    completed = self._resolve_fields(
                        each.type, item, item_path, plain, each.fields.resolved
                    )
                except Exception as error:  # noqa: BLE001  # it becomes an error of the item
                    self.handle_field_error(error, item_type, field_details_list, item_path)
                    completed = None
                else:
                    if completed is not plain:
                        awaited.append(index)
                        completed = self._completed(
                            completed, item_type, field_details_list, item_path
                        )
                results.append(completed)
        except Exception:  # Of an item that must not be null, once the others are looked after.
            if awaited:
                self.settle_in_background([results[index] for index in awaited])
            raise
        return _gathered(results, awaited) if awaited else results

    def execute_field(
        self,
        parent_type: GraphQLObjectType,
        source: Any,
        field_details_list: FieldDetailsList,
        path: Path,
        position_context: Any,
    ) -> Any:
        """Resolve a field and complete its value."""
        plan = self._plan
        if plan is None:
            return super().execute_field(
                parent_type, source, field_details_list, path, position_context
            )
        field = plan.fields.get(id(field_details_list)) or plan.plan_field(
            parent_type, field_details_list
        )
        if field is None:
            return Undefined
        definition = field.definition
        info = self.build_resolve_info(definition, field.nodes, parent_type, path)
        try:
            arguments = self._arguments_of(field, field_details_list)
            if field.resolve is not None:
                result = field.resolve(source, info, arguments)
            else:
                resolve = definition.resolve or self.field_resolver
                result = resolve(source, info, **arguments)
            if self.is_awaitable(result):
                return self.complete_awaitable_value(
                    field.type, field_details_list, info, path, result, position_context
                )
            completed = self.complete_value(
                field.type, field_details_list, info, path, result, position_context
            )
        except Exception as error:  # noqa: BLE001  # it becomes an error of the field
            self.handle_field_error(error, field.type, field_details_list, path)
            return None
        if self.is_awaitable(completed):
            return self._completed(completed, field.type, field_details_list, path)
        return completed

    def _arguments_of(
        self, field: FieldPlan, field_details_list: FieldDetailsList
    ) -> dict[str, Any]:
        if not field.takes_arguments:
            return {}
        # The same for each object of a list.
        known = self._arguments.get(id(field_details_list))
        if known is None:
            known = get_argument_values(
                field.definition, field.nodes[0], self.variable_values, None, self.hide_suggestions
            )
            if all(
                type(value) in UNCHANGING or isinstance(value, Enum) for value in known.values()
            ):
                self._arguments[id(field_details_list)] = known
        return known

    async def _completed(
        self,
        completed: Awaitable[Any],
        return_type: GraphQLOutputType,
        field_details_list: FieldDetailsList,
        path: Path,
    ) -> Any:
        try:
            return await completed
        except Exception as error:  # noqa: BLE001  # it becomes an error of the field
            self.handle_field_error(error, return_type, field_details_list, path)
            return None


def _read(each: ItemsPlan, items: Iterable[Any]) -> list[tuple[Any, dict[str, Any]]] | None:
    """Each item with its plain fields; None where the standard must complete the list."""
    check, read = each.check, each.fields.read
    found = []
    try:
        for item in items:
            check(item)
            found.append((item, read(item)))
    except (Exception, NeedsStandard):  # noqa: BLE001  # graphql-core meets it too
        return None
    return found


async def _gathered(results: Any, awaited: Sequence[Any]) -> Any:
    """The same dictionary or list, with what was awaited in these places."""
    if len(awaited) == 1:
        place = awaited[0]
        results[place] = await results[place]
    else:
        found = await gathered(*(results[place] for place in awaited))
        for place, value in zip(awaited, found, strict=True):
            results[place] = value
    return results
