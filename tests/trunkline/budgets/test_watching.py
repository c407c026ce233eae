"""The watch: each alert once, whoever looks and however often; what blocks, from memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from sqlalchemy import text

from db.budgets import BudgetRow
from db.engine import Database
from db.vocabulary import BudgetAction, BudgetPeriod, ChangeKind
from server.wiring import services_on
from tests.conftest import SECRET_KEY, SetClock
from tests.trunkline.budgets.spending import (
    eventually,
    given_alerts,
    make_budget,
    make_chain,
    new_budget,
    running,
    spend,
)
from tests.trunkline.usage.timing import Time
from trunkline.budgets.alerting import Look, give_alerts
from trunkline.budgets.changes import create_budget, delete_budget, update_budget
from trunkline.budgets.inputs import BudgetScope, BudgetUpdate
from trunkline.budgets.periods import period_at
from trunkline.budgets.spending import Spending
from trunkline.budgets.watching import GRACE, TICK_SECONDS, BudgetWatch, blocking_budget
from trunkline.events import BudgetAlerted, BudgetChanged, Subscription
from trunkline.money import format_nanos, parse_dollars
from trunkline.secrets import Secrets
from trunkline.services import Services


async def alerts_of(services: Services) -> list[tuple[int, str, str]]:
    """Threshold, amount and what was spent, of each alert in order."""
    return [
        (one.threshold, format_nanos(one.amount_usd), format_nanos(one.spent_usd))
        for one in await given_alerts(services)
    ]


def blocked(services: Services, **request: object) -> BudgetRow | None:
    asked = {"provider_id": 1, "model_id": 1, "agent": None, "chain_id": None} | request
    found = blocking_budget(services, **asked)  # type: ignore[arg-type]  # as the gateway asks
    return None if found is None else found.budget


@asynccontextmanager
async def second_server(services: Services, url: str) -> AsyncIterator[Services]:
    """Services of another process on the same database, as far as one process can have them."""
    database = Database.open(url)
    try:
        async with services_on(database, Secrets([SECRET_KEY]), clock=services.clock) as made:
            yield made
    finally:
        await database.close()


async def told(subscription: Subscription) -> list[object]:
    """What waits to be read."""
    found: list[object] = []
    while subscription._pending:
        found.append(await anext(subscription))
    return found


async def test_each_threshold_alerts_once_a_period(services: Services, clock: SetClock) -> None:
    budget = await make_budget(services, "10", thresholds=(50, 80, 100))
    watch = BudgetWatch(services)
    with services.events.subscribe(BudgetAlerted) as heard:
        for dollars in ("4.999999999", "0.000000001", "0.1", "4.9", "3"):
            await spend(services, dollars)
            await watch.look()
            await watch.look()
        events = await told(heard)
    assert await alerts_of(services) == [
        (50, "10", "5"),
        (80, "10", "10"),
        (100, "10", "10"),
    ]
    given = await given_alerts(services)
    assert events == [BudgetAlerted(ChangeKind.CREATED, one.id, budget.id) for one in given]
    # The next day begins with nothing spent, and each threshold may be reached again.
    clock.advance(days=1)
    await watch.look()
    assert len(await given_alerts(services)) == 3
    await spend(services, "6")
    await watch.look()
    assert (await alerts_of(services))[3:] == [(50, "10", "6")]
    assert (await given_alerts(services))[3].period_start == given[0].period_end


async def test_a_restart_repeats_nothing_and_misses_nothing(
    services: Services, database_url: str
) -> None:
    await make_budget(services, "10")
    await spend(services, "6")
    await BudgetWatch(services).look()
    # Spent while nobody watched.
    await spend(services, "3")
    async with second_server(services, database_url) as restarted:
        with restarted.events.subscribe(BudgetAlerted) as heard:
            await BudgetWatch(restarted).look()
            assert len(await told(heard)) == 1
    assert [alert[0] for alert in await alerts_of(services)] == [50, 80]


async def test_two_servers_that_look_at_once_alert_once(
    services: Services, database_url: str
) -> None:
    for place in range(5):
        await make_budget(services, "10", name=f"Budget {place}")
    async with second_server(services, database_url) as other:
        watches = [BudgetWatch(services), BudgetWatch(other)]
        with (
            services.events.subscribe(BudgetAlerted) as here,
            other.events.subscribe(BudgetAlerted) as there,
        ):
            for dollars in ("6", "3", "5"):
                await spend(services, dollars)
                await asyncio.gather(*(watch.look() for watch in watches * 3))
            events = [*await told(here), *await told(there)]
    given = await given_alerts(services)
    assert len(given) == 15
    assert sorted(event.id for event in events if isinstance(event, BudgetAlerted)) == [
        one.id for one in given
    ]


async def test_another_amount_alerts_anew(services: Services) -> None:
    budget = await make_budget(services, "10", thresholds=(50, 100))
    watch = BudgetWatch(services)
    await spend(services, "10")
    await watch.look()
    await update_budget(services, BudgetUpdate(id=budget.id, amount_nanos=parse_dollars("20")))
    await watch.look()
    await spend(services, "10")
    await watch.look()
    # Back to an amount that has alerted in this period: it is known.
    await update_budget(services, BudgetUpdate(id=budget.id, amount_nanos=parse_dollars("10")))
    await watch.look()
    assert await alerts_of(services) == [
        (50, "10", "10"),
        (100, "10", "10"),
        (50, "20", "10"),
        (100, "20", "20"),
    ]


async def test_a_day_and_the_week_that_begin_together_alert_apart(
    services: Services, clock: SetClock
) -> None:
    assert clock().weekday() == 0
    budget = await make_budget(services, "10", thresholds=(50,))
    watch = BudgetWatch(services)
    await spend(services, "5")
    await watch.look()
    await update_budget(services, BudgetUpdate(id=budget.id, period=BudgetPeriod.WEEK))
    await watch.look()
    day, week = await given_alerts(services)
    assert day.period_start == week.period_start
    assert week.period_end - day.period_end == timedelta(days=6)


async def test_what_was_spent_in_the_last_moments_still_alerts(
    services: Services, clock: SetClock
) -> None:
    await make_budget(services, "10", thresholds=(50, 80, 100))
    watch = BudgetWatch(services)
    clock.advance(hours=8, minutes=59, seconds=59)
    last = clock()
    await spend(services, "5")
    clock.advance(seconds=2)
    await watch.look()
    assert [alert[0] for alert in await alerts_of(services)] == [50]
    assert (await given_alerts(services))[0].period_end == last + timedelta(seconds=1)
    # What comes to light later is no news of a period that is over.
    clock.advance(seconds=GRACE.total_seconds())
    await spend(services, "5", at=last)
    await watch.look()
    assert [alert[0] for alert in await alerts_of(services)] == [50]


async def test_a_new_budget_does_not_look_back(services: Services, clock: SetClock) -> None:
    await spend(services, "50")
    clock.advance(hours=9, minutes=1)
    await make_budget(services, "10")
    await BudgetWatch(services).look()
    assert await given_alerts(services) == []


async def test_a_budget_over_a_spent_period_alerts_at_once(services: Services) -> None:
    await spend(services, "9")
    await make_budget(services, "10")
    await BudgetWatch(services).look()
    assert [alert[0] for alert in await alerts_of(services)] == [50, 80]


async def test_disabled_and_deleted_budgets_are_silent(services: Services) -> None:
    off = await make_budget(services, "10", enabled=False)
    gone = await make_budget(services, "10")
    await delete_budget(services, gone.id, None)
    await spend(services, "10")
    watch = BudgetWatch(services)
    await watch.look()
    assert await given_alerts(services) == []
    await update_budget(services, BudgetUpdate(id=off.id, enabled=True))
    await watch.look()
    assert len(await given_alerts(services)) == 3


async def test_a_used_up_budget_blocks_its_scope_until_its_period_ends(
    services: Services, clock: SetClock
) -> None:
    watch = BudgetWatch(services)
    budget = await make_budget(
        services, "10", scope=BudgetScope(agent="a"), action=BudgetAction.BLOCK
    )
    await spend(services, "9.999999999", agent="a")
    await watch.look()
    assert blocked(services, agent="a") is None
    with services.events.subscribe(BudgetChanged) as heard:
        await spend(services, "0.000000001", agent="a")
        await watch.look()
        assert BudgetChanged(ChangeKind.UPDATED, budget.id) in await told(heard)
        await watch.look()
        assert await told(heard) == []
    found = blocked(services, agent="a")
    assert found is not None
    assert found.id == budget.id
    assert blocked(services, agent="b") is None
    assert blocked(services) is None
    # Raised, it blocks no longer, from the next look on.
    await update_budget(services, BudgetUpdate(id=budget.id, amount_nanos=parse_dollars("11")))
    await watch.look()
    assert blocked(services, agent="a") is None
    await spend(services, "1", agent="a")
    await watch.look()
    assert blocked(services, agent="a") is not None
    # The period's end frees it, before anybody looks.
    clock.advance(hours=9)
    assert blocked(services, agent="a") is None


@pytest.mark.parametrize(
    ("scope", "request_"),
    [
        (BudgetScope(everything=True), {}),
        (BudgetScope(provider_id=1), {"provider_id": 1}),
        (BudgetScope(model_id=1), {"model_id": 1}),
        (BudgetScope(agent="a"), {"agent": "a"}),
        (BudgetScope(chain_id=1), {"chain_id": 1}),
    ],
)
async def test_each_scope_blocks_its_requests_and_no_others(
    services: Services, scope: BudgetScope, request_: dict[str, object]
) -> None:
    await spend(services, "1", agent="a")
    await make_chain(services, 1)
    await spend(services, "9", agent="a", chain="support")
    await make_budget(services, "9", scope=scope, action=BudgetAction.BLOCK)
    await BudgetWatch(services).look()
    other = {"provider_id": 7, "model_id": 7, "agent": "z", "chain_id": 7}
    assert blocked(services, **(other | request_)) is not None
    assert (blocked(services, **other) is None) == bool(request_)


async def test_it_looks_on_usage_at_most_four_times_a_second_and_when_a_period_turns(
    services: Services, clock: SetClock, time: Time
) -> None:
    await make_budget(services, "10", action=BudgetAction.BLOCK)
    watch = BudgetWatch(services, sleep=time.sleep)

    async def asleep() -> bool:
        return bool(time.sleepers)

    async def given(count: int) -> bool:
        return len(await given_alerts(services)) == count

    async with running(watch.run()):
        await eventually(asleep)
        await spend(services, "6")
        await spend(services, "3")
        # Within the tick nobody looks.
        await asyncio.sleep(0.02)
        assert await given(0)
        time.advance(seconds=1)
        await eventually(lambda: given(2))
        time.advance(seconds=1)
        await eventually(asleep)
        with services.events.subscribe(BudgetChanged) as heard:
            await spend(services, "1")

            async def looked() -> bool:
                time.advance(seconds=TICK_SECONDS)
                return blocked(services) is not None

            await eventually(looked)
            await eventually(lambda: given(3))

            async def quiet() -> bool:
                time.advance(seconds=TICK_SECONDS)
                await asyncio.sleep(0.01)
                return not await told(heard)

            await eventually(quiet)
            # The day turns, and whoever shows the budget hears of it.
            for _ in range(9 * 60 + 1):
                time.advance(minutes=1)
                await asyncio.sleep(0)

            async def turned() -> bool:
                time.advance(seconds=1)
                return bool(heard._pending)

            await eventually(turned)


@pytest.mark.parametrize("scope", [BudgetScope(agent="endless"), BudgetScope(everything=True)])
async def test_what_can_not_be_summed_has_used_up_its_own_budget_and_no_other(
    services: Services, clock: SetClock, scope: BudgetScope
) -> None:
    month = {"period": BudgetPeriod.CALENDAR_MONTH, "action": BudgetAction.BLOCK}
    spender = await make_budget(services, "10", scope=scope, **month)
    other = await make_budget(services, "10", scope=BudgetScope(agent="b"), **month)
    for days in range(4):
        await spend(services, "1", agent="endless", at=clock.now - timedelta(days=days))
    await spend(services, "6", agent="b")
    # Eighteen billion dollars: more nanodollars than 64 bits hold.
    await services.database.transact(
        lambda connection: connection.execute(
            text(f"UPDATE usage_rollups SET cost_nanos = {2**62} WHERE agent <> 'b'")
        )
    )
    watch = BudgetWatch(services)
    await watch.look()
    blocking = blocked(services, agent="endless")
    assert blocking is not None
    assert blocking.id == spender.id
    given = [(alert.budget_id, alert.threshold) for alert in await given_alerts(services)]
    assert given.count((other.id, 50)) == 1
    assert [one for one in given if one[0] == spender.id] == [
        (spender.id, threshold) for threshold in (50, 80, 100)
    ]


async def test_it_survives_a_bad_moment_of_the_store(services: Services, time: Time) -> None:
    await make_budget(services, "10")
    await spend(services, "6")
    watch = BudgetWatch(services, sleep=time.sleep)

    async def rename(before: str, after: str) -> None:
        statement = text(f"ALTER TABLE {before} RENAME TO {after}")
        await services.database.transact(lambda connection: connection.execute(statement))

    async def asleep() -> bool:
        return bool(time.sleepers)

    async def given() -> bool:
        time.advance(seconds=1)
        return len(await given_alerts(services)) == 1

    await rename("budgets", "budgets_away")
    async with running(watch.run()):
        await eventually(asleep)
        await rename("budgets_away", "budgets")
        await eventually(given)


async def test_an_alert_of_a_budget_that_changed_meanwhile_waits_for_the_next_look(
    services: Services,
) -> None:
    budget = (await create_budget(services, new_budget("10"))).budget
    look = Look(
        budget,
        period_at(budget.period, budget.timezone, services.clock()),
        Spending(parse_dollars("6"), 0),
    )
    await update_budget(services, BudgetUpdate(id=budget.id, amount_nanos=parse_dollars("20")))
    await give_alerts(services, [(look, key) for key in look.keys])
    assert await given_alerts(services) == []
