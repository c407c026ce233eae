"""Schemas as Anthropic's models can be held to."""

import pytest

from trunkline.gateway.conversation import JsonObject
from trunkline.gateway.dialects.anthropic_schemas import DEEPEST, SchemaNarrower
from trunkline.gateway.protocols import CannotSay


def test_objects_are_closed_at_every_level() -> None:
    pair: JsonObject = {"type": "object", "properties": {"a": {"type": "string"}}}
    closed = {**pair, "additionalProperties": False}
    narrower = SchemaNarrower()
    assert narrower.narrowed(
        {
            **pair,
            "properties": {
                "list": {"type": "array", "items": pair, "minItems": 1},
                "either": {"oneOf": [pair, {"type": ["object", "null"], "properties": {}}]},
                "said": {"$ref": "#/$defs/pair"},
            },
            "$defs": {"pair": pair},
            "additionalProperties": True,
        }
    ) == {
        "type": "object",
        "properties": {
            "list": {"type": "array", "items": closed, "minItems": 1},
            "either": {
                "anyOf": [
                    closed,
                    {"type": ["object", "null"], "properties": {}, "additionalProperties": False},
                ]
            },
            "said": {"$ref": "#/$defs/pair"},
        },
        "$defs": {"pair": closed},
        "additionalProperties": False,
    }
    assert narrower.untaken == set()


def test_bounds_become_words_and_are_named() -> None:
    narrower = SchemaNarrower()
    assert narrower.narrowed(
        {"type": "string", "description": "A code.", "minLength": 3, "pattern": "^A"}
    ) == {"type": "string", "description": 'A code.\n{"minLength":3,"pattern":"^A"}'}
    assert narrower.narrowed({"type": "array", "minItems": 2}) == {
        "type": "array",
        "description": '{"minItems":2}',
    }
    assert narrower.untaken == {"minLength", "pattern", "minItems"}


def test_a_property_may_be_called_as_a_bound_is() -> None:
    schema: JsonObject = {
        "type": "object",
        "properties": {"minimum": {"type": "number"}},
        "additionalProperties": False,
    }
    assert SchemaNarrower().narrowed(schema) == schema


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object", "additionalProperties": True},
        {"type": "array", "items": {"type": ["object", "null"], "additionalProperties": {}}},
    ],
)
def test_objects_of_free_names_are_refused(schema: JsonObject) -> None:
    with pytest.raises(CannotSay, match="free names"):
        SchemaNarrower().narrowed(schema)


def test_endless_schemas_are_refused() -> None:
    schema: dict[str, object] = {}
    for _ in range(DEEPEST + 1):
        schema = {"type": "array", "items": schema}
    with pytest.raises(CannotSay, match="levels deep"):
        SchemaNarrower().narrowed(schema)
