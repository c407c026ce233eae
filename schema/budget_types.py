"""Budgets as the API shows them, and what their mutations answer."""

from datetime import datetime

import strawberry

from db.budget_webhooks import DeliveryRow
from db.budgets import BudgetRow, BudgetScopeRow, BudgetWebhookRow
from db.vocabulary import BudgetAction, BudgetPeriod, BudgetScopeKind, ChangeKind
from resolvers import budgets
from schema.budget_alerts import BudgetWebhookDelivery
from schema.fields import Info, plain, resolved
from schema.node import Node, node_type, reference
from schema.payloads import USER_ERRORS, UserError
from schema.scalars import Dollars, SafeInt
from schema.usage_series import UsageSubject
from trunkline.budgets.state import BudgetState as State

SIGNING = (
    "The secret that signs what is sent to the webhook. Shown this once, where this change made "
    "one; null otherwise."
)


async def _subject(info: Info, root: strawberry.Parent[BudgetScopeRow]) -> object | None:
    return await budgets.scope_subject(info.context, root)


async def _state(info: Info, root: strawberry.Parent[BudgetRow]) -> State | None:
    return await budgets.state_of(info.context, root)


async def _delivery(info: Info, root: strawberry.Parent[BudgetWebhookRow]) -> DeliveryRow | None:
    return await budgets.last_delivery_of(info.context, root.budget_id)


@strawberry.type(description="Whose spending a budget counts.")
class BudgetScope:
    """Read from `BudgetScopeRow`."""

    kind: BudgetScopeKind = plain("What it is.")
    label: str = plain("Its name, for people; that of a deleted object remains.")
    subject: UsageSubject | None = resolved(
        _subject,
        "The provider, model or chain, while it exists.",
        graphql_type=UsageSubject | None,
    )
    agent: str | None = plain("The agent's name, where it is one.")


@strawberry.type(description="How a budget stands in its present period.")
class BudgetState:
    """Read from `BudgetState` of the work."""

    period_start: datetime = plain("Where the period begins.")
    period_end: datetime = plain("Exclusive.")
    spent_usd: Dollars = plain(
        "Of the requests whose price is known. At most 9223372036.854775807: more is shown as that."
    )
    remaining_usd: Dollars = plain("What is left of the amount; 0 once it is spent.")
    used_percent: float = plain("Spent, in percent of the amount; above 100 once overspent.")
    unpriced_requests: SafeInt = plain(
        "Requests at an unknown price: while this is above 0, more was spent than is known."
    )
    blocked: bool = plain("Whether it refuses requests until the period ends.")
    reached_thresholds: list[int] = plain("Those that the spending has reached.")
    as_of: datetime = plain("The state of usage that this shows, in the order of commits.")


@strawberry.type(description="Where a budget's alerts are sent.")
class BudgetWebhook:
    """Read from `BudgetWebhookRow`."""

    url: str = plain("As it was given. It may hold a token: show it to those who may know it.")
    disabled_at: datetime | None = plain(
        "When the receiver answered 410, that it is gone for good; null while it works."
    )
    last_delivery: BudgetWebhookDelivery | None = resolved(
        _delivery,
        "The newest; null before the first.",
        graphql_type=BudgetWebhookDelivery | None,
    )


@node_type(BudgetRow, description="What may be spent in a period, and what happens as it is spent.")
class Budget(Node):
    """Read from `BudgetRow`."""

    name: str = plain("For people.")
    scope: BudgetScope = plain("Whose spending counts.")
    amount_usd: Dollars = plain("What may be spent in a period.")
    period: BudgetPeriod = plain("How long it counts before it begins again.")
    timezone: str = plain("Where its days begin.")
    action: BudgetAction = plain("What happens once the amount is spent.")
    thresholds: list[int] = plain("Percents of the amount, ascending: an alert at each.")
    enabled: bool = plain("Whether it alerts and blocks.")
    state: BudgetState | None = resolved(
        _state, "How it stands now.", graphql_type=BudgetState | None
    )
    webhook: BudgetWebhook | None = plain("Where its alerts are sent; null where nowhere.")
    version: int = plain("Counts the changes an operator makes.")
    created_at: datetime = plain("When it was created.")
    updated_at: datetime = plain("When an operator last changed it.")


@strawberry.type(description="What `createBudget` did.")
class CreateBudgetPayload:
    """Read from a `BudgetOutcome`."""

    subject: Budget | None = plain("The new budget.", name="budget")
    webhook_secret: str | None = plain(SIGNING)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type(description="What `updateBudget` did.")
class UpdateBudgetPayload:
    """Read from a `BudgetOutcome`."""

    subject: Budget | None = plain(
        "The budget as it stands now, also where nothing changed.", name="budget"
    )
    webhook_secret: str | None = plain(SIGNING)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type(description="What `rotateBudgetWebhookSecret` did.")
class RotateBudgetWebhookSecretPayload:
    """Read from a `BudgetOutcome`."""

    subject: Budget | None = plain(
        "The budget as it stands now, also where nothing changed.", name="budget"
    )
    webhook_secret: str | None = plain(
        f"{SIGNING} For a day the secret before it signs too, so that the receiver can follow."
    )
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type(description="What `deleteBudget` did.")
class DeleteBudgetPayload:
    """Read from an `Outcome`."""

    deleted_id: strawberry.ID | None = reference("Budget", "deleted_id", "The id that is gone.")
    subject: Budget | None = plain(
        "The budget that stands, where it was not deleted.", name="budget"
    )
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type(description="Something happened to a budget.")
class BudgetChange:
    """Read from `ChangeRow`."""

    kind: ChangeKind = plain("What happened.")
    id: strawberry.ID | None = reference("Budget", "changed_id", "Of the budget; null in READY.")
    subject: Budget | None = plain(
        "As it stands now; null in READY and once deleted.", name="budget"
    )
