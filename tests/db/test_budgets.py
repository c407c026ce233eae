"""Budgets in the store: pages, alerts that go in once, deliveries that one sender gets."""

from datetime import UTC, datetime, timedelta

from db.budget_alerts import AlertKey, given_alerts, insert_alert, load_alerts, page_alerts
from db.budget_webhooks import (
    claim_due,
    finish_attempt,
    insert_delivery,
    load_last_deliveries,
    next_due,
)
from db.budgets import delete_budget, insert_budget, load_budgets, page_budgets
from db.engine import Connection, Database
from db.paging import PageRequest
from db.vocabulary import BudgetAction, BudgetPeriod, BudgetScopeKind, WebhookDeliveryStatus

NOW = datetime(2026, 11, 23, 15, tzinfo=UTC)
LATER = NOW + timedelta(seconds=60)


async def stored(connection: Connection, name: str) -> int:
    return await insert_budget(
        connection,
        name=name,
        scope_kind=BudgetScopeKind.ALL,
        scope_id=0,
        scope_agent="",
        amount_nanos=10,
        period=BudgetPeriod.DAY,
        timezone="UTC",
        action=BudgetAction.ALERT,
        thresholds=(50,),
        enabled=True,
        now=NOW,
    )


def key(budget_id: int, threshold: int = 50) -> AlertKey:
    return AlertKey(budget_id, NOW, LATER, 10, threshold)


async def give(connection: Connection, one: AlertKey) -> int | None:
    return await insert_alert(connection, one, spent_nanos=5, unpriced_requests=0, now=NOW)


async def test_pages_go_by_name_and_leave_out_the_deleted(database: Database) -> None:
    async def fill(connection: Connection) -> None:
        for name in ("b", "Ä", "a", "B", "gone"):
            await stored(connection, name)
        await delete_budget(connection, 5, now=NOW)

    await database.transact(fill)
    names: list[str] = []
    after = None
    async with database.read() as connection:
        while True:
            page = await page_budgets(connection, PageRequest(2, after, with_total=True))
            names += [budget.name for budget in page.nodes]
            assert page.total_count == 4
            if not page.has_next_page:
                break
            after = page.end_cursor
    assert names == ["a", "b", "B", "Ä"]


async def test_an_alert_goes_in_once_and_outlives_its_budget(database: Database) -> None:
    async def fill(connection: Connection) -> list[int | None]:
        budget_id = await stored(connection, "first")
        other = await stored(connection, "second")
        made = [
            await give(connection, one)
            for one in (
                key(budget_id),
                key(budget_id),
                key(budget_id, 80),
                key(other),
                key(budget_id)._replace(amount_nanos=11),
                key(budget_id)._replace(period_start=LATER),
            )
        ]
        await delete_budget(connection, budget_id, now=NOW)
        return made

    made = await database.transact(fill)
    assert [one is None for one in made] == [False, True, False, False, False, False]
    async with database.read() as connection:
        page = await page_alerts(connection, PageRequest(3, with_total=True), [1])
        assert [alert.id for alert in page.nodes] == [made[5], made[4], made[2]]
        assert page.total_count == 4
        rest = await page_alerts(connection, PageRequest(3, page.end_cursor), [1])
        assert [alert.id for alert in rest.nodes] == [made[0]]
        assert rest.nodes[0].budget_name == "first"
        assert set(await load_alerts(connection, [made[3] or 0, 99])) == {made[3]}
        assert await given_alerts(connection, [1], LATER) == {key(1)._replace(period_start=LATER)}
        assert await load_budgets(connection, [1]) == {}


async def test_a_delivery_is_claimed_by_one_and_comes_back_when_it_is_given_up(
    database: Database,
) -> None:
    async def fill(connection: Connection) -> None:
        budget_id = await stored(connection, "first")
        for threshold in (1, 2, 3):
            alert_id = await give(connection, key(budget_id, threshold))
            await insert_delivery(
                connection,
                alert_id=alert_id or 0,
                budget_id=budget_id,
                message_id=f"msg_{threshold}",
                body="{}",
                now=NOW,
            )

    await database.transact(fill)

    async def claimed(now: datetime, limit: int = 2) -> list[tuple[str, int]]:
        found = await database.transact(
            lambda connection: claim_due(
                connection, now=now, until=now + timedelta(seconds=60), limit=limit
            )
        )
        return [(one.message_id, one.attempts) for one in found]

    assert await claimed(NOW - timedelta(seconds=1)) == []
    assert await claimed(NOW) == [("msg_1", 1), ("msg_2", 1)]
    assert await claimed(NOW) == [("msg_3", 1)]
    assert await claimed(NOW) == []
    async with database.read() as connection:
        assert await next_due(connection) == LATER
    assert await claimed(LATER, 1) == [("msg_1", 2)]


async def test_who_was_given_up_for_dead_has_no_say_any_more(database: Database) -> None:
    async def fill(connection: Connection) -> None:
        alert_id = await give(connection, key(await stored(connection, "first")))
        await insert_delivery(
            connection,
            alert_id=alert_id or 0,
            budget_id=1,
            message_id="msg_1",
            body="{}",
            now=NOW,
        )

    await database.transact(fill)

    async def claims(connection: Connection) -> list[bool]:
        [late] = await claim_due(connection, now=NOW, until=LATER, limit=1)
        [present] = await claim_due(connection, now=LATER, until=LATER, limit=1)
        return [
            await finish_attempt(
                connection,
                one,
                status=status,
                next_attempt_at=LATER,
                http_status=None,
                error=error,
            )
            for one, status, error in (
                (late, WebhookDeliveryStatus.FAILED, "late"),
                (present, WebhookDeliveryStatus.DELIVERED, None),
                (present, WebhookDeliveryStatus.FAILED, "twice"),
            )
        ]

    assert await database.transact(claims) == [False, True, False]
    async with database.read() as connection:
        last = (await load_last_deliveries(connection, [1]))[1]
        assert (last.status, last.attempts) == (WebhookDeliveryStatus.DELIVERED, 2)
        assert last.error is None
        assert await next_due(connection) is None
