"""Budgets that block: refused before anything is sent, with when it ends; or the next step."""

import asyncio
from typing import Any

import pytest

from db.vocabulary import BudgetAction, ProviderKind
from tests.server.gateway.world import ENDPOINTS, MESSAGES, World
from tests.trunkline.budgets.spending import make_budget, spend
from trunkline.budgets.inputs import BudgetScope
from trunkline.budgets.watching import BudgetWatch
from trunkline.catalog.price_overrides import PriceOverride
from trunkline.failover.steps import StepInput

SLUG = "openai-compatible"
UNTIL_MIDNIGHT = 9 * 3_600
"""The clock stands at three in the afternoon, and the budgets are by the day in UTC."""


@pytest.fixture
async def world(sqlite_world: World) -> World:
    """With the chain `test` of two models of two providers."""
    await sqlite_world.model("first")
    second = await sqlite_world.model("second", slug="other")
    await sqlite_world.chain("first", StepInput(model_id=second))
    sqlite_world.script(first=["ok"], second=["ok"])
    return sqlite_world


async def use_up(world: World, scope: BudgetScope, **where: Any) -> None:
    """A budget over this, and a dollar more than it has, spent there."""
    await make_budget(
        world.services, "10", scope=scope, action=BudgetAction.BLOCK, name="Too little"
    )
    await spend(world.services, "11", **{"provider": SLUG, "model": "first", **where})
    await BudgetWatch(world.services).look()


@pytest.mark.parametrize("endpoint", [*ENDPOINTS, "/v1/embeddings"])
async def test_a_budget_of_everything_refuses_all(world: World, endpoint: str) -> None:
    await use_up(world, BudgetScope(everything=True))
    for stream in (False, True):
        reply = await world.ask(endpoint, stream=stream, input="x")
        assert reply.status == 429
        assert reply.headers["retry-after"] == str(UNTIL_MIDNIGHT)
        assert reply.headers["x-should-retry"] == "false"
        assert (
            "'Too little' is used up, and blocks until 2026-11-24T00:00:00Z"
            in (reply.error["message"])
        )
        if endpoint != MESSAGES:
            assert reply.error["code"] == "budget_exhausted"
            assert reply.error["type"] == "insufficient_quota"
    assert world.seen == []
    stored = await world.stored()
    assert {(one.outcome, one.http_status, len(one.attempts)) for one in stored} == {
        ("REFUSED", 429, 0)
    }
    # The day after there is money again, even before anybody has looked.
    world.time.advance(UNTIL_MIDNIGHT)
    assert (await world.ask()).status == 200


async def test_a_budget_of_an_agent_refuses_that_agent_alone(world: World) -> None:
    await use_up(world, BudgetScope(agent="greedy"), agent="greedy")
    assert (await world.ask(headers={"x-trunkline-agent": "greedy"})).status == 429
    assert (await world.ask(metadata={"agent": "greedy"})).status == 429
    assert world.seen == []
    assert (await world.ask(headers={"x-trunkline-agent": "modest"})).status == 200
    assert (await world.ask()).status == 200


async def test_a_budget_of_a_chain_refuses_that_chain_alone(world: World) -> None:
    other = await world.chain("first", slug="another")
    await use_up(world, BudgetScope(chain_id=other.id), chain="another")
    refused = await world.ask(model="chain/another")
    assert (refused.status, refused.headers["retry-after"]) == (429, str(UNTIL_MIDNIGHT))
    assert world.seen == []
    assert (await world.ask()).status == 200
    assert (await world.ask(model=f"{SLUG}/first")).status == 200


@pytest.mark.parametrize("of", ["provider", "model"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_budget_of_a_step_makes_the_next_one_answer(
    world: World, of: str, stream: bool
) -> None:
    scope = BudgetScope(
        provider_id=await world.provider(ProviderKind.OPENAI_COMPATIBLE)
        if of == "provider"
        else None,
        model_id=await world.model("first") if of == "model" else None,
    )
    await use_up(world, scope)
    reply = await world.ask(stream=stream)
    assert (reply.status, reply.attempts) == (200, 1)
    assert world.seen_models == ["second"]
    attempts = await world.attempts()
    assert [one.outcome for one in attempts] == ["OVER_BUDGET", None]
    assert "2026-11-24T00:00:00Z" in attempts[0].reason

    alone = await world.ask(model=f"{SLUG}/first", stream=stream)
    assert (alone.status, alone.error["code"]) == (429, "budget_exhausted")
    assert "blocks until 2026-11-24T00:00:00Z" in alone.error["message"]
    assert alone.headers["retry-after"] == str(UNTIL_MIDNIGHT)
    assert world.seen_models == ["second"]
    # What was not tried says nothing of how it does.
    assert world.services.gateway.breakers.admit(1, 1) is not None


@pytest.mark.parametrize("of", ["agent", "chain", "everything"])
async def test_it_is_asked_before_each_attempt(world: World, of: str) -> None:
    second = await world.model("second", slug="other")
    chain = await world.chain("first", StepInput(model_id=second), slug="another")
    scopes = {
        "agent": BudgetScope(agent="greedy"),
        "chain": BudgetScope(chain_id=chain.id),
        "everything": BudgetScope(everything=True),
    }
    world.script(first=["silent"], second=["ok"])
    named = {"x-trunkline-agent": "greedy"}
    asking = asyncio.ensure_future(world.ask(model="chain/another", headers=named))
    await world.until_seen(1)
    await use_up(world, scopes[of], agent="greedy", chain="another")
    world.time.advance(300)
    reply = await asking
    assert reply.status == 504
    assert "'Too little' is used up" in reply.error["message"]
    assert [one.outcome for one in await world.attempts()] == ["TIMEOUT", "OVER_BUDGET"]
    assert world.seen_models == ["first"]


async def test_what_the_gateway_spends_uses_a_budget_up(world: World) -> None:
    price = PriceOverride(input_per_million=10**15, output_per_million=10**15)
    await world.model("dear", price_override=price)
    await world.chain("dear", slug="dear")
    world.script(dear=["ok"])
    await make_budget(
        world.services, "10", scope=BudgetScope(everything=True), action=BudgetAction.BLOCK
    )
    watch = BudgetWatch(world.services)
    await watch.look()
    assert (await world.ask(model="chain/dear")).status == 200
    await world.stored()
    await watch.look()
    assert (await world.ask(model="chain/dear")).status == 429
    assert len(world.seen) == 1
