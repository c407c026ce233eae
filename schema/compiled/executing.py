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

from collections.abc import Awaitable, Iterable
from typing import Any

from graphql import GraphQLObjectType, GraphQLOutputType, GraphQLResolveInfo
from graphql.execution.collect_fields import FieldDetailsList, GroupedFieldSet
from graphql.execution.values import get_argument_values
from graphql.pyutils import Path, Undefined

from schema.compiled.fallback import NeedsStandard
from schema.compiled.gathering import gathered
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
        """Complete a list."""
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
            arguments = (
                get_argument_values(
                    definition, field.nodes[0], self.variable_values, None, self.hide_suggestions
                )
                if field.takes_arguments
                else {}
            )
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


async def _gathered(results: dict[str, Any], awaited: list[str]) -> dict[str, Any]:
    if len(awaited) == 1:
        name = awaited[0]
        results[name] = await results[name]
    else:
        found = await gathered(*(results[name] for name in awaited))
        results.update(zip(awaited, found, strict=True))
    return results
