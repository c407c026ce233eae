"""Reads fields of a request in OpenAI's protocol: each as its type, or an error that names it.

A field that is null is one that isn't there, as OpenAI has it.
"""

from trunkline.gateway.conversation import JsonObject
from trunkline.gateway.protocols import BadRequestBody


def text_of(value: object, param: str) -> str:
    """A string."""
    if not isinstance(value, str):
        raise BadRequestBody(f"{param} must be a string", param)
    return value


def name_of(value: object, param: str) -> str:
    """A string that isn't empty."""
    text = text_of(value, param)
    if not text:
        raise BadRequestBody(f"{param} must not be empty", param)
    return text


def optional_text(body: JsonObject, name: str, path: str = "") -> str | None:
    """A string, or None."""
    value = body.get(name)
    return None if value is None else text_of(value, path + name)


def object_of(value: object, param: str) -> JsonObject:
    """An object."""
    if not isinstance(value, dict):
        raise BadRequestBody(f"{param} must be an object", param)
    return value


def optional_object(body: JsonObject, name: str, path: str = "") -> JsonObject | None:
    """An object, or None."""
    value = body.get(name)
    return None if value is None else object_of(value, path + name)


def list_of(value: object, param: str) -> list[object]:
    """An array."""
    if not isinstance(value, list):
        raise BadRequestBody(f"{param} must be an array", param)
    return value


def optional_flag(body: JsonObject, name: str, path: str = "") -> bool | None:
    """A boolean, or None."""
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise BadRequestBody(f"{path + name} must be true or false", path + name)


def optional_number(body: JsonObject, name: str, least: float, most: float) -> float | None:
    """A number within these bounds, or None."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRequestBody(f"{name} must be a number", name)
    if not least <= value <= most:
        raise BadRequestBody(f"{name} must lie between {least:g} and {most:g}", name)
    return value


def optional_count(body: JsonObject, name: str, least: int, most: int) -> int | None:
    """A whole number within these bounds, or None."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadRequestBody(f"{name} must be a whole number from {least:,} to {most:,}", name)
    return value
