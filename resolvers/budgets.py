"""Fields about budgets, their state, and the alerts that they gave."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from db import budget_alerts as alerts
from db import budget_webhooks as deliveries
from db import budgets as store
from db.budget_alerts import AlertRow
from db.budget_webhooks import DeliveryRow
from db.budgets import BudgetRow, BudgetScopeRow
from db.paging import PageRequest, Slice
from db.vocabulary import BudgetScopeKind
from resolvers.chains import load_chains_by_id
from resolvers.context import OperationContext
from resolvers.models import load_models_by_id
from resolvers.outcome import Outcome, deletion_of, refused
from resolvers.providers import load_providers_by_id
from resolvers.watching import ChangeRow, watch_changes
from trunkline.budgets import changes, webhook_changes
from trunkline.budgets.inputs import BudgetUpdate, NewBudget
from trunkline.budgets.saving import BudgetSaved
from trunkline.budgets.state import BudgetState, read_states
from trunkline.errors import Problem, Refused
from trunkline.events import BudgetAlerted, BudgetChanged
from trunkline.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetOutcome:
    """What a change of a budget answers; the secret only where this change made one."""

    subject: BudgetRow | None = None
    webhook_secret: str | None = field(default=None, repr=False)
    user_errors: Sequence[Problem] = ()


async def list_budgets(context: OperationContext, page: PageRequest) -> Slice[BudgetRow]:
    """A page of budgets by name."""
    async with context.services.database.read() as connection:
        return await store.page_budgets(connection, page)


async def budget_by_id(context: OperationContext, budget_id: int) -> BudgetRow | None:
    """The living budget with this id."""
    return await context.load(load_budgets_by_id, budget_id)


async def load_budgets_by_id(services: Services, ids: Sequence[int]) -> Mapping[int, BudgetRow]:
    """A batch for `OperationContext.load`."""
    async with services.database.read() as connection:
        return await store.load_budgets(connection, ids)


async def state_of(context: OperationContext, budget: BudgetRow) -> BudgetState | None:
    """How a budget stands; those of the operation's other budgets come in the same load."""
    return await context.load(_load_states, budget)


async def last_delivery_of(context: OperationContext, budget_id: int) -> DeliveryRow | None:
    """The newest delivery to the budget's webhook."""
    return await context.load(_load_last_deliveries, budget_id)


async def scope_subject(context: OperationContext, scope: BudgetScopeRow) -> object | None:
    """The living object that a budget counts for."""
    if scope.id is None:
        return None
    batch = {
        BudgetScopeKind.PROVIDER: load_providers_by_id,
        BudgetScopeKind.MODEL: load_models_by_id,
        BudgetScopeKind.FAILOVER_CHAIN: load_chains_by_id,
    }[scope.kind]
    found: object | None = await context.load(batch, scope.id)
    return found


async def list_alerts(
    context: OperationContext, page: PageRequest, budget_ids: Sequence[int] | None
) -> Slice[AlertRow]:
    """A page of alerts, newest first."""
    async with context.services.database.read() as connection:
        return await alerts.page_alerts(connection, page, budget_ids)


async def alert_by_id(context: OperationContext, alert_id: int) -> AlertRow | None:
    """The alert with this id."""
    return await context.load(load_alerts_by_id, alert_id)


async def load_alerts_by_id(services: Services, ids: Sequence[int]) -> Mapping[int, AlertRow]:
    """A batch for `OperationContext.load`."""
    async with services.database.read() as connection:
        return await alerts.load_alerts(connection, ids)


async def create_budget(context: OperationContext, new: NewBudget) -> BudgetOutcome:
    """`createBudget`."""
    try:
        return _saved(await changes.create_budget(context.services, new))
    except Refused as refusal:
        return _refused(refusal)


async def update_budget(context: OperationContext, change: BudgetUpdate) -> BudgetOutcome:
    """`updateBudget`."""
    try:
        return _saved(await changes.update_budget(context.services, change))
    except Refused as refusal:
        return _refused(refusal)


async def rotate_webhook_secret(
    context: OperationContext, budget_id: int, expected_version: int | None
) -> BudgetOutcome:
    """`rotateBudgetWebhookSecret`."""
    try:
        return _saved(
            await webhook_changes.rotate_webhook_secret(
                context.services, budget_id, expected_version
            )
        )
    except Refused as refusal:
        return _refused(refusal)


async def delete_budget(
    context: OperationContext, budget_id: int, expected_version: int | None
) -> Outcome[BudgetRow]:
    """`deleteBudget`."""
    return await deletion_of(
        changes.delete_budget(context.services, budget_id, expected_version), budget_id
    )


def watch_budgets(
    context: OperationContext, ids: Sequence[int] | None
) -> AsyncIterator[ChangeRow[BudgetRow]]:
    """READY, then a message for each change."""
    return watch_changes(
        context,
        BudgetChanged,
        load_budgets_by_id,
        # Budgets have no slugs: their ids name them.
        slug_of=lambda event: str(event.id),
        slugs=None if ids is None else [str(one) for one in ids],
    )


def watch_alerts(
    context: OperationContext, budget_ids: Sequence[int] | None
) -> AsyncIterator[ChangeRow[AlertRow]]:
    """READY, then a message for each alert."""
    return watch_changes(
        context,
        BudgetAlerted,
        load_alerts_by_id,
        slug_of=lambda event: str(event.budget_id),
        slugs=None if budget_ids is None else [str(one) for one in budget_ids],
    )


async def _load_states(
    services: Services, budgets: Sequence[BudgetRow]
) -> Mapping[BudgetRow, BudgetState]:
    async with services.database.read() as connection:
        return await read_states(connection, budgets, services.clock())


async def _load_last_deliveries(
    services: Services, budget_ids: Sequence[int]
) -> Mapping[int, DeliveryRow]:
    async with services.database.read() as connection:
        return await deliveries.load_last_deliveries(connection, budget_ids)


def _saved(saved: BudgetSaved) -> BudgetOutcome:
    return BudgetOutcome(subject=saved.budget, webhook_secret=saved.webhook_secret)


def _refused(refusal: Refused) -> BudgetOutcome:
    outcome: Outcome[BudgetRow] = refused(refusal)
    return BudgetOutcome(subject=outcome.subject, user_errors=outcome.user_errors)
