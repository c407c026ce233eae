"""Gives alerts: each once for a period, an amount and a threshold, whoever sees it reached.

The row of an alert is inserted in one transaction with what its webhook is to get. Whoever inserted
it tells of it after the commit; whoever comes second finds it there and is silent. So a restart and
a second server on the same database repeat nothing, and nothing is lost between the two.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from db import budget_alerts as alerts
from db import budgets as store
from db.budget_alerts import AlertKey
from db.budget_webhooks import insert_delivery
from db.budgets import BudgetRow
from db.engine import Connection
from db.vocabulary import ChangeKind
from trunkline.budgets.spending import Spending
from trunkline.budgets.state import reached
from trunkline.budgets.webhooks import generate_message_id, message_body
from trunkline.events import BudgetAlerted, BudgetChanged
from trunkline.services import Services
from trunkline.usage.windows import Span


@dataclass(frozen=True, slots=True)
class Look:
    """What a budget was seen to have spent in a period."""

    budget: BudgetRow
    period: Span
    spending: Spending

    @property
    def keys(self) -> Iterable[AlertKey]:
        """What alerts are due for."""
        for threshold in reached(self.budget, self.spending.cost_nanos):
            yield AlertKey(
                self.budget.id,
                self.period.start,
                self.period.end,
                self.budget.amount_usd,
                threshold,
            )


async def not_yet_given(
    connection: Connection, looks: Sequence[Look]
) -> Sequence[tuple[Look, AlertKey]]:
    """The alerts that are due and were not given, in the order of their keys."""
    due = {key: look for look in looks for key in look.keys}
    if not due:
        return ()
    since = min(key.period_start for key in due)
    given = await alerts.given_alerts(connection, sorted({key.budget_id for key in due}), since)
    # In one order for everybody: servers that insert in different ones deadlock.
    return [(due[key], key) for key in sorted(due.keys() - given)]


async def give_alerts(services: Services, due: Sequence[tuple[Look, AlertKey]]) -> None:
    """Give these alerts, but for those given meanwhile and of budgets that changed meanwhile."""

    async def give(
        connection: Connection,
    ) -> tuple[None, list[BudgetAlerted | BudgetChanged]]:
        held = await store.lock_budgets(connection, sorted({key.budget_id for _, key in due}))
        given: list[BudgetAlerted | BudgetChanged] = []
        for look, key in due:
            budget = held.get(key.budget_id)
            if budget is None or budget.version != look.budget.version:
                continue  # Its change is an event of its own, on which somebody looks again.
            alert_id = await _give(services, connection, budget, look.spending, key)
            if alert_id is not None:
                given.append(BudgetAlerted(ChangeKind.CREATED, alert_id, budget.id))
                given.append(BudgetChanged(ChangeKind.UPDATED, budget.id))
        return None, given

    await services.commit(give)


async def _give(
    services: Services,
    connection: Connection,
    budget: BudgetRow,
    spending: Spending,
    key: AlertKey,
) -> int | None:
    now = services.clock()
    spent = {
        "spent_nanos": spending.cost_nanos,
        "unpriced_requests": spending.unpriced_requests,
    }
    alert_id = await alerts.insert_alert(connection, key, **spent, now=now)
    if alert_id is not None and budget.webhook is not None and budget.webhook.disabled_at is None:
        await insert_delivery(
            connection,
            alert_id=alert_id,
            budget_id=budget.id,
            message_id=generate_message_id(),
            body=message_body(budget, alert_id, key, **spent, now=now),
            now=now,
        )
    return alert_id
