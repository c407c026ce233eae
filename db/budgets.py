"""Budgets: rows, pages and changes. Their alerts are in `budget_alerts.py`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.advisory_lock import hold
from db.paging import PageRequest, Slice, after_key, decode_cursor, slice_of
from db.tables import budgets, failover_chains, models, providers
from db.vocabulary import BudgetAction, BudgetPeriod, BudgetScopeKind

_ORDER = "budgets"
# "budge" in ASCII: any number that no other lock has.
_LOCK = 0x6275646765
EVERYTHING = "Everything"
"""The label of a budget over all usage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetScopeRow:
    """Whose spending counts. `id` names a provider, model or chain, perhaps a deleted one."""

    kind: BudgetScopeKind
    id: int | None
    agent: str | None
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetWebhookRow:
    """Where a budget's alerts go. The secrets are sealed, yet nothing that a log should hold."""

    budget_id: int
    # May hold a token: many receivers are told apart by their URL alone.
    url: str = field(repr=False)
    secret_encrypted: bytes = field(repr=False)
    previous_secret_encrypted: bytes | None = field(repr=False)
    previous_secret_until: datetime | None
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRow:
    """A budget as stored. `amount_usd` is in nanodollars; thresholds are whole percents of it."""

    id: int
    name: str
    scope: BudgetScopeRow
    amount_usd: int
    period: BudgetPeriod
    timezone: str
    action: BudgetAction
    thresholds: tuple[int, ...]
    enabled: bool
    webhook: BudgetWebhookRow | None
    version: int
    created_at: datetime
    updated_at: datetime


_LIVING = budgets.c.deleted_at.is_(None)


def _rows() -> Select[Any]:
    def named(kind: BudgetScopeKind, table: Any) -> Any:
        return and_(budgets.c.scope_kind == kind.value, table.c.id == budgets.c.scope_id)

    return (
        select(
            budgets,
            providers.c.name.label("provider_label"),
            models.c.name.label("model_label"),
            failover_chains.c.name.label("chain_label"),
        )
        .outerjoin(providers, named(BudgetScopeKind.PROVIDER, providers))
        .outerjoin(models, named(BudgetScopeKind.MODEL, models))
        .outerjoin(failover_chains, named(BudgetScopeKind.FAILOVER_CHAIN, failover_chains))
    )


async def page_budgets(connection: AsyncConnection, page: PageRequest) -> Slice[BudgetRow]:
    """Living budgets by name."""
    order = (budgets.c.name_folded, budgets.c.id)
    statement = _rows().where(_LIVING).order_by(*order).limit(page.first + 1)
    if page.after is not None:
        key = decode_cursor(_ORDER, page.after, (str, int))
        statement = statement.where(after_key(order, key))
    found = [_budget(row) for row in await connection.execute(statement)]
    total = await count_budgets(connection) if page.with_total else None
    return slice_of(page, found, lambda row: (row.name.casefold(), row.id), _ORDER, total)


async def hold_budgets(connection: AsyncConnection) -> int:
    """Keep others from making budgets until the transaction ends, and count those there are."""
    await hold(connection, _LOCK)
    return await count_budgets(connection)


async def count_budgets(connection: AsyncConnection) -> int:
    """How many living budgets there are."""
    count = await connection.scalar(select(func.count()).select_from(budgets).where(_LIVING))
    return int(count or 0)


async def load_budgets(connection: AsyncConnection, ids: Sequence[int]) -> Mapping[int, BudgetRow]:
    """The living ones among these, by id."""
    statement = _rows().where(budgets.c.id.in_(ids), _LIVING)
    return {row.id: _budget(row) for row in await connection.execute(statement)}


async def enabled_budgets(connection: AsyncConnection) -> Sequence[BudgetRow]:
    """Every living budget that is enabled, by id."""
    statement = (
        _rows()
        .where(_LIVING, budgets.c.enabled == True)  # noqa: E712  # SQL, not Python
        .order_by(budgets.c.id)
    )
    return [_budget(row) for row in await connection.execute(statement)]


async def lock_budgets(connection: AsyncConnection, ids: Sequence[int]) -> Mapping[int, BudgetRow]:
    """The living ones among these, which nobody changes until the transaction ends."""
    held = select(budgets.c.id).where(budgets.c.id.in_(ids)).order_by(budgets.c.id)
    await connection.execute(held.with_for_update())
    return await load_budgets(connection, ids)


