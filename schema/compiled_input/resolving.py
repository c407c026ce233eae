"""Calling a field's resolver with generated code for its arguments, and nothing in between."""

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any

from graphql import GraphQLField, GraphQLResolveInfo, GraphQLSchema
from strawberry import Info
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver

from schema.compiled_input.conversion import Convert, NotConvertible, compile_conversion

Resolve = Callable[[Any, GraphQLResolveInfo[Any], dict[str, Any]], Any]
"""From the source, the info and the coerced arguments to the value, or to what it is awaited from.

It gives, raises and awaits what Strawberry's own resolver of the field would.
"""

# Strawberry's own functions for a field: nobody wrapped or replaced them.
_PLAIN = "GraphQLCoreConverter.from_resolver.<locals>._resolver"
_ASYNC = "GraphQLCoreConverter.from_resolver.<locals>._async_resolver"


def compiled_resolve(schema: GraphQLSchema, definition: GraphQLField) -> Resolve | None:
    """The function that resolves the field; None where Strawberry does more than call it."""
    field = definition.extensions.get("strawberry-definition")
    served_by = getattr(schema, "_strawberry_schema", None)
    if (
        not isinstance(field, StrawberryField)
        or type(field).get_result is not StrawberryField.get_result
        or field.extensions
        or served_by is None
        or served_by.exception_handlers
        or served_by.config.info_class is not Info
    ):
        return None
    resolver = field.base_resolver
    resolve = getattr(definition.resolve, "__qualname__", None)
    # An async generator is listed, which is Strawberry's to begin.
    expected = (
        _ASYNC if resolver is not None and iscoroutinefunction(resolver.wrapped_func) else _PLAIN
    )
    if resolver is None or resolve != expected or not callable(resolver.wrapped_func):
        return None
    try:
        convert = compile_conversion(served_by.schema_converter, field.arguments)
    except NotConvertible:
        return None
    return _caller(definition, field, resolver, convert)


def _caller(
    definition: GraphQLField,
    field: StrawberryField,
    resolver: StrawberryResolver[Any],
    convert: Convert,
) -> Resolve:
    function = resolver.wrapped_func
    standard = definition.resolve
    takes_arguments = bool(field.arguments)
    takes_self = resolver.self_parameter is not None
    parents = [
        parameter.name
        for parameter in (resolver.parent_parameter, resolver.root_parameter)
        if parameter is not None
    ]
    info_name = resolver.info_parameter.name if resolver.info_parameter is not None else None

    def resolve(source: Any, info: GraphQLResolveInfo[Any], arguments: dict[str, Any]) -> Any:
        if takes_arguments:
            try:
                keywords = convert(arguments)
            except Exception:  # noqa: BLE001  # Strawberry meets it again, and tells it its own way
                return standard(source, info, **arguments)  # type: ignore[misc]  # it is theirs
        else:
            keywords = {}
        for name in parents:
            keywords[name] = source
        if info_name is not None:
            keywords[info_name] = Info(_raw_info=info, _field=field)
        return function(source, **keywords) if takes_self else function(**keywords)  # type: ignore[operator]  # seen to be callable

    return resolve
