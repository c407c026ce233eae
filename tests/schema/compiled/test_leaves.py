"""Columns that are served whole: only where each value would be served as it is, or by one call."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from graphql import GraphQLBoolean, GraphQLFloat, GraphQLInt, GraphQLScalarType, GraphQLString

from schema.compiled.leaves import whole_column
from schema.compiled.promises import ServedAsIs, ServedBy

WHOLE = GraphQLScalarType("Whole")
AT = GraphQLScalarType("At")
SCALARS: Mapping[str, ServedAsIs | ServedBy] = {
    "Whole": ServedAsIs(-10, 10),
    "At": ServedBy(datetime, datetime.isoformat),
}
NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Number(int):
    pass


@pytest.mark.parametrize(
    ("type_", "known", "column"),
    [
        (GraphQLInt, None, [0, 2**31 - 1]),
        (GraphQLInt, int, [0, 2**31 - 1]),
        (GraphQLInt, None, (-(2**31), 2**31 - 1)),
        (GraphQLInt, int, [2**31 - 1] * 3),
        (WHOLE, None, [10, -10, 10]),
        (WHOLE, int, [5, 6]),
        (GraphQLString, None, ["a", ""]),
        (GraphQLString, str, ["a"]),
        (GraphQLBoolean, None, [True, False]),
    ],
)
def test_what_is_served_as_it_is(type_: Any, known: type | None, column: Any) -> None:
    whole = whole_column(type_, SCALARS, known)
    assert whole is not None
    assert whole(column) is column


@pytest.mark.parametrize(
    ("type_", "known", "column"),
    [
        (GraphQLInt, None, [0, 2**31]),
        (GraphQLInt, int, [0, 2**31]),
        (GraphQLInt, int, [-(2**31) - 1, 5]),
        (GraphQLInt, None, [1, True]),
        (GraphQLInt, None, [1, None]),
        (GraphQLInt, None, [1, 1.0]),
        (GraphQLInt, None, [Number(1)]),
        (GraphQLInt, None, ["1"]),
        (GraphQLInt, int, []),
        (WHOLE, int, [11, -10]),
        (WHOLE, int, [-11, 10]),
        (WHOLE, str, [1, True]),
        (GraphQLString, None, ["a", 1]),
        (GraphQLString, int, ["a", 1]),
        (GraphQLBoolean, None, [True, 1]),
        (AT, None, [NOW, None]),
        (AT, None, [NOW, "2026-11-01"]),
    ],
)
def test_what_is_looked_at_one_by_one(type_: Any, known: type | None, column: Any) -> None:
    whole = whole_column(type_, SCALARS, known)
    assert whole is not None
    assert whole(column) is None


@pytest.mark.parametrize("known", [None, datetime])
def test_what_one_call_serves(known: type | None) -> None:
    whole = whole_column(AT, SCALARS, known)
    assert whole is not None
    assert whole([NOW, NOW]) == ["2026-11-01T00:00:00+00:00"] * 2


def test_doubles_are_looked_at_one_by_one() -> None:
    """Neither the smallest nor the largest says whether one is no number."""
    assert whole_column(GraphQLFloat, SCALARS, None) is None


@pytest.mark.parametrize("known", [None, int])
def test_a_tuple_that_several_share_is_served_once_and_a_list_each_time(known: type | None) -> None:
    served: list[int] = []

    def serve(value: int) -> str:
        served.append(value)
        return str(value)

    whole = whole_column(WHOLE, {"Whole": ServedBy(int, serve)}, known)
    assert whole is not None
    shared = (1, 2)
    assert [whole(shared), whole([3]), whole(shared)] == [["1", "2"], ["3"], ["1", "2"]]
    assert served == [1, 2, 3]
    # Equal is not the same: 1 == True, which isn't served so.
    assert whole((1, True)) == (None if known is None else ["1", "True"])
    changing = [4]
    assert whole(changing) == ["4"]
    changing[0] = 5
    assert whole(changing) == ["5"]
