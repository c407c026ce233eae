"""The use cases that change a budget: create, update, delete.

A secret is shown once, by the change that made it. A budget's scope never changes: its alerts and
its history are of that scope.
"""

from typing import Any

from db import budget_webhooks as deliveries
from db import budgets as store
from db import chains as stored_chains
from db import models as stored_models
from db import usage as stored_usage
from db.budgets import BudgetRow
from db.engine import Connection
from db.vocabulary import BudgetScopeKind, ChangeKind
from trunkline.audit.changes import Change, created, deleted, nothing_changed, updated
from trunkline.audit.showing import shown_budget
from trunkline.budgets.inputs import (
    MOST_BUDGETS,
    BudgetUpdate,
    NewBudget,
    check_amount,
    check_timezone,
    checked_name,
    checked_scope,
    checked_thresholds,
    checked_webhook_url,
)
from trunkline.budgets.saving import BudgetSaved, budget_changed, hold_budget, read_budget
from trunkline.budgets.webhook_changes import (
    REMOVED,
    move_webhook,
    moves_webhook,
    store_new_webhook,
)
from trunkline.changes import UNSET, Problems
from trunkline.errors import ProblemCode, Refused
from trunkline.services import Services

_FIELDS = {
    BudgetScopeKind.PROVIDER: ("providerId", "provider"),
    BudgetScopeKind.MODEL: ("modelId", "model"),
    BudgetScopeKind.FAILOVER_CHAIN: ("failoverChainId", "failover chain"),
}


async def create_budget(services: Services, new: NewBudget) -> BudgetSaved:
    """Create a budget. Raises `Refused` with every problem: INVALID, NOT_FOUND, TOO_MANY."""
    problems = Problems()
    name = checked_name(problems, new.name)
    kind, scope_id, agent = checked_scope(problems, new.scope)
    check_amount(problems, new.amount_nanos)
    check_timezone(problems, new.timezone)
    thresholds = checked_thresholds(problems, new.thresholds)
    url = None
    if new.webhook_url is not None:
        url = checked_webhook_url(problems, new.webhook_url, services.outgoing)
    noted = problems.found

    async def create(connection: Connection) -> Change[BudgetSaved]:
        found = Problems()
        if not await _exists(connection, kind, scope_id):
            field_name, what = _FIELDS[kind]
            found.add(ProblemCode.NOT_FOUND, ("scope", field_name), f"there is no such {what}")
        if await store.hold_budgets(connection) >= MOST_BUDGETS:
            found.add(
                ProblemCode.TOO_MANY, None, f"there are {MOST_BUDGETS} budgets already: delete some"
            )
        if noted or found.found:
            raise Refused([*noted, *found.found])
        now = services.clock()
        budget_id = await store.insert_budget(
            connection,
            name=name,
            scope_kind=kind,
            scope_id=scope_id,
            scope_agent=agent,
            amount_nanos=new.amount_nanos,
            period=new.period,
            timezone=new.timezone,
            action=new.action,
            thresholds=thresholds,
            enabled=new.enabled,
            now=now,
        )
        secret = None
        if url is not None:
            secret = await store_new_webhook(services, connection, budget_id, url)
        budget = await read_budget(connection, budget_id)
        events = [budget_changed(ChangeKind.CREATED, budget)]
        return Change(BudgetSaved(budget, secret), events, created(shown_budget(budget)))

    return await services.change("createBudget", create)


async def update_budget(services: Services, change: BudgetUpdate) -> BudgetSaved:
    """Change what is given. An update that changes nothing leaves the version as it is.

    A webhook that was disabled works again once its URL is given, also where it is the same.
    Raises `Refused`: NOT_FOUND, VERSION_CONFLICT, and every problem of the input.
    """

    async def update(connection: Connection) -> Change[BudgetSaved]:
        current = await hold_budget(connection, change.id, change.expected_version)
        problems = Problems()
        columns = _columns(problems, change, current)
        url = change.webhook_url
        if isinstance(url, str):
            url = checked_webhook_url(problems, url, services.outgoing)
        problems.refuse_if_any(current)
        moves = url is not UNSET and moves_webhook(current.webhook, url)
        if not columns and not moves:
            return nothing_changed(BudgetSaved(current))
        secret = None
        if moves and url is not UNSET:
            secret = await move_webhook(services, connection, current, url)
        await store.update_budget(connection, current.id, columns, now=services.clock())
        budget = await read_budget(connection, current.id)
        changes = updated(
            shown_budget(current), shown_budget(budget), replaced=["webhook"] if moves else []
        )
        events = [budget_changed(ChangeKind.UPDATED, budget)]
        return Change(BudgetSaved(budget, secret), events, changes)

    return await services.change("updateBudget", update)


async def delete_budget(services: Services, budget_id: int, expected_version: int | None) -> None:
    """Delete a budget; the alerts that it gave stay. Raises `Refused`: NOT_FOUND, VERSION_CONFLICT.

    What its webhook still had to get is given up.
    """

    async def remove(connection: Connection) -> Change[None]:
        current = await hold_budget(connection, budget_id, expected_version)
        await store.delete_budget(connection, budget_id, now=services.clock())
        await deliveries.fail_pending(connection, budget_id, error=REMOVED)
        events = [budget_changed(ChangeKind.DELETED, current)]
        return Change(None, events, deleted(shown_budget(current)))

    await services.change("deleteBudget", remove)


async def _exists(connection: Connection, kind: BudgetScopeKind, scope_id: int) -> bool:
    """Whether the scope's object lives; then nobody deletes it until the transaction ends."""
    match kind:
        case BudgetScopeKind.PROVIDER:
            return scope_id in await stored_usage.hold_providers(connection, [scope_id])
        case BudgetScopeKind.MODEL:
            return scope_id in await stored_models.load_models(
                connection, [scope_id], for_share=True
            )
        case BudgetScopeKind.FAILOVER_CHAIN:
            return await stored_chains.lock_chain(connection, scope_id) is not None
        case BudgetScopeKind.ALL | BudgetScopeKind.AGENT:
            return True


def _columns(problems: Problems, change: BudgetUpdate, current: BudgetRow) -> dict[str, Any]:
    """What the update sets to another value, by attribute of the row."""
    columns: dict[str, Any] = {}
    name = problems.value(change.name, "name")
    if name is not None:
        columns["name"] = checked_name(problems, name)
    amount = problems.value(change.amount_nanos, "amountUsd")
    if amount is not None:
        check_amount(problems, amount)
        columns["amount_usd"] = amount
    timezone = problems.value(change.timezone, "timezone")
    if timezone is not None:
        check_timezone(problems, timezone)
        columns["timezone"] = timezone
    thresholds = problems.value(change.thresholds, "thresholds")
    if thresholds is not None:
        columns["thresholds"] = checked_thresholds(problems, thresholds)
    columns["period"] = problems.value(change.period, "period")
    columns["action"] = problems.value(change.action, "action")
    columns["enabled"] = problems.value(change.enabled, "enabled")
    return {
        name: value
        for name, value in columns.items()
        if value is not None and value != getattr(current, name)
    }
