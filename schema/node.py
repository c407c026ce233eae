"""Global ids by the Relay rules: opaque, unique over all types, stable for an object's life."""

from collections.abc import Callable
from typing import Any, TypeVar

import strawberry

from schema.compiled.purity import pure
from schema.fields import resolved
from trunkline.errors import BadRequest
from trunkline.global_ids import global_id, parse_id

T = TypeVar("T", bound=type)

NO_OBJECT = -1
"""The internal id that no object has: what a global id of nothing decodes to."""

_type_names: dict[type, str] = {}


def encode_id(type_name: str, internal_id: int) -> strawberry.ID:
    """The global id of an object."""
    return strawberry.ID(global_id(type_name, internal_id))


def decode_id(global_id: str, type_name: str) -> int:
    """The internal id, or `NO_OBJECT` where it is no id of this type: it names nothing then."""
    parsed = parse_id(global_id)
    return parsed[1] if parsed is not None and parsed[0] == type_name else NO_OBJECT


def decode_filter_ids(ids: list[strawberry.ID], type_name: str, field: str) -> list[int]:
    """The internal ids of a filter. Raises `BadRequest` for one that is no id of this type."""
    decoded = [decode_id(one, type_name) for one in ids]
    if NO_OBJECT in decoded:
        bad = ids[decoded.index(NO_OBJECT)]
        raise BadRequest(f"{field}: {bad[:128]!r} is no id of a {type_name}")
    return decoded


def reference(type_name: str, attribute: str, description: str, *, nullable: bool = True) -> Any:
    """A field with the global id of an object that the row names by its internal id, or by None."""

    @pure
    def read(root: strawberry.Parent[Any]) -> strawberry.ID | None:
        internal_id = getattr(root, attribute)
        return None if internal_id is None else encode_id(type_name, internal_id)

    wire_type = strawberry.ID | None if nullable else strawberry.ID
    return resolved(read, description, graphql_type=wire_type)


@pure
def _global_id(root: strawberry.Parent[Any]) -> strawberry.ID:
    return global_id(_type_names[type(root)], root.id)  # type: ignore[return-value]  # an ID is text


@strawberry.interface(description="An object with a global id.")
class Node:
    """Implemented by every object that `node(id:)` finds."""

    id: strawberry.ID = resolved(
        _global_id, "Opaque and globally unique; stable for the life of the object."
    )


def node_type(row: type, *, description: str) -> Callable[[T], T]:
    """Declare a GraphQL type that implements Node and is read from rows of the class `row`."""

    def declare(cls: T) -> T:
        _type_names[row] = cls.__name__
        cls.is_type_of = classmethod(lambda _cls, value, _info: isinstance(value, row))  # type: ignore[attr-defined]  # read by strawberry.type
        return strawberry.type(description=description)(cls)

    return declare
