"""Variables are read by generated code as graphql-core reads them, or left to it."""

from random import Random
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLSchema,
    OperationDefinitionNode,
    parse,
)
from graphql.execution.values import VariableValues, get_variable_values

from schema.compiled_input.variables import VariableReader
from schema.root import schema as served
from tests.schema.compiled.differential import NASTY_SCALARS
from tests.schema.compiled.nasty import nasty
from tests.schema.compiled.operations import WRONG, Generator

EVENTS = """mutation ($events: [UsageEventInput!]!) {
  recordUsage(input: { events: $events }) { recorded } }"""
EVENT = {"idempotencyKey": "k", "providerSlug": "p", "modelName": "m"}


def operation(text: str) -> OperationDefinitionNode:
    found = parse(text).definitions[0]
    assert isinstance(found, OperationDefinitionNode)
    return found


def input_types(schema: GraphQLSchema) -> list[GraphQLInputType]:
    """Each type that a variable may have, bare and wrapped."""
    wrapped: list[GraphQLInputType] = []
    for one in schema.type_map.values():
        if isinstance(one, GraphQLScalarType | GraphQLEnumType | GraphQLInputObjectType):
            wrapped += [one, GraphQLNonNull(one), GraphQLList(GraphQLNonNull(one))]
    return wrapped


SERVED_SCALARS = NASTY_SCALARS | {
    "Decimal": lambda dice: dice.choice(["1", "0.25", "1e5", 5]),
    "SafeInt": lambda dice: dice.choice([0, 5, 2**53, 2**53 - 1]),
}
SCHEMAS = {"nasty": nasty._schema, "served": served._schema}


@pytest.mark.parametrize("name", SCHEMAS)
def test_random_values_are_read_as_graphql_core_reads_them(name: str) -> None:
    schema, dice = SCHEMAS[name], Random(1)
    generator = Generator(schema, dice, SERVED_SCALARS)
    read = 0
    for type_ in input_types(schema):
        for default in (
            "",
            f" = {generator._literal(type_, generator.value(type_), constant=True)}",
        ):
            node = operation(f"query ($v: {type_}{default}) {{ __typename }}")
            reader = VariableReader(schema, node)
            for wrong in [0.0, 0.4] * 25:
                given = {"v": generator.value(type_, wrong)} if dice.random() < 0.9 else {}
                read += compare(schema, node, reader, given)
            for one in WRONG:
                read += compare(schema, node, reader, {"v": one})
    assert read > 2_000, "most right values are read by generated code"


def compare(
    schema: GraphQLSchema, node: OperationDefinitionNode, reader: VariableReader, given: Any
) -> bool:
    """Whether generated code read it; fails where it read something else."""
    found = reader(given)
    standard = get_variable_values(schema, node.variable_definitions or (), given)
    if found is None:
        return False
    assert isinstance(standard, VariableValues), (node.loc, given, standard)
    assert repr(found.coerced) == repr(standard.coerced), given
    assert [(name, one.value) for name, one in found.sources.items()] == [
        (name, one.value) for name, one in standard.sources.items()
    ]
    return True


def test_what_is_right_is_never_left_to_graphql_core() -> None:
    reader = VariableReader(served._schema, operation(EVENTS))
    assert reader({"events": [EVENT, EVENT | {"inputTokens": 5, "agent": None}]}) is not None


@pytest.mark.parametrize(
    "event",
    [
        EVENT | {"surplus": 1},
        {"providerSlug": "p", "modelName": "m"},
        EVENT | {"modelName": None},
        EVENT | {"inputTokens": "5"},
        EVENT | {"inputTokens": 2**53},
        EVENT | {"succeeded": 1},
        EVENT | {"occurredAt": "yesterday"},
        [EVENT],
        None,
        "event",
    ],
)
def test_what_is_wrong_is_graphql_cores_to_tell(event: object) -> None:
    assert VariableReader(served._schema, operation(EVENTS))({"events": [EVENT, event]}) is None


def test_an_input_that_holds_itself_is_graphql_cores() -> None:
    """How deep it may nest is limited there."""
    reader = VariableReader(nasty._schema, operation("query ($v: Again) { __typename }"))
    assert reader({"v": {"name": "x"}}) is None


def test_a_default_belongs_to_one_operation() -> None:
    node = operation("query ($v: [Int!] = [1, 2]) { __typename }")
    reader = VariableReader(nasty._schema, node)
    first, second = reader({}), reader({})
    assert first is not None
    assert second is not None
    first.coerced["v"].append(3)
    assert second.coerced["v"] == [1, 2]
