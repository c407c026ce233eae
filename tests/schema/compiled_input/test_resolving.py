"""Resolvers get the arguments that Strawberry would give them."""

import inspect
from random import Random
from typing import Any

import pytest
import strawberry
from graphql import GraphQLField, GraphQLInputType, GraphQLObjectType, GraphQLSchema
from graphql.pyutils import Undefined
from graphql.utilities.coerce_input_value import coerce_input_value
from strawberry.exceptions import StrawberryInputCoercionError
from strawberry.relay import GlobalID
from strawberry.types.arguments import convert_arguments

from schema.compiled_input.conversion import NotConvertible, compile_conversion
from schema.compiled_input.resolving import compiled_resolve
from schema.root import schema as served
from tests.schema.compiled.nasty import nasty
from tests.schema.compiled.operations import Generator
from tests.schema.compiled_input.test_variables import SERVED_SCALARS

SCHEMAS: dict[str, strawberry.Schema] = {"nasty": nasty, "served": served}


def fields_with_arguments(schema: GraphQLSchema) -> list[GraphQLField]:
    return [
        field
        for type_ in schema.type_map.values()
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__")
        for field in type_.fields.values()
        if field.args
    ]


@pytest.mark.parametrize("name", SCHEMAS)
def test_random_arguments_are_converted_as_strawberry_converts_them(name: str) -> None:
    schema = SCHEMAS[name]
    converter = schema.schema_converter
    generator = Generator(schema._schema, Random(2), SERVED_SCALARS)
    fields = fields_with_arguments(schema._schema)
    assert len(fields) > 10
    for field in fields:
        declared = field.extensions["strawberry-definition"].arguments
        convert = compile_conversion(converter, declared)
        for _ in range(60):
            given = {
                argument: value
                for argument, definition in field.args.items()
                if generator.dice.random() < 0.8
                and (value := coerced(generator, definition.type)) is not Undefined
            }
            expected = convert_arguments(
                given, declared, converter.scalar_registry, converter.config
            )
            assert repr(convert(given)) == repr(expected)


def coerced(generator: Generator, type_: GraphQLInputType) -> Any:
    """A random value as graphql-core gives it to a field; `Undefined` where it refuses it."""
    try:
        return coerce_input_value(generator.value(type_), type_)
    except StrawberryInputCoercionError:  # Of a @oneOf, which graphql-core knows nothing of here.
        return Undefined


def test_a_list_that_is_a_default_is_copied() -> None:
    field = nasty._schema.query_type.fields["given"]  # type: ignore[union-attr]  # there is one
    convert = compile_conversion(
        nasty.schema_converter, field.extensions["strawberry-definition"].arguments
    )
    default = [1, 2]
    convert({"numbers": default})["numbers"].append(3)
    assert default == [1, 2]


@strawberry.type
class Relayed:
    @strawberry.field
    def node(self, which: GlobalID) -> str:
        return str(which)

    @strawberry.field
    def strict(self, number: strawberry.Maybe[int] = None) -> str:
        return str(number)

    @strawberry.field
    async def later(self, number: int = 1) -> int:
        return number


def test_what_strawberry_alone_can_convert_is_left_to_it() -> None:
    relayed = strawberry.Schema(Relayed)
    fields = relayed._schema.query_type.fields  # type: ignore[union-attr]  # there is one
    for name in ("node", "strict"):
        with pytest.raises(NotConvertible):
            compile_conversion(
                relayed.schema_converter, fields[name].extensions["strawberry-definition"].arguments
            )
        assert compiled_resolve(relayed._schema, fields[name]) is None


async def test_an_async_resolver_is_called_without_a_coroutine_around_it() -> None:
    relayed = strawberry.Schema(Relayed)
    field = relayed._schema.query_type.fields["later"]  # type: ignore[union-attr]  # there is one
    resolve = compiled_resolve(relayed._schema, field)
    assert resolve is not None
    info: Any = None
    awaited = resolve(Relayed(), info, {"number": 5})
    assert inspect.iscoroutine(awaited)
    assert awaited.cr_code.co_name == "later"
    assert await awaited == 5


def test_a_field_with_an_extension_is_left_to_strawberry() -> None:
    types = nasty._schema.type_map
    leaf, nest = types["Leaf"].fields, types["Nest"].fields  # type: ignore[attr-defined]  # objects
    assert compiled_resolve(nasty._schema, leaf["loud"]) is None
    assert compiled_resolve(nasty._schema, nest["guarded"]) is None
    assert compiled_resolve(nasty._schema, nest["echo"]) is not None
