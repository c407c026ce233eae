"""Budgets over GraphQL, on both databases: set, read, watched, and what odd input gets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from resolvers.context import OperationContext
from schema.node import encode_id
from schema.root import schema
from tests.conftest import Execute, SetClock
from trunkline.budgets.watching import BudgetWatch
from trunkline.providers.seeding import seed_providers
from trunkline.services import Services

CREATE = """mutation ($input: CreateBudgetInput!) { createBudget(input: $input) {
  budget { id name thresholds action enabled version scope { kind label agent
    subject { __typename ... on Node { id } } }
    webhook { url disabledAt lastDelivery { status } } state { spentUsd } }
  webhookSecret userErrors { code field message } } }"""
UPDATE = """mutation ($input: UpdateBudgetInput!) { updateBudget(input: $input) {
  budget { id version webhook { url } } webhookSecret userErrors { code field } } }"""
STATES = """{ budgets { totalCount nodes { name scope { label subject { __typename } } state {
  periodStart periodEnd spentUsd remainingUsd usedPercent unpricedRequests blocked
  reachedThresholds } } } }"""
ALERTS = """query ($ids: [ID!]) { budgetAlerts(budgetIds: $ids) { totalCount nodes {
  id budgetId budgetName threshold amountUsd spentUsd periodStart periodEnd
  delivery { status attempts error } } } }"""
RECORD = """mutation ($events: [UsageEventInput!]!) { recordUsage(input: { events: $events }) {
  recorded userErrors { message } } }"""
BUDGET = {
    "name": "Everything",
    "scope": {"all": True},
    "amountUsd": "10",
    "period": "DAY",
    "timezone": "America/New_York",
}


@pytest.fixture
async def provider_id(services: Services, execute: Execute) -> str:
    await seed_providers(services.database, services.catalog, services.clock)
    data = await execute('{ provider(slug: "anthropic") { id } }')
    found: str = data["provider"]["id"]
    return found


async def create(execute: Execute, **fields: Any) -> dict[str, Any]:
    payload: dict[str, Any] = (await execute(CREATE, input=BUDGET | fields))["createBudget"]
    return payload


async def spend(execute: Execute, key: str, dollars: str, agent: str | None = None) -> None:
    event = {
        "idempotencyKey": key, "providerSlug": "anthropic", "modelName": "claude-sonnet-4-5",
        "inputTokens": 1, "costUsd": dollars, "agent": agent,
    }  # fmt: skip
    assert (await execute(RECORD, events=[event]))["recordUsage"]["recorded"] == 1


async def code_and_message(context: OperationContext, query: str, **variables: Any) -> str:
    result = await schema.execute(query, variables, context_value=context)
    assert result.errors is not None
    [error] = result.errors
    assert error.extensions is not None
    return f"{error.extensions['code']}: {error.message}"


async def test_a_budget_with_its_defaults(execute: Execute, provider_id: str) -> None:
    payload = await create(execute, scope={"providerId": provider_id})
    assert payload["userErrors"] == []
    assert payload["webhookSecret"] is None
    assert {key: value for key, value in payload["budget"].items() if key != "id"} == {
        "name": "Everything",
        "thresholds": [50, 80, 100],
        "action": "ALERT",
        "enabled": True,
        "version": 1,
        "scope": {
            "kind": "PROVIDER",
            "label": "Anthropic",
            "agent": None,
            "subject": {"__typename": "Provider", "id": provider_id},
        },
        "webhook": None,
        "state": {"spentUsd": "0"},
    }
    query = "query ($id: ID!) { node(id: $id) { __typename id } budget(id: $id) { id } }"
    found = await execute(query, id=payload["budget"]["id"])
    assert found["node"] == {"__typename": "Budget", "id": payload["budget"]["id"]}
    assert found["budget"]["id"] == payload["budget"]["id"]
    nothing = await execute(query, id=encode_id("Provider", 1))
    assert nothing["budget"] is None


async def test_states_of_a_list_and_what_they_show(
    execute: Execute, provider_id: str, count_statements: Callable[[], Any]
) -> None:
    await create(execute, name="b", scope={"agent": "a"}, action="BLOCK", amountUsd="8")
    await create(execute, name="a")
    await create(execute, name="c", scope={"providerId": provider_id}, amountUsd="1000000000")
    await spend(execute, "one", "8.000000001", "a")
    with count_statements() as statements:
        budgets = (await execute(STATES))["budgets"]
    assert budgets["totalCount"] == 3
    assert [one["name"] for one in budgets["nodes"]] == ["a", "b", "c"]
    assert budgets["nodes"][1]["state"] == {
        "periodStart": "2026-11-23T05:00:00Z",
        "periodEnd": "2026-11-24T05:00:00Z",
        "spentUsd": "8.000000001",
        "remainingUsd": "0",
        "usedPercent": pytest.approx(100),
        "unpricedRequests": 0,
        "blocked": True,
        "reachedThresholds": [50, 80, 100],
    }
    assert budgets["nodes"][0]["state"]["reachedThresholds"] == [50, 80]
    assert budgets["nodes"][2]["state"]["remainingUsd"] == "999999991.999999999"
    # The page, its count, the providers of scopes, the clock, and two dimensions.
    assert len(statements) == 6


async def test_alerts_are_pushed_once_and_stay_readable(
    services: Services, context: OperationContext, execute: Execute, provider_id: str
) -> None:
    budget_id = (await create(execute, webhookUrl="https://hooks.example.com/"))["budget"]["id"]
    other_id = (await create(execute, scope={"agent": "b"}, amountUsd="1"))["budget"]["id"]
    watch = BudgetWatch(services)
    text = """subscription ($ids: [ID!]) { budgetAlert(budgetIds: $ids) { kind id alert {
      threshold spentUsd budgetId } } }"""
    async with aclosing(
        await schema.stream(text, {"ids": [budget_id]}, context_value=context)
    ) as updates:
        assert await received(updates) == {"kind": "READY", "id": None, "alert": None}
        await spend(execute, "one", "9", "b")
        await watch.look()
        await watch.look()
        messages = [await received(updates), await received(updates)]
    assert [(one["kind"], one["alert"]) for one in messages] == [
        ("CREATED", {"threshold": threshold, "spentUsd": "9", "budgetId": budget_id})
        for threshold in (50, 80)
    ]
    listed = (await execute(ALERTS, ids=[budget_id]))["budgetAlerts"]
    assert [one["id"] for one in listed["nodes"]] == [one["id"] for one in messages][::-1]
    assert listed["nodes"][1] == {
        "id": messages[0]["id"],
        "budgetId": budget_id,
        "budgetName": "Everything",
        "threshold": 50,
        "amountUsd": "10",
        "spentUsd": "9",
        "periodStart": "2026-11-23T05:00:00Z",
        "periodEnd": "2026-11-24T05:00:00Z",
        "delivery": {"status": "PENDING", "attempts": 0, "error": None},
    }
    assert (await execute(ALERTS))["budgetAlerts"]["totalCount"] == 5
    query = "mutation ($id: ID!) { deleteBudget(input: { id: $id }) { deletedId } }"
    assert (await execute(query, id=other_id))["deleteBudget"]["deletedId"] == other_id
    assert len((await execute(ALERTS, ids=[other_id]))["budgetAlerts"]["nodes"]) == 3
    node = "query ($id: ID!) { node(id: $id) { ... on BudgetAlert { threshold } } }"
    assert (await execute(node, id=messages[0]["id"]))["node"] == {"threshold": 50}


async def test_changes_are_pushed_and_so_is_a_block(
    services: Services,
    context: OperationContext,
    execute: Execute,
    provider_id: str,
    clock: SetClock,
) -> None:
    watch = BudgetWatch(services)
    text = "subscription { budgetChanged { kind id budget { version state { blocked } } } }"
    async with aclosing(await schema.stream(text, context_value=context)) as updates:
        assert (await received(updates))["kind"] == "READY"
        budget = (await create(execute, action="BLOCK", thresholds=[]))["budget"]
        created = await received(updates)
        assert (created["kind"], created["id"]) == ("CREATED", budget["id"])
        await watch.look()
        await spend(execute, "one", "10")
        await watch.look()
        assert (await received(updates))["budget"]["state"] == {"blocked": True}
        clock.advance(days=1)
        await watch.look()
        assert (await received(updates))["budget"]["state"] == {"blocked": False}
        await execute(
            "mutation ($id: ID!) { deleteBudget(input: { id: $id }) { deletedId } }",
            id=budget["id"],
        )
        gone = await received(updates)
        assert (gone["kind"], gone["budget"]) == ("DELETED", None)


async def test_the_secret_is_nowhere_but_in_the_answer_that_made_it(
    execute: Execute, provider_id: str
) -> None:
    url = "https://hooks.example.com/a?token=x"
    payload = await create(execute, webhookUrl=url)
    secret = payload["webhookSecret"]
    assert secret.startswith("whsec_")
    assert payload["budget"]["webhook"] == {"url": url, "disabledAt": None, "lastDelivery": None}
    changed = {"id": payload["budget"]["id"], "webhookUrl": "https://other.example.com/"}
    updated = (await execute(UPDATE, input=changed))["updateBudget"]
    assert (updated["webhookSecret"], updated["budget"]["version"]) == (None, 2)
    removed = (await execute(UPDATE, input=changed | {"webhookUrl": None}))["updateBudget"]
    assert removed["budget"]["webhook"] is None


async def test_what_a_form_gets_to_hear(execute: Execute, provider_id: str) -> None:
    payload = await create(
        execute,
        name="",
        scope={"modelId": provider_id},
        amountUsd="0",
        timezone="Nowhere",
        thresholds=[50, 50],
        webhookUrl="http://localhost/",
    )
    assert payload["budget"] is None
    assert {(one["code"], *one["field"]) for one in payload["userErrors"]} == {
        ("INVALID", "name"),
        ("NOT_FOUND", "scope", "modelId"),
        ("INVALID", "amountUsd"),
        ("INVALID", "timezone"),
        ("DUPLICATE", "thresholds", "1"),
        ("INVALID", "webhookUrl"),
    }


@pytest.mark.parametrize("scope", [{}, {"all": True, "agent": "a"}, {"all": None}, {"agent": None}])
async def test_a_scope_is_exactly_one(context: OperationContext, scope: dict[str, Any]) -> None:
    told = await code_and_message(context, CREATE, input=BUDGET | {"scope": scope})
    assert told.startswith("BAD_USER_INPUT")


@pytest.mark.parametrize(
    "query",
    [
        "{ budgets(first: 101) { totalCount } }",
        '{ budgets(after: "x") { totalCount } }',
        '{ budgetAlerts(after: "x") { totalCount } }',
        '{ budgetAlerts(budgetIds: ["x"]) { totalCount } }',
    ],
)
async def test_odd_questions_are_refused(context: OperationContext, query: str) -> None:
    assert (await code_and_message(context, query)).startswith("BAD_USER_INPUT")


async def test_a_filter_has_a_bound(context: OperationContext) -> None:
    ids = [encode_id("Budget", number) for number in range(1_001)]
    assert "at most 1000" in await code_and_message(context, ALERTS, ids=ids)


async def test_nobody_reads_budgets_without_signing_in(services: Services) -> None:
    stranger = OperationContext(services, None, "request-1")
    for query in (STATES, ALERTS):
        assert (await code_and_message(stranger, query)).startswith("UNAUTHENTICATED")


async def received(updates: AsyncIterator[Any]) -> dict[str, Any]:
    result = await asyncio.wait_for(anext(updates), 10)
    assert not result.errors, result.errors
    (payload,) = result.data.values()
    found: dict[str, Any] = payload
    return found
