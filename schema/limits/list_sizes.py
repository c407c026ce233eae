"""How long a list may be: bounded by itself, or by the arguments of a field above it.

Sizes are upper bounds, read from what was asked and not from what is stored. Values that make no
sense count as little: the field refuses them when it runs.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
)

from schema.connections import MOST_PER_PAGE
from trunkline.failover.steps import MOST_STEPS
from trunkline.usage.reading import MOST_GROUPS
from trunkline.usage.windows import MOST_POINTS


class Scale(Enum):
    """What a list's length is said by, at a field above."""

    PAGE = "first"
    GROUPS = "topGroups"
    POINTS = "all points of a series together"


Sizes = Mapping[Scale, int]


@dataclass(frozen=True, slots=True)
class ArgumentSizes:
    """The scales that a field's arguments say, and how `read` gets them from the arguments' values
    as plain Python, enums as text. A scale that it leaves out is 0.
    """

    scales: tuple[Scale, ...]
    read: Callable[[Mapping[str, Any]], Sizes]


_SCALED = {
    "edges": Scale.PAGE,
    "nodes": Scale.PAGE,
    "groups": Scale.GROUPS,
    "changes": Scale.GROUPS,
    "points": Scale.POINTS,
}
# Of what nothing bounds, about what there is; each is one read, whatever its length.
_USUAL = {
    "steps": MOST_STEPS,
    "attempts": MOST_STEPS,
    "usedBy": 20,
    "userErrors": 5,
    # Of an entry of the audit log: most changes are of a field or two.
    "fieldChanges": 8,
    # Of an access token: few are limited at all.
    "failoverChains": 5,
}

_DEFAULT_GROUPS = 10
_DAYS = {"TODAY": 1, "LAST_7_DAYS": 7, "LAST_30_DAYS": 30, "MONTH_TO_DATE": 31}
_STEPS = {
    "QUARTER_HOUR": timedelta(minutes=15),
    "HOUR": timedelta(hours=1),
    "DAY": timedelta(days=1),
}
_HOURLY_UP_TO = timedelta(days=2)


def argument_sizes(field: GraphQLField) -> ArgumentSizes | None:
    """How to read the sizes from this field's arguments; None where it has none that say any."""
    first = field.args.get("first")
    if first is not None:
        default = first.default_value if isinstance(first.default_value, int) else MOST_PER_PAGE
        return ArgumentSizes(
            (Scale.PAGE,), lambda values: {Scale.PAGE: _page(values.get("first"), default)}
        )
    given = field.args.get("input")
    if given is not None:
        kind = get_named_type(given.type)
        if isinstance(kind, GraphQLInputObjectType) and "topGroups" in kind.fields:
            scales = (Scale.GROUPS, Scale.POINTS)
            return ArgumentSizes(scales, lambda values: _series(values.get("input")))
    return None


def list_size(schema: GraphQLSchema, parent: GraphQLNamedType, name: str) -> Scale | int | None:
    """How long a list of objects is; None for a list that nobody has said it of."""
    if parent.name.startswith("__"):
        return _introspected(schema).get((parent.name, name))
    return _SCALED.get(name) or _USUAL.get(name)


def _page(first: object, default: int) -> int:
    return min(max(_whole(first, default), 0), MOST_PER_PAGE)


def _series(given: object) -> Sizes:
    if not isinstance(given, Mapping):
        return {}
    # And one of kind OTHER.
    groups = min(max(_whole(given.get("topGroups"), _DEFAULT_GROUPS), 1), MOST_GROUPS) + 1
    buckets = _buckets(given.get("window"), given.get("granularity"))
    return {Scale.GROUPS: groups, Scale.POINTS: min(groups * buckets, MOST_POINTS)}


def _buckets(window: object, granularity: object) -> int:
    if not isinstance(window, Mapping):
        return 0
    length = _length(window)
    step = _STEPS.get(str(granularity), _STEPS["HOUR" if length <= _HOURLY_UP_TO else "DAY"])
    # A window may cut its first bucket, and a day may have 25 hours.
    return math.ceil(length / step) + 1 if length else 0


def _length(window: Mapping[str, object]) -> timedelta:
    spanned = window.get("range")
    if isinstance(spanned, Mapping):
        start, end = _instant(spanned.get("from")), _instant(spanned.get("to"))
        return max(end - start, timedelta()) if start and end else timedelta()
    return timedelta(days=_DAYS.get(str(window.get("period")), 0))


def _instant(value: object) -> datetime | None:
    try:
        instant = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _whole(value: object, default: int) -> int:
    # 50.0 is an Int too, by the specification.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return default
    return int(value)


_introspection: dict[GraphQLSchema, dict[tuple[str, str], int]] = {}


def _introspected(schema: GraphQLSchema) -> dict[tuple[str, str], int]:
    """By type and field of introspection: the schema's own numbers, the mean where they differ."""
    known = _introspection.get(schema)
    if known is None:
        known = _introspection[schema] = _count(schema)
    return known


def _count(schema: GraphQLSchema) -> dict[tuple[str, str], int]:
    types = [*schema.type_map.values()]
    fields = [field for one in types for field in getattr(one, "fields", {}).values()]
    objects = [one for one in types if isinstance(one, GraphQLObjectType)]
    inputs = [one for one in types if isinstance(one, GraphQLInputObjectType)]
    enums = [one for one in types if isinstance(one, GraphQLEnumType)]
    per_type = {
        "fields": sum(len(one.fields) for one in objects),
        "inputFields": sum(len(one.fields) for one in inputs),
        "enumValues": sum(len(one.values) for one in enums),
        "interfaces": sum(len(one.interfaces) for one in objects),
        "possibleTypes": sum(
            len(schema.get_possible_types(one))
            for one in types
            if isinstance(one, GraphQLInterfaceType | GraphQLUnionType)
        ),
    }
    arguments = sum(len(getattr(field, "args", ())) for field in fields)
    return {
        ("__Schema", "types"): len(types),
        ("__Schema", "directives"): len(schema.directives),
        ("__Directive", "args"): 2,
        ("__Field", "args"): math.ceil(arguments / max(len(fields), 1)),
        **{("__Type", name): math.ceil(sum_ / len(types)) for name, sum_ in per_type.items()},
    }
