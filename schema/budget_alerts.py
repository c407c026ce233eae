"""The alerts that budgets gave, and how far their delivery to a webhook is."""

from datetime import datetime

import strawberry

from db.budget_alerts import AlertRow
from db.vocabulary import ChangeKind, WebhookDeliveryStatus
from schema.fields import plain
from schema.node import Node, node_type, reference
from schema.scalars import Dollars, SafeInt


@strawberry.type(description="How far the delivery of an alert to a webhook is.")
class BudgetWebhookDelivery:
    """Read from `DeliveryRow`."""

    status: WebhookDeliveryStatus = plain("Whether it is over, and how it ended.")
    attempts: int = plain("Those that were begun; at most 10.")
    last_attempt_at: datetime | None = plain("When the last began; null before the first.")
    next_attempt_at: datetime | None = plain("Not before then; null once it is over.")
    http_status: int | None = plain("What the receiver answered last; null where nothing came.")
    error: str | None = plain("What went wrong last, for a person; null where nothing did.")


@node_type(
    AlertRow,
    description=(
        "A budget's spending reached a threshold. Given once for each period, amount and "
        "threshold, and kept when the budget is gone."
    ),
)
class BudgetAlert(Node):
    """Read from `AlertRow`."""

    budget_id: strawberry.ID = reference(
        "Budget", "budget_id", "Of the budget, also once deleted.", nullable=False
    )
    budget_name: str = plain("The budget's name; that of a deleted one remains.")
    threshold: int = plain("Percent of the amount.")
    amount_usd: Dollars = plain("The budget's amount when this was given.")
    spent_usd: Dollars = plain("What was spent when this was given.")
    unpriced_requests: SafeInt = plain(
        "Requests at an unknown price: while this is above 0, more was spent than is known."
    )
    period_start: datetime = plain("Where the period begins.")
    period_end: datetime = plain("Exclusive.")
    reached_at: datetime = plain("When it was given.")
    delivery: BudgetWebhookDelivery | None = plain(
        "To the budget's webhook; null where it had none."
    )


@strawberry.type(description="A new alert, or the word that alerts are listened for.")
class BudgetAlertChange:
    """Read from `ChangeRow`."""

    kind: ChangeKind = plain("READY first: read `budgetAlerts` then. CREATED for each alert.")
    id: strawberry.ID | None = reference(
        "BudgetAlert", "changed_id", "Of the alert; null in READY."
    )
    subject: BudgetAlert | None = plain("The alert; null in READY.", name="alert")
