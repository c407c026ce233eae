"""The alerts that budgets gave: each once, and kept when its budget is gone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.budget_webhooks import DELIVERY_COLUMNS, DeliveryRow, read_delivery
from db.paging import PageRequest, Slice, decode_cursor, slice_of
from db.tables import budget_alerts, budget_webhook_deliveries, budgets
from db.upsert import insert_into

_ORDER = "budget_alerts"


class AlertKey(NamedTuple):
    """What an alert is given once for. Amounts are in nanodollars, thresholds in percent."""

    budget_id: int
    period_start: datetime
    period_end: datetime
    amount_nanos: int
    threshold: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """An alert as given, with its budget's name and the delivery to its webhook, if there is one.

    `amount_usd` and `spent_usd` are in nanodollars.
    """

    id: int
    budget_id: int
    budget_name: str
    period_start: datetime
    period_end: datetime
    amount_usd: int
    threshold: int
    spent_usd: int
    unpriced_requests: int
    reached_at: datetime
    delivery: DeliveryRow | None


def _rows() -> Select[Any]:
    return (
        select(budget_alerts, budgets.c.name.label("budget_name"), *DELIVERY_COLUMNS)
        .join(budgets, budgets.c.id == budget_alerts.c.budget_id)
        .outerjoin(
            budget_webhook_deliveries,
            budget_webhook_deliveries.c.alert_id == budget_alerts.c.id,
        )
    )


async def page_alerts(
    connection: AsyncConnection, page: PageRequest, budget_ids: Sequence[int] | None
) -> Slice[AlertRow]:
    """Alerts, newest first; of these budgets, or of all where that is None."""
    narrowed = [] if budget_ids is None else [budget_alerts.c.budget_id.in_(budget_ids)]
    statement = _rows().where(*narrowed).order_by(budget_alerts.c.id.desc()).limit(page.first + 1)
    if page.after is not None:
        (last,) = decode_cursor(_ORDER, page.after, (int,))
        statement = statement.where(budget_alerts.c.id < last)
    found = [_alert(row) for row in await connection.execute(statement)]
    total = None
    if page.with_total:
        counted = select(func.count()).select_from(budget_alerts).where(*narrowed)
        total = await connection.scalar(counted)
    return slice_of(page, found, lambda row: (row.id,), _ORDER, total)


async def load_alerts(connection: AsyncConnection, ids: Sequence[int]) -> Mapping[int, AlertRow]:
    """These alerts, by id, whether their budgets live or not."""
    statement = _rows().where(budget_alerts.c.id.in_(ids))
    return {row.id: _alert(row) for row in await connection.execute(statement)}


async def given_alerts(
    connection: AsyncConnection, budget_ids: Sequence[int], since: datetime
) -> frozenset[AlertKey]:
    """What these budgets have given alerts for, in periods that began at `since` or later."""
    statement = select(*(budget_alerts.c[name] for name in AlertKey._fields)).where(
        budget_alerts.c.budget_id.in_(budget_ids), budget_alerts.c.period_start >= since
    )
    return frozenset(AlertKey(*row) for row in await connection.execute(statement))


async def insert_alert(
    connection: AsyncConnection,
    key: AlertKey,
    *,
    spent_nanos: int,
    unpriced_requests: int,
    now: datetime,
) -> int | None:
    """Store an alert and return its id, or None where it was given before."""
    inserted = await connection.scalar(
        insert_into(connection, budget_alerts)
        .values(
            **key._asdict(),
            spent_nanos=spent_nanos,
            unpriced_requests=unpriced_requests,
            reached_at=now,
        )
        .on_conflict_do_nothing()
        .returning(budget_alerts.c.id)
    )
    return None if inserted is None else int(inserted)


def _alert(row: Row[Any]) -> AlertRow:
    return AlertRow(
        id=row.id,
        budget_id=row.budget_id,
        budget_name=row.budget_name,
        period_start=row.period_start,
        period_end=row.period_end,
        amount_usd=row.amount_nanos,
        threshold=row.threshold,
        spent_usd=row.spent_nanos,
        unpriced_requests=row.unpriced_requests,
        reached_at=row.reached_at,
        delivery=read_delivery(row) if row.delivery_status is not None else None,
    )
