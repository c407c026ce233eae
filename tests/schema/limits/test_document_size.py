"""Bounds on documents: each refused past its number and taken up to it, in no time."""

import pytest
from graphql import parse

from resolvers.context import OperationContext
from schema.limits.bounds import (
    MOST_ALIASES,
    MOST_DEPTH,
    MOST_DIRECTIVES,
    MOST_FIELDS,
    MOST_FRAGMENTS,
    MOST_REPEATED,
    MOST_ROOT_FIELDS,
)
from schema.limits.document_size import size_errors
from schema.root import schema
from tests.schema.test_operations import OPERATIONS


def of_fields(count: int) -> str:
    """Each in a place of its own, in as few root fields as it takes."""
    per_root = MOST_FIELDS // MOST_ROOT_FIELDS
    names = [f"f{number}" for number in range(count)]
    roots = [names[start : start + per_root] for start in range(0, count, per_root)]
    return "{" + " ".join(f"{first} {{ {' '.join(rest)} }}" for first, *rest in roots) + "}"


@pytest.mark.parametrize(
    ("make", "most", "said"),
    [
        (lambda n: "{ a " * n + "}" * n, MOST_DEPTH, "levels of fields"),
        (lambda n: "{ x {" + " ".join(f"a{i}: b" for i in range(n)) + "} }", MOST_ALIASES,
         "aliases"),
        (lambda n: "{ x {" + " ".join(f"b{i} @skip(if: true)" for i in range(n)) + "} }",
         MOST_DIRECTIVES, "directives"),
        (lambda n: "{" + " ".join(f"b{i}" for i in range(n)) + "}", MOST_ROOT_FIELDS,
         "root fields"),
        (lambda n: "{ x {" + " b" * (n + 1) + "} }", MOST_REPEATED, "fields that repeat another"),
        (lambda n: "{ a }" + " ".join(f"fragment F{i} on Query {{ a }}" for i in range(n)),
         MOST_FRAGMENTS, "fragments"),
        (of_fields, MOST_FIELDS, "fields"),
    ],
)  # fmt: skip
def test_a_document_is_bounded(make: object, most: int, said: str) -> None:
    assert callable(make)
    assert size_errors(parse(make(most))) == []
    said_of = [error.message for error in size_errors(parse(make(most + 1)))]
    assert any(f"{most + 1} {said}" in one and f"at most {most} are" in one for one in said_of)


def spread_twice(levels: int) -> str:
    fragments = [
        f"fragment F{i} on Query {{ a: serverInfo {{ version }} ...F{i + 1} ...F{i + 1} }}"
        for i in range(levels)
    ]
    return (
        "{ ...F0 } "
        + " ".join(fragments)
        + f" fragment F{levels} on Query {{ serverInfo {{ version }} }}"
    )


async def test_fragments_spread_twice_thirty_deep_are_measured_at_once(
    context: OperationContext,
) -> None:
    """Expanded they are 2^30 fields."""
    result = await schema.execute(spread_twice(30), context_value=context)
    assert result.errors
    assert any("over a billion fields" in error.message for error in result.errors)


async def test_fragments_that_spread_each_other_are_refused(context: OperationContext) -> None:
    cycle = "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }"
    result = await schema.execute(cycle, context_value=context)
    assert "Cannot spread fragment" in (result.errors or [])[0].message


@pytest.mark.parametrize("levels", [10, 61, 150, 199])
async def test_a_long_chain_of_fragments_is_the_callers_fault(
    context: OperationContext, levels: int
) -> None:
    inner = "... on Query { " * 10 + "serverInfo { version } ...F%d" + " }" * 10
    chain = "{ ...F0 } " + " ".join(
        f"fragment F{i} on Query {{ {inner % (i + 1)} }}" for i in range(levels)
    )
    chain += f" fragment F{levels} on Query {{ serverInfo {{ version }} }}"
    result = await schema.execute(chain, context_value=context)
    assert result.errors
    assert {(error.extensions or {})["code"] for error in result.errors} == {"BAD_USER_INPUT"}
    assert any("levels" in one.message or "deeply" in one.message for one in result.errors)


def test_a_dashboards_operations_are_far_within() -> None:
    assert OPERATIONS
    for text, _ in OPERATIONS.values():
        assert size_errors(parse(text)) == []
