"""How long lists may be: by arguments, and said of every list that the schema has."""

from typing import Any

import pytest
from graphql import (
    GraphQLInterfaceType,
    GraphQLObjectType,
    get_named_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)

from schema.limits.list_sizes import Scale, argument_sizes, list_size
from schema.root import schema

SERVED = schema._schema
QUERY: Any = SERVED.query_type


def test_every_list_of_objects_has_a_size() -> None:
    """A list that nobody has thought of would count as one object."""
    unknown = [
        f"{parent.name}.{name}"
        for parent in SERVED.type_map.values()
        if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType)
        for name, field in parent.fields.items()
        if is_list_type(field.type.of_type if is_non_null_type(field.type) else field.type)
        and not is_leaf_type(get_named_type(field.type))
        and not list_size(SERVED, parent, name)
        # What the schema itself has none of.
        and (parent.name, name) != ("__Type", "interfaces")
    ]
    assert unknown == []


def series(**given: Any) -> dict[Scale, int]:
    sizes = argument_sizes(QUERY.fields["usageSeries"])
    assert sizes is not None
    return dict(sizes.read({"input": given}))


@pytest.mark.parametrize(
    ("window", "granularity", "buckets"),
    [
        ({"period": "TODAY"}, None, 25),
        ({"period": "TODAY"}, "QUARTER_HOUR", 97),
        ({"period": "LAST_7_DAYS"}, None, 8),
        ({"period": "LAST_30_DAYS"}, "HOUR", 721),
        ({"period": "MONTH_TO_DATE"}, "DAY", 32),
        ({"range": {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}}, None, 25),
        ({"range": {"from": "2026-01-01T00:00:00Z", "to": "2026-12-31T00:00:00Z"}}, "DAY", 365),
        ({"range": {"from": "2026-01-01T00:00:00", "to": "2026-01-02T00:00:00Z"}}, None, 25),
        ({"range": {"from": "x", "to": "2026-12-31T00:00:00Z"}}, "DAY", 0),
        ({"range": {"from": "2026-12-31T00:00:00Z", "to": "2026-01-01T00:00:00Z"}}, "DAY", 0),
        ({"period": "NEVER"}, "DAY", 0),
        (None, "DAY", 0),
        ([1], None, 0),
    ],
)
def test_points_are_counted_from_window_and_granularity(
    window: object, granularity: str | None, buckets: int
) -> None:
    sizes = series(window=window, granularity=granularity, topGroups=3)
    assert sizes == {Scale.GROUPS: 4, Scale.POINTS: 4 * buckets}


@pytest.mark.parametrize(
    ("top", "groups"), [(None, 11), (1, 2), (100, 101), (10**9, 101), (-5, 2), ("7", 11), (7.0, 8)]
)
def test_groups_are_counted_with_the_rest(top: object, groups: int) -> None:
    assert series(topGroups=top)[Scale.GROUPS] == groups


def test_no_series_has_more_points_than_are_ever_answered() -> None:
    long = {"range": {"from": "1990-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}}
    assert series(window=long, granularity="QUARTER_HOUR", topGroups=100)[Scale.POINTS] == 50_000


@pytest.mark.parametrize(
    ("first", "size"), [(None, 50), (0, 0), (7, 7), (7.0, 7), (101, 100), (-1, 0), (True, 50),
                        ("9", 50), (float("inf"), 50)]
)  # fmt: skip
def test_a_page_is_as_long_as_asked_for(first: object, size: int) -> None:
    sizes = argument_sizes(QUERY.fields["models"])
    assert sizes is not None
    assert sizes.read({"first": first}) == {Scale.PAGE: size}
