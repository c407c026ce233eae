"""A JSON value that fits a JSON schema: types, enums, required fields, bounds, references.

Gemini's schemas write the types in capitals. Whatever isn't known is passed over, and what nests
too deep or too wide ends in nulls and empty lists: a schema comes from a stranger.
"""

from server.simulated.json_values import Json, json_count, json_object, json_objects, json_text

_DEEPEST = 12
_WIDEST = 64
_MOST_VALUES = 2_000
_LARGEST_NUMBER = 2**53


class _Sampling:
    def __init__(self, root: Json) -> None:
        self._root = root
        self._left = _MOST_VALUES

    def value(self, schema: Json, depth: int = 0) -> object:
        """A value that fits."""
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            return None
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        choices = schema.get("enum")
        if isinstance(choices, list) and choices:
            return choices[0]
        for several in ("anyOf", "oneOf", "allOf"):
            if options := json_objects(schema.get(several)):
                return self.value(options[0], depth + 1)
        match self._type(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                wanted = min(max(json_count(schema.get("minItems")) or 0, 1), _WIDEST)
                item = json_object(schema.get("items"))
                return [self.value(item, depth + 1) for _ in range(wanted)] if item else []
            case "integer":
                return int(self._number(schema))
            case "number":
                return self._number(schema)
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return self._text(schema)

    def _object(self, schema: Json, depth: int) -> Json:
        properties = list(json_object(schema.get("properties")).items())[:_WIDEST]
        return {name: self.value(json_object(one), depth + 1) for name, one in properties}

    def _resolved(self, schema: Json) -> Json:
        for _ in range(_DEEPEST):
            path = json_text(schema.get("$ref"))
            if not path.startswith("#/"):
                break
            found = self._root
            for step in path[2:].split("/")[:_DEEPEST]:
                found = json_object(found.get(step))
            schema = found
        return schema

    def _type(self, schema: Json) -> str:
        named = schema.get("type")
        if isinstance(named, list):
            named = next((one for one in named if one != "null"), "null")
        if isinstance(named, str):
            return named.lower()
        return "object" if "properties" in schema else "array" if "items" in schema else "string"

    def _number(self, schema: Json) -> float:
        least, most = schema.get("minimum"), schema.get("maximum")
        value: float = 7
        if isinstance(most, int | float):
            value = min(value, most)
        if isinstance(least, int | float):
            value = max(value, least)
        # Beyond it whole numbers aren't exact, and JSON's readers differ.
        return max(-_LARGEST_NUMBER, min(value, _LARGEST_NUMBER))

    def _text(self, schema: Json) -> str:
        match schema.get("format"):
            case "date":
                return "2026-01-02"
            case "date-time":
                return "2026-01-02T03:04:05Z"
        text = "simulated"
        least = min(json_count(schema.get("minLength")) or 0, 1_000)
        most = json_count(schema.get("maxLength"))
        return text.ljust(least, "x")[: len(text) + least if most is None else most]


def sample_of(schema: Json) -> object:
    """A value that fits this schema; for an empty one an object that says what it is."""
    return _Sampling(schema).value(schema) if schema else {"answer": "simulated"}
