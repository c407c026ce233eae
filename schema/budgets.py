"""Budgets: set, watch, be told."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from db.budget_alerts import AlertRow
from db.budgets import BudgetRow
from db.paging import Slice
from db.vocabulary import AccessScope
from resolvers import budgets
from resolvers.budgets import BudgetOutcome
from resolvers.outcome import Outcome
from resolvers.watching import ChangeRow
from schema.budget_alerts import BudgetAlert, BudgetAlertChange
from schema.budget_inputs import (
    BudgetScopeInput,
    CreateBudgetInput,
    DeleteBudgetInput,
    RotateBudgetWebhookSecretInput,
    UpdateBudgetInput,
)
from schema.budget_types import (
    Budget,
    BudgetChange,
    CreateBudgetPayload,
    DeleteBudgetPayload,
    RotateBudgetWebhookSecretPayload,
    UpdateBudgetPayload,
)
from schema.connections import Connection, page_request
from schema.fields import (
    After,
    First,
    Info,
    changing,
    described,
    given,
    or_none,
    resolved,
    watching,
)
from schema.node import decode_filter_ids, decode_id
from trunkline.budgets.inputs import MOST_BUDGETS, BudgetUpdate, NewBudget
from trunkline.budgets.inputs import BudgetScope as ScopeAsked
from trunkline.errors import BadRequest


def _scope(input: BudgetScopeInput) -> ScopeAsked:
    def decoded(global_id: strawberry.ID | None, type_name: str) -> int | None:
        held = or_none(global_id)
        return None if held is None else decode_id(held, type_name)

    return ScopeAsked(
        everything=or_none(input.all),
        provider_id=decoded(input.provider_id, "Provider"),
        model_id=decoded(input.model_id, "Model"),
        agent=or_none(input.agent),
        chain_id=decoded(input.failover_chain_id, "FailoverChain"),
    )


def _budget_ids(ids: list[strawberry.ID] | None, field: str) -> list[int] | None:
    wanted = or_none(ids)
    if wanted is None:
        return None
    if len(wanted) > MOST_BUDGETS:
        raise BadRequest(f"{field} takes at most {MOST_BUDGETS} entries")
    return decode_filter_ids(wanted, "Budget", field)


async def _budgets(info: Info, first: First = 100, after: After = UNSET) -> Slice[BudgetRow]:
    page = page_request(info, first, after, default=100)
    return await budgets.list_budgets(info.context, page)


async def _budget(
    info: Info, id: Annotated[strawberry.ID, described("Its global id.")]
) -> BudgetRow | None:
    return await budgets.budget_by_id(info.context, decode_id(id, "Budget"))


BudgetIds = Annotated[
    list[strawberry.ID] | None,
    described("Only of these budgets; left out, of all. An empty list matches none."),
]


async def _alerts(
    info: Info,
    first: First = 50,
    after: After = UNSET,
    budget_ids: BudgetIds = UNSET,
) -> Slice[AlertRow]:
    page = page_request(info, first, after, default=50)
    return await budgets.list_alerts(info.context, page, _budget_ids(budget_ids, "budgetIds"))


async def _create(
    info: Info, input: Annotated[CreateBudgetInput, described("The budget.")]
) -> BudgetOutcome:
    new = NewBudget(
        name=input.name,
        scope=_scope(input.scope),
        amount_nanos=input.amount_usd,
        period=input.period,
        timezone=input.timezone,
        action=input.action,
        thresholds=input.thresholds,
        enabled=input.enabled,
        webhook_url=or_none(input.webhook_url),
    )
    return await budgets.create_budget(info.context, new)


async def _update(
    info: Info, input: Annotated[UpdateBudgetInput, described("What to change.")]
) -> BudgetOutcome:
    change = BudgetUpdate(
        id=decode_id(input.id, "Budget"),
        expected_version=or_none(input.expected_version),
        name=given(input.name),
        amount_nanos=given(input.amount_usd),
        period=given(input.period),
        timezone=given(input.timezone),
        action=given(input.action),
        thresholds=given(input.thresholds),
        enabled=given(input.enabled),
        webhook_url=given(input.webhook_url),
    )
    return await budgets.update_budget(info.context, change)


async def _rotate(
    info: Info, input: Annotated[RotateBudgetWebhookSecretInput, described("Whose.")]
) -> BudgetOutcome:
    return await budgets.rotate_webhook_secret(
        info.context, decode_id(input.id, "Budget"), or_none(input.expected_version)
    )


async def _delete(
    info: Info, input: Annotated[DeleteBudgetInput, described("Which.")]
) -> Outcome[BudgetRow]:
    return await budgets.delete_budget(
        info.context, decode_id(input.id, "Budget"), or_none(input.expected_version)
    )


def _changes(info: Info, ids: BudgetIds = UNSET) -> AsyncIterator[ChangeRow[BudgetRow]]:
    return budgets.watch_budgets(info.context, _budget_ids(ids, "ids"))


def _new_alerts(info: Info, budget_ids: BudgetIds = UNSET) -> AsyncIterator[ChangeRow[AlertRow]]:
    return budgets.watch_alerts(info.context, _budget_ids(budget_ids, "budgetIds"))


@strawberry.type
class BudgetQuery:
    """Fields of Query."""

    budgets: Any = resolved(
        _budgets, "Every budget, by name.", graphql_type=Connection[Budget], scope=AccessScope.READ
    )
    budget: Any = resolved(
        _budget,
        "One budget; null where there is none.",
        graphql_type=Budget | None,
        scope=AccessScope.READ,
    )
    budget_alerts: Any = resolved(
        _alerts,
        "The alerts that budgets gave, newest first.",
        graphql_type=Connection[BudgetAlert],
        scope=AccessScope.READ,
    )


@strawberry.type
class BudgetMutation:
    """Fields of Mutation."""

    create_budget: Any = changing(
        _create,
        "Creates a budget.",
        graphql_type=CreateBudgetPayload | None,
        scope=AccessScope.CONFIGURE,
    )
    update_budget: Any = changing(
        _update,
        "Changes what is given.",
        graphql_type=UpdateBudgetPayload | None,
        scope=AccessScope.CONFIGURE,
    )
    rotate_budget_webhook_secret: Any = changing(
        _rotate,
        "Gives a budget's webhook a new secret.",
        graphql_type=RotateBudgetWebhookSecretPayload | None,
        scope=AccessScope.CONFIGURE,
    )
    delete_budget: Any = changing(
        _delete,
        "Deletes a budget; the alerts that it gave stay.",
        graphql_type=DeleteBudgetPayload | None,
        scope=AccessScope.CONFIGURE,
    )


@strawberry.type
class BudgetSubscription:
    """Fields of Subscription."""

    budget_changed: Any = watching(
        _changes,
        "READY, then each change of a budget: by an operator, that it reaches a threshold, blocks "
        "or no longer does, that its period turns, that a delivery to its webhook ends. What is "
        "spent changes too often to tell each time: see `usageUpdated`.",
        graphql_type=BudgetChange,
        scope=AccessScope.READ,
    )
    budget_alert: Any = watching(
        _new_alerts,
        "READY, then each alert as it is given: read `budgetAlerts` at READY, and none is missed.",
        graphql_type=BudgetAlertChange,
        scope=AccessScope.READ,
    )
