"""Which operation a document asks for, also against the schema that is really served."""

from typing import Any

import pytest
from graphql import GraphQLError

from resolvers.context import OperationContext
from schema.root import schema
from server.documents import Operation, chosen_operation


@pytest.mark.parametrize(
    ("query", "name", "expected"),
    [
        ("{ a }", None, Operation("query", None)),
        ("query Q { a }", None, Operation("query", "Q")),
        ("mutation M { a }", "M", Operation("mutation", "M")),
        ("query Q { a } subscription S { b }", "S", Operation("subscription", "S")),
        ("fragment F on X { a } query Q { ...F }", None, Operation("query", "Q")),
        ("query " + "Q" * 500 + " { a }", None, Operation("query", "Q" * 100)),
    ],
)
def test_the_operation_is_found(query: str, name: str | None, expected: Operation) -> None:
    assert chosen_operation(query, name) == expected


@pytest.mark.parametrize(
    ("query", "name", "said"),
    [
        ("", None, "Syntax Error"),
        ("{ a", None, "Syntax Error"),
        ("fragment F on X { a }", None, "no operation"),
        ("type X { a: Int }", None, "no operation"),
        ("query A { a } query B { b }", None, "operationName"),
        ("query A { a }", "B", "operationName"),
        ("{ a }", "A", "operationName"),
        ("{ " + "a " * 30_000 + "}", None, "tokens"),
        ("{ a " * 9_000, None, "nested too deeply"),
        ("{ a(b: " + "[" * 15_000, None, "nested too deeply"),
    ],
)
def test_what_can_not_be_determined_is_refused(query: str, name: str | None, said: str) -> None:
    with pytest.raises(GraphQLError, match=said):
        chosen_operation(query, name)


def nested(depth: int) -> list[str]:
    return [
        "{ " + "providers { " * depth + "totalCount" + " }" * depth + " }",
        "{ " + "a: b { ... { " * depth + "c" + " } }" * depth + " }",
        "{ " + "... on Query { " * depth + "__typename" + " }" * depth + " }",
        "{ providers(first: " + "[" * depth + "]" * depth + ") { totalCount } }",
        "{ " + "x { y } x { y } ... { " * depth + "z" + " }" * depth + " }",
    ]


@pytest.mark.parametrize("depth", [5, 30, 60, 90, 120, 150, 180, 210, 240, 300])
async def test_what_is_let_through_never_breaks_the_schema(depth: int) -> None:
    """However deep a document that parses here is, the schema answers with the caller's fault."""
    nothing: Any = None
    nobody = OperationContext(nothing, None, "a-request")
    for query in nested(depth):
        try:
            chosen_operation(query, None)
        except GraphQLError:
            continue
        result = await schema.execute(query, context_value=nobody)
        assert result.errors or result.data is not None
        for error in result.errors or []:
            assert "Internal" not in error.message, query[:80]