async def insert_budget(
    connection: AsyncConnection,
    *,
    name: str,
    scope_kind: BudgetScopeKind,
    scope_id: int,
    scope_agent: str,
    amount_nanos: int,
    period: BudgetPeriod,
    timezone: str,
    action: BudgetAction,
    thresholds: Sequence[int],
    enabled: bool,
    now: datetime,
) -> int:
    """Store a budget without a webhook and return its id."""
    inserted = await connection.scalar(
        insert(budgets)
        .values(
            name=name,
            name_folded=name.casefold(),
            scope_kind=scope_kind.value,
            scope_id=scope_id,
            scope_agent=scope_agent,
            amount_nanos=amount_nanos,
            period=period.value,
            timezone=timezone,
            action=action.value,
            thresholds=_joined(thresholds),
            enabled=enabled,
            version=1,
            created_at=now,
            updated_at=now,
        )
        .returning(budgets.c.id)
    )
    return int(inserted or 0)


async def update_budget(
    connection: AsyncConnection, budget_id: int, changes: Mapping[str, Any], *, now: datetime
) -> None:
    """Set these attributes of a `BudgetRow` and count one operator's change."""
    values = dict(changes)
    if "name" in values:
        values["name_folded"] = values["name"].casefold()
    if "amount_usd" in values:
        values["amount_nanos"] = values.pop("amount_usd")
    if "thresholds" in values:
        values["thresholds"] = _joined(values["thresholds"])
    for name in ("period", "action"):
        if name in values:
            values[name] = values[name].value
    await connection.execute(
        update(budgets)
        .where(budgets.c.id == budget_id)
        .values(**values, version=budgets.c.version + 1, updated_at=now)
    )


async def store_webhook(
    connection: AsyncConnection,
    budget_id: int,
    *,
    url: str | None,
    secret: bytes | None,
    previous: bytes | None = None,
    previous_until: datetime | None = None,
    disabled_at: datetime | None = None,
) -> None:
    """Store where alerts go, with sealed secrets; all None removes it."""
    await connection.execute(
        update(budgets)
        .where(budgets.c.id == budget_id)
        .values(
            webhook_url=url,
            webhook_secret_encrypted=secret,
            webhook_previous_secret_encrypted=previous,
            webhook_previous_secret_until=previous_until,
            webhook_disabled_at=disabled_at,
        )
    )


async def disable_webhook(connection: AsyncConnection, budget_id: int, *, now: datetime) -> None:
    """Note that nothing more is to be sent there; the version stays, as no operator did it."""
    await connection.execute(
        update(budgets).where(budgets.c.id == budget_id).values(webhook_disabled_at=now)
    )


async def delete_budget(connection: AsyncConnection, budget_id: int, *, now: datetime) -> None:
    """Tombstone a budget, and forget its webhook with its secrets."""
    await store_webhook(connection, budget_id, url=None, secret=None)
    await connection.execute(
        update(budgets).where(budgets.c.id == budget_id).values(deleted_at=now)
    )


def _joined(thresholds: Sequence[int]) -> str:
    return ",".join(map(str, thresholds))


def _budget(row: Row[Any]) -> BudgetRow:
    kind = BudgetScopeKind(row.scope_kind)
    webhook = None
    if row.webhook_url is not None and row.webhook_secret_encrypted is not None:
        webhook = BudgetWebhookRow(
            budget_id=row.id,
            url=row.webhook_url,
            secret_encrypted=row.webhook_secret_encrypted,
            previous_secret_encrypted=row.webhook_previous_secret_encrypted,
            previous_secret_until=row.webhook_previous_secret_until,
            disabled_at=row.webhook_disabled_at,
        )
    label = row.provider_label or row.model_label or row.chain_label or row.scope_agent
    return BudgetRow(
        id=row.id,
        name=row.name,
        scope=BudgetScopeRow(
            kind=kind,
            id=row.scope_id or None,
            agent=row.scope_agent or None,
            label=label or EVERYTHING,
        ),
        amount_usd=row.amount_nanos,
        period=BudgetPeriod(row.period),
        timezone=row.timezone,
        action=BudgetAction(row.action),
        thresholds=tuple(int(part) for part in row.thresholds.split(",") if part),
        enabled=row.enabled,
        webhook=webhook,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
