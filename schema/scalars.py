"""The three scalars of the contract.

Money arrives here as whole nanodollars and leaves as plain digits; it is never a float.
"""

from datetime import datetime
from typing import Any, NewType

import strawberry
from strawberry.types.scalar import ScalarDefinition

from trunkline.instants import format_instant, parse_instant
from trunkline.money import format_nanos, parse_dollars

Dollars = NewType("Dollars", int)
"""Whole nanodollars, served as the scalar Decimal."""

SafeInt = NewType("SafeInt", int)
"""A whole number that every JSON client can hold."""

LARGEST_SAFE = 2**53 - 1


def _parse_instant(value: object) -> datetime:
    return parse_instant(value if isinstance(value, str) else "")


def _parse_decimal(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError('Decimal takes a string of plain digits, such as "0.25"')  # noqa: TRY004  # graphql-core answers with a ValueError's text
    return parse_dollars(value)


def _parse_safe_int(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST_SAFE:
        raise ValueError("SafeInt takes a whole number between -(2^53-1) and 2^53-1")
    return value


def _format_safe_int(value: int) -> int:
    if abs(value) > LARGEST_SAFE:
        raise ValueError("SafeInt can't carry this number")
    return value


def _parse_safe_int_literal(node: Any, _variables: Any = None) -> int:
    from graphql import IntValueNode

    if not isinstance(node, IntValueNode) or len(node.value) > 17:
        raise ValueError("SafeInt takes a whole number between -(2^53-1) and 2^53-1")
    return _parse_safe_int(int(node.value))


SCALARS: dict[object, ScalarDefinition] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description=(
            "An instant, written in UTC as `2026-11-23T14:05:00Z`, with up to six decimals. "
            "Input in another offset is converted; input without one is refused."
        ),
        specified_by_url="https://scalars.graphql.org/andimarek/date-time.html",
        serialize=format_instant,
        parse_value=_parse_instant,
    ),
    Dollars: strawberry.scalar(
        name="Decimal",
        description=(
            'An exact decimal in plain digits as a string, such as "0.000018750": '
            "at most nine decimals, never an exponent. Money is never a float."
        ),
        serialize=format_nanos,
        parse_value=_parse_decimal,
    ),
    SafeInt: strawberry.scalar(
        name="SafeInt",
        description=("A whole number up to 2^53-1, as a JSON number: token counts outgrow Int."),
        serialize=_format_safe_int,
        parse_value=_parse_safe_int,
        parse_literal=_parse_safe_int_literal,
    ),
}
