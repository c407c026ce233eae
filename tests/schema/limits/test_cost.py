"""What operations cost: counted by lists and variables, told with each answer, refused past it."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from graphql import get_introspection_query

from resolvers.context import OperationContext
from schema.limits.bounds import DEFAULT_MOST_COST, Limits
from schema.limits.cost import LOADED, QUESTION
from schema.limits.known_document import known_document
from schema.root import schema
from tests.schema.test_operations import OPERATIONS


def cost(query: str, name: str | None = None, **variables: Any) -> int:
    document = known_document(query)
    assert document.errors(schema._schema, introspection=True) == []
    return document.cost(schema._schema, name, variables)


TWO_PAGES = """{ a: models(first: 2) { ...P } b: models(first: 3) { ...P } }
fragment P on ModelConnection { nodes { id } totalCount }"""


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ serverInfo { version database } }", 3),
        ("{ __typename serverInfo { __typename } }", 3),
        ("{ models(first: 10) { nodes { name } } }", QUESTION + 1 + 10),
        ("{ models { nodes { name } } }", QUESTION + 1 + 50),
        ("{ models(first: null) { totalCount } }", QUESTION + 1),
        ("{ models(first: 3) { edges { cursor node { id name } } pageInfo { endCursor } } }",
         QUESTION + 1 + 3 * 4 + 2),
        ("{ models(first: 0) { nodes { name } } }", QUESTION + 1),
        ("{ providers(first: 2) { nodes { id models(first: 5) { nodes { id } } } } }",
         QUESTION + 1 + 2 * (1 + QUESTION + 1 + 5)),
        ("{ failoverChains(first: 1) { nodes { steps { id model { id } } } } }",
         QUESTION + 1 + 1 + 20 * (1 + LOADED + 1)),
        # A fragment on the page's own type counts by the page that it is spread into.
        (TWO_PAGES,
         2 * (QUESTION + 2) + 2 + 3),
    ],
)  # fmt: skip
def test_fields_are_counted_as_often_as_lists_may_be_long(query: str, expected: int) -> None:
    assert cost(query) == expected


SERIES = """query ($input: UsageSeriesInput!) {
  usageSeries(input: $input) { totals { requests } groups { key points { start requests } } }
}"""


def test_a_series_counts_its_groups_and_points() -> None:
    series = {"dimension": "MODEL", "timezone": "UTC", "window": {"period": "LAST_7_DAYS"}}
    groups, points = 6, 6 * 8
    expected = QUESTION + 2 + 1 + groups * 2 + points * 2 + points
    assert cost(SERIES, input=series | {"topGroups": 5}) == expected
    hourly = cost(SERIES, input=series | {"topGroups": 5, "granularity": "HOUR"})
    assert hourly == expected + 6 * (169 - 8) * 3


def test_reading_points_counts_though_none_is_selected() -> None:
    query = SERIES.replace("points { start requests }", "")
    series = {"dimension": "MODEL", "timezone": "UTC", "window": {"period": "LAST_30_DAYS"}}
    assert cost(query, input=series | {"granularity": "HOUR"}) > 11 * 720


def test_a_delta_counts_like_its_series() -> None:
    query = OPERATIONS["LiveUsage"][0]
    series = {"dimension": "MODEL", "timezone": "UTC", "window": {"period": "TODAY"}}
    small = cost(query, "LiveUsage", input=series | {"topGroups": 1})
    large = cost(query, "LiveUsage", input=series | {"topGroups": 100})
    assert large > 20 * small


def test_variables_say_how_much() -> None:
    query = """query ($n: Int = 7, $m: Int) {
      models(first: $n) { nodes { id } }
      b: providers(first: $m) { totalCount nodes { id } }
    }"""
    fixed = 2 * QUESTION + 3
    assert cost(query) == fixed + 7 + 100
    assert cost(query, n=1, m=2) == fixed + 1 + 2
    assert cost(query, n=None, m=0) == fixed + 50


def test_what_is_skipped_costs_nothing() -> None:
    query = """query ($yes: Boolean!, $no: Boolean! = false) {
      a: models @include(if: $yes) { nodes { id } }
      ...F @skip(if: $yes)
      ... @include(if: $no) { b: models { totalCount } }
      serverInfo { version }
    }
    fragment F on Query { c: models(first: 1) { totalCount } }"""
    assert cost(query, yes=True) == QUESTION + 1 + 50 + 2
    assert cost(query, yes=False) == QUESTION + 1 + 2
    assert cost(query, yes=False, no=True) == 2 * QUESTION + 2 + 2


def test_nested_fragments_are_worked_out_once() -> None:
    """Spread twice, each under a page of its own: 100^30 by size, and a formula of thirty parts."""
    fragments = "\n".join(
        f"fragment F{i} on Provider {{ a: models(first: $n) {{ ...C{i} ...C{i} }} }} "
        f"fragment C{i} on ModelConnection {{ nodes {{ provider {{ ...F{i + 1} }} }} }}"
        for i in range(30)
    )
    query = (
        "query ($n: Int, $slug: String!) { provider(slug: $slug) { ...F0 ...F0 } }\n"
        f"{fragments}\nfragment F30 on Provider {{ id }}"
    )
    document = known_document(query)
    found = document.cost(schema._schema, None, {"n": 100, "slug": "x"})
    # Twice a hundred at each level, and twice at the root.
    assert found > 2 * 200**30


async def test_each_answer_tells_its_cost(context: OperationContext) -> None:
    result = await schema.execute("{ models(first: 3) { nodes { id } } }", context_value=context)
    assert result.extensions == {"cost": {"requested": 54, "limit": DEFAULT_MOST_COST}}


CREATE = """mutation ($input: CreateProviderInput!) {
  createProvider(input: $input) { provider { id } userErrors { message } }
}"""


async def test_a_subscription_tells_it_once(context: OperationContext) -> None:
    query = "subscription { providerChanged { kind provider { name } } }"
    stream: AsyncIterator[Any] = await schema.stream(query, context_value=context)
    async with aclosing(stream) as events:  # type: ignore[type-var]  # it is a generator
        ready = await anext(events)
        assert ready.extensions["cost"]["requested"] == QUESTION + 3
        change = {"input": {"slug": "own", "name": "Own", "kind": "OPENAI", "apiKey": None}}
        made = await schema.execute(CREATE, change, context_value=context.fresh())
        assert not made.errors, made.errors
        created = await anext(events)
        assert created.data["providerChanged"]["kind"] == "CREATED"
        assert not created.extensions


@pytest.mark.parametrize("first", [3, 4])
async def test_what_costs_too_much_is_refused_before_it_runs(
    context: OperationContext, first: int
) -> None:
    limited = schema.limited(Limits(most_cost=QUESTION + 1 + 3))
    query = "query ($n: Int!) { models(first: $n) { nodes { id } } }"
    result = await limited.execute(query, {"n": first}, context_value=context)
    cost = {"requested": QUESTION + 1 + first, "limit": 54}
    assert result.extensions == {"cost": cost}
    if first == 3:
        assert not result.errors
        return
    (error,) = result.errors or []
    assert result.data is None
    assert error.message.startswith("the operation costs 55, at most 54 is allowed")
    assert "`first`" in error.message
    assert (error.extensions or {})["code"] == "BAD_USER_INPUT"


def test_a_dashboards_operations_fit_by_far() -> None:
    series = {"dimension": "MODEL", "timezone": "UTC", "window": {"period": "LAST_30_DAYS"}}
    for name, (text, _) in OPERATIONS.items():
        assert cost(text, name, input=series, first=100) < DEFAULT_MOST_COST / 4, name


def test_pages_of_a_hundred_within_a_hundred_fit() -> None:
    query = """{ providers(first: 100) { nodes { id slug name kind status models(first: 100) {
      totalCount nodes { id wireName name description contextWindow maxOutputTokens capabilities
      enabled deprecated source pricing { inputPerMillion outputPerMillion source } } } } } }"""
    assert 100 * 100 * 10 < cost(query) < DEFAULT_MOST_COST


async def test_introspection_fits_and_costs_more_than_it_answers(
    context: OperationContext,
) -> None:
    result = await schema.execute(get_introspection_query(), context_value=context)
    assert not result.errors
    extensions: Any = result.extensions
    assert fields(result.data) < extensions["cost"]["requested"] < DEFAULT_MOST_COST / 5


def fields(data: object) -> int:
    if isinstance(data, dict):
        return sum(1 + fields(value) for value in data.values())
    return sum(fields(one) for one in data) if isinstance(data, list) else 0
