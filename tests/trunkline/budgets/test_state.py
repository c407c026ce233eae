"""How budgets stand: whose spending counts, exactly, and after its object is gone."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from db.budgets import BudgetRow, enabled_budgets
from db.models import find_model_by_name
from db.providers import find_provider_by_slug
from db.rollup_columns import LARGEST
from db.vocabulary import BudgetAction, BudgetPeriod, ProviderKind
from tests.conftest import SetClock
from tests.trunkline.budgets.spending import ALL, make_budget, make_chain, spend
from trunkline.budgets.inputs import BudgetScope
from trunkline.budgets.state import BudgetState, read_states
from trunkline.failover.chains import delete_chain
from trunkline.money import parse_dollars
from trunkline.providers.changes import NewProvider, create_provider, delete_provider
from trunkline.services import Services


async def states(services: Services, *budgets: BudgetRow) -> list[BudgetState]:
    async with services.database.read() as connection:
        found = await read_states(connection, budgets, services.clock())
    return [found[budget] for budget in budgets]


async def provider_and_model(services: Services, model: str = "llama") -> tuple[int, int]:
    async with services.database.read() as connection:
        provider = await find_provider_by_slug(connection, "local")
        assert provider is not None
        found = await find_model_by_name(connection, provider.id, model)
    assert found is not None
    return provider.id, found.id


async def test_each_scope_counts_its_own_spending(services: Services) -> None:
    await create_provider(
        services, NewProvider(slug="other", name="Other", kind=ProviderKind.OLLAMA)
    )
    await spend(services, "1")
    provider_id, model_id = await provider_and_model(services)
    await make_chain(services, model_id)
    await spend(services, "2", agent="a")
    await spend(services, "4", model="phi", agent="b")
    await spend(services, "8", provider="other", agent="a")
    await spend(services, "16.000000001", chain="support")
    budgets = [
        await make_budget(services, scope=scope)
        for scope in (
            ALL,
            BudgetScope(provider_id=provider_id),
            BudgetScope(model_id=model_id),
            BudgetScope(agent="a"),
            BudgetScope(agent="nobody"),
            BudgetScope(chain_id=1),
        )
    ]
    spent = [state.spent_usd for state in await states(services, *budgets)]
    assert spent == [
        parse_dollars(one)
        for one in ("31.000000001", "23.000000001", "19.000000001", "10", "0", "16.000000001")
    ]
    # Asked for without the budget of everything, the others count the same.
    assert [one.spent_usd for one in await states(services, *budgets[1:])] == spent[1:]


async def test_what_is_left_what_is_reached_and_what_blocks(services: Services) -> None:
    budget = await make_budget(services, "10", action=BudgetAction.BLOCK, thresholds=(50, 100, 120))
    alerting = await make_budget(services, "10")
    off = await make_budget(services, "10", action=BudgetAction.BLOCK, enabled=False)
    seen = []
    for dollars in ("4.999999999", "0.000000001", "4.999999999", "0.000000001", "2"):
        await spend(services, dollars)
        blocking, other, disabled = await states(services, budget, alerting, off)
        assert not other.blocked
        assert not disabled.blocked
        seen.append(
            (
                blocking.remaining_usd,
                blocking.used_percent,
                blocking.blocked,
                blocking.reached_thresholds,
            )
        )
    assert seen == [
        (parse_dollars("5.000000001"), pytest.approx(50), False, ()),
        (parse_dollars("5"), 50, False, (50,)),
        (1, pytest.approx(100), False, (50,)),
        (0, 100, True, (50, 100)),
        (0, 120, True, (50, 100, 120)),
    ]


async def test_what_can_not_be_summed_is_spent_and_no_error(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.usage.intake.MOST_COST_NANOS", LARGEST)
    monkeypatch.setattr("trunkline.usage.priced_events.MOST_PRICED_NANOS", LARGEST)
    month = BudgetPeriod.CALENDAR_MONTH
    every = await make_budget(services, "10", action=BudgetAction.BLOCK, period=month)
    other = await make_budget(services, "10", scope=BudgetScope(agent="b"), period=month)
    largest = str(Decimal(LARGEST).scaleb(-9))
    now = services.clock()
    for place, (dollars, agent) in enumerate(((largest, "a"), (largest, "a"), ("1", "b"))):
        await spend(services, dollars, agent=agent, at=now - timedelta(days=5 + place))
    [state, small] = await states(services, every, other)
    assert (state.spent_usd, state.remaining_usd) == (LARGEST, 0)
    assert (state.blocked, state.reached_thresholds) == (True, (50, 80, 100))
    assert small.spent_usd == parse_dollars("1")


async def test_an_unknown_price_makes_it_a_lower_bound(services: Services) -> None:
    await create_provider(
        services,
        NewProvider(
            slug="paid",
            name="P",
            kind=ProviderKind.OPENAI_COMPATIBLE,
            base_url="http://127.0.0.1:9",
        ),
    )
    budget = await make_budget(services)
    await spend(services, None, provider="paid", model="nobody-knows-it")
    [state] = await states(services, budget)
    assert (state.spent_usd, state.unpriced_requests) == (0, 1)


async def test_a_period_counts_its_own_time_only(services: Services, clock: SetClock) -> None:
    # It is three in the afternoon in UTC, and two in the morning of the next day at Lord Howe.
    here = await make_budget(services, timezone="UTC")
    there = await make_budget(services, timezone="Australia/Lord_Howe")
    now = clock()
    await spend(services, "1", at=now - timedelta(hours=2, seconds=1))
    await spend(services, "2", at=now - timedelta(hours=2))
    await spend(services, "4", at=now - timedelta(hours=15, seconds=1))
    first, second = await states(services, here, there)
    assert (first.spent_usd, second.spent_usd) == (parse_dollars("3"), parse_dollars("2"))
    assert second.period_start == now - timedelta(hours=2)
    clock.advance(hours=9)
    [first] = await states(services, here)
    assert (first.spent_usd, first.period_start) == (0, clock())


async def test_the_state_outlives_what_it_is_of(services: Services) -> None:
    await spend(services, "1")
    provider_id, model_id = await provider_and_model(services)
    chain = await make_chain(services, model_id)
    await spend(services, "2", chain="support")
    budgets = [
        await make_budget(services, scope=BudgetScope(chain_id=chain.id)),
        await make_budget(services, scope=BudgetScope(model_id=model_id)),
        await make_budget(services, scope=BudgetScope(provider_id=provider_id)),
    ]
    await delete_chain(services, chain.id, None)
    await delete_provider(services, provider_id, None)
    async with services.database.read() as connection:
        standing = await enabled_budgets(connection)
    assert [budget.scope.label for budget in standing] == ["Support", "llama", "Local"]
    spent = [state.spent_usd for state in await states(services, *standing)]
    assert spent == [parse_dollars("2"), parse_dollars("3"), parse_dollars("3")]
    assert [budget.scope.id for budget in standing] == [one.scope.id for one in budgets]


async def test_many_budgets_cost_a_statement_for_each_dimension(
    services: Services, count_statements: Callable[[], Any]
) -> None:
    provider_id = 1
    budgets = [
        await make_budget(services, scope=scope)
        for place in range(10)
        for scope in (ALL, BudgetScope(provider_id=provider_id), BudgetScope(agent=f"a-{place}"))
    ]
    with count_statements() as statements:
        await states(services, *budgets)
    # The clock of commits, all with its provider, and the agents.
    assert len(statements) == 3
