"""Fields of a request's body, each as what it has to be, or `BadRequestBody` with its place."""

from collections.abc import Iterator
from typing import TypeGuard

from trunkline.gateway.protocols import BadRequestBody

Json = dict[str, object]


def is_object(value: object) -> TypeGuard[Json]:
    """Whether it is a JSON object."""
    return isinstance(value, dict)


def object_at(value: object, place: str) -> Json:
    """The object."""
    if not is_object(value):
        raise BadRequestBody(f"{place} must be an object", place)
    return value


def objects_at(value: object, place: str) -> Iterator[tuple[Json, str]]:
    """The objects of a list, each with its place."""
    if not isinstance(value, list):
        raise BadRequestBody(f"{place} must be a list", place)
    for number, one in enumerate(value):
        at = f"{place}[{number}]"
        yield object_at(one, at), at


def text_at(values: Json, name: str, place: str) -> str:
    """The text of this name, which must be there."""
    value = values.get(name)
    at = f"{place}.{name}" if place else name
    if not isinstance(value, str):
        raise BadRequestBody(f"{at} must be a text", at)
    return value


def optional_text_at(values: Json, name: str, place: str) -> str | None:
    """The text of this name; None where it is null or not there."""
    return None if values.get(name) is None else text_at(values, name, place)


def optional_flag_at(values: Json, name: str, place: str) -> bool | None:
    """True or false of this name; None where it is null or not there."""
    value = values.get(name)
    if value is None or isinstance(value, bool):
        return value
    at = f"{place}.{name}" if place else name
    raise BadRequestBody(f"{at} must be true or false", at)


def optional_count_at(values: Json, name: str, place: str, least: int, most: int) -> int | None:
    """The whole number of this name, within bounds; None where it is null or not there."""
    value = values.get(name)
    if value is None:
        return None
    at = f"{place}.{name}" if place else name
    # Not isinstance: true is no number.
    if type(value) is not int or not least <= value <= most:
        raise BadRequestBody(f"{at} must be a whole number from {least} to {most}", at)
    return value


def optional_share_at(values: Json, name: str) -> float | None:
    """The number from 0 to 1 of this name; None where it is null or not there."""
    value = values.get(name)
    if value is None:
        return None
    if type(value) not in (int, float) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise BadRequestBody(f"{name} must be a number from 0 to 1", name)
    return float(value)
