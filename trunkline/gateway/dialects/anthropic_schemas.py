"""JSON schemas as Anthropic takes them where it holds a model to one: a narrower language.

https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations
"""

from collections.abc import Mapping

import orjson

from trunkline.gateway.conversation import JsonObject
from trunkline.gateway.protocols import CannotSay

DEEPEST = 64
"""Levels of a schema; a deeper one is refused."""

# What schemas may say that the model can't be held to.
_UNTAKEN = frozenset(
    {
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "pattern",
        "maxItems",
        "uniqueItems",
        "minProperties",
        "maxProperties",
    }
)
# Where a schema holds others: by name, in a list, and one alone.
_NAMED = frozenset({"properties", "$defs", "definitions"})
_LISTED = frozenset({"anyOf", "oneOf", "allOf"})


class SchemaNarrower:
    """Narrows schemas. `untaken` gathers the keywords that became words of a description, which
    the model reads but isn't held to.
    """

    def __init__(self) -> None:
        self.untaken: set[str] = set()

    def narrowed(self, schema: JsonObject) -> JsonObject:
        """The schema with its objects closed: whatever fits it also fits the one that was given,
        but for what is `untaken`. Raises `CannotSay` for objects of free names, and for a schema
        deeper than `DEEPEST`.
        """
        return self._narrowed(schema, 0)

    def _narrowed(self, schema: JsonObject, depth: int) -> dict[str, object]:
        if depth > DEEPEST:
            raise CannotSay(f"the JSON schema is more than {DEEPEST} levels deep: flatten it")
        narrow: dict[str, object] = {}
        said: dict[str, object] = {}
        for name, value in schema.items():
            if name in _UNTAKEN or (name == "minItems" and value not in (0, 1)):
                said[name] = value
            elif name in _NAMED and isinstance(value, dict):
                narrow[name] = {key: self._inner(one, depth) for key, one in value.items()}
            elif name in _LISTED and isinstance(value, list):
                # One alone of several can't be demanded; each of them can.
                narrow["anyOf" if name == "oneOf" else name] = [
                    self._inner(one, depth) for one in value
                ]
            else:
                narrow[name] = self._inner(value, depth) if name == "items" else value
        if said:
            self.untaken |= said.keys()
            narrow["description"] = _described(schema.get("description"), said)
        _close(narrow)
        return narrow

    def _inner(self, value: object, depth: int) -> object:
        return self._narrowed(value, depth + 1) if isinstance(value, dict) else value


def _close(schema: dict[str, object]) -> None:
    kind = schema.get("type")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind):
        return
    free = schema.get("additionalProperties")
    if isinstance(free, Mapping) or (free is True and not schema.get("properties")):
        raise CannotSay(
            "the JSON schema has an object of free names (additionalProperties), which Anthropic's "
            "models can't be held to: name its properties, or make it a list of pairs"
        )
    schema["additionalProperties"] = False


def _described(description: object, said: Mapping[str, object]) -> str:
    try:
        words = orjson.dumps(said).decode()
    except orjson.JSONEncodeError as error:
        raise CannotSay(f"the JSON schema can't be written as JSON: {error}") from error
    return f"{description}\n{words}" if isinstance(description, str) and description else words
