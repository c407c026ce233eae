"""Documents known from before: the same verdict, and nothing of who came first."""

import pytest
from graphql import get_introspection_query

from resolvers.context import OperationContext
from schema.limits import known_document as module
from schema.limits.bounds import Limits
from schema.limits.known_document import LONGEST_KNOWN, MOST_LONG, keep, known_document
from schema.root import schema
from trunkline.services import Services

CLOSED = schema.limited(Limits(introspection=False))


async def test_an_error_carries_the_request_that_it_answers(services: Services) -> None:
    for request_id in ("first", "second"):
        context = OperationContext(services, None, request_id)
        result = await schema.execute("{ nothing }", context_value=context)
        (error,) = result.errors or []
        assert (error.extensions or {})["requestId"] == request_id
        assert error.locations


def test_a_document_is_parsed_once() -> None:
    assert known_document("{ a }") is known_document("{ a }")


def test_a_few_long_documents_are_kept() -> None:
    long = [f"{{ a{number} {' ' * LONGEST_KNOWN}}}" for number in range(MOST_LONG + 1)]
    first = known_document(long[0])
    assert known_document(long[0]) is first
    for text in long[1:]:
        known_document(text)
    assert known_document(long[0]) is not first


def test_what_is_kept_stays_whatever_else_comes() -> None:
    kept = keep("{ kept }")
    for number in range(2 * module.MOST_KNOWN):
        known_document(f"{{ a{number} }}")
    assert known_document("{ kept }") is kept


@pytest.mark.parametrize("query", [get_introspection_query(), '{ __type(name: "Model") { name } }'])
async def test_introspection_can_be_off(context: OperationContext, query: str) -> None:
    result = await CLOSED.execute(query, context_value=context)
    assert result.data is None
    (error,) = result.errors or []
    assert "introspection is off on this server" in error.message
    assert (error.extensions or {})["code"] == "BAD_USER_INPUT"
    assert not (await schema.execute(query, context_value=context)).errors


async def test_typename_stays_where_introspection_is_off(context: OperationContext) -> None:
    result = await CLOSED.execute("{ __typename serverInfo { __typename } }", context_value=context)
    assert result.data == {"__typename": "Query", "serverInfo": {"__typename": "ServerInfo"}}


async def test_no_name_is_suggested_where_introspection_is_off(context: OperationContext) -> None:
    query = "{ serverInfoo { version } }"
    spoken = await schema.execute(query, context_value=context)
    silent = await CLOSED.execute(query, context_value=context)
    assert "serverInfo'?" in (spoken.errors or [])[0].message
    assert (silent.errors or [])[0].message == "Cannot query field 'serverInfoo' on type 'Query'."
    query = "query ($sort: ModelSort!) { models(sort: $sort) { totalCount } }"
    spoken = await schema.execute(query, {"sort": "NAMED"}, context_value=context)
    silent = await CLOSED.execute(query, {"sort": "NAMED"}, context_value=context)
    assert "Did you mean the enum value 'NAME'" in (spoken.errors or [])[0].message
    assert "Did you mean" not in (silent.errors or [])[0].message


async def test_a_document_that_is_too_much_to_compare_says_so(context: OperationContext) -> None:
    fields = "id slug name kind status baseUrl enabled version createdAt updatedAt modelCount"
    spreads = " ".join(f"...F{number}" for number in range(190))
    fragments = " ".join(
        f"fragment F{number} on Provider {{ {fields} apiKey {{ masked setAt }} }}"
        for number in range(190)
    )
    result = await schema.execute(
        f"{{ providers {{ nodes {{ {spreads} }} }} }} {fragments}", context_value=context
    )
    (error,) = result.errors or []
    assert "select each once" in error.message
    assert (error.extensions or {})["code"] == "BAD_USER_INPUT"
