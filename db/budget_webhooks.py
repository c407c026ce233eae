"""Deliveries of alerts to webhooks: queued with the alert, claimed by one sender at a time.

A claim is a lease: it moves the next attempt to when this one is given up for dead. So what a
killed process had in hand is tried again, and two processes never try the same at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import budget_webhook_deliveries as deliveries
from db.vocabulary import WebhookDeliveryStatus

_PENDING = deliveries.c.status == WebhookDeliveryStatus.PENDING.value

DELIVERY_COLUMNS = (
    deliveries.c.status.label("delivery_status"),
    deliveries.c.attempts.label("delivery_attempts"),
    deliveries.c.last_attempt_at.label("delivery_last_attempt_at"),
    deliveries.c.next_attempt_at.label("delivery_next_attempt_at"),
    deliveries.c.http_status.label("delivery_http_status"),
    deliveries.c.error.label("delivery_error"),
)
"""What `read_delivery` reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """How far a delivery is. `next_attempt_at` is None once it is over."""

    status: WebhookDeliveryStatus
    attempts: int
    last_attempt_at: datetime | None
    next_attempt_at: datetime | None
    http_status: int | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedDelivery:
    """A message to send now, in its attempt of this number."""

    id: int
    budget_id: int
    message_id: str
    body: str = field(repr=False)
    attempts: int


async def insert_delivery(
    connection: AsyncConnection,
    *,
    alert_id: int,
    budget_id: int,
    message_id: str,
    body: str,
    now: datetime,
) -> None:
    """Queue a message, due at once."""
    await connection.execute(
        insert(deliveries).values(
            alert_id=alert_id,
            budget_id=budget_id,
            message_id=message_id,
            body=body,
            status=WebhookDeliveryStatus.PENDING.value,
            attempts=0,
            next_attempt_at=now,
            created_at=now,
        )
    )


async def next_due(connection: AsyncConnection) -> datetime | None:
    """When the next attempt of any delivery is due; None where all are over."""
    due: datetime | None = await connection.scalar(
        select(deliveries.c.next_attempt_at)
        .where(_PENDING)
        .order_by(deliveries.c.next_attempt_at)
        .limit(1)
    )
    return due


async def claim_due(
    connection: AsyncConnection, *, now: datetime, until: datetime, limit: int
) -> Sequence[ClaimedDelivery]:
    """Take up to `limit` deliveries that are due; nobody else gets them before `until`."""
    due = (
        select(deliveries)
        .where(_PENDING, deliveries.c.next_attempt_at <= now)
        .order_by(deliveries.c.next_attempt_at, deliveries.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = (await connection.execute(due)).all()
    if rows:
        await connection.execute(
            update(deliveries)
            .where(deliveries.c.id.in_([row.id for row in rows]))
            .values(attempts=deliveries.c.attempts + 1, last_attempt_at=now, next_attempt_at=until)
        )
    return [
        ClaimedDelivery(
            id=row.id,
            budget_id=row.budget_id,
            message_id=row.message_id,
            body=row.body,
            attempts=row.attempts + 1,
        )
        for row in rows
    ]


async def finish_attempt(
    connection: AsyncConnection,
    claimed: ClaimedDelivery,
    *,
    status: WebhookDeliveryStatus,
    next_attempt_at: datetime,
    http_status: int | None,
    error: str | None,
) -> bool:
    """Note how an attempt ended; False where it was given up for dead and claimed anew."""
    done = await connection.execute(
        update(deliveries)
        .where(deliveries.c.id == claimed.id, deliveries.c.attempts == claimed.attempts, _PENDING)
        .values(
            status=status.value,
            next_attempt_at=next_attempt_at,
            http_status=http_status,
            error=error,
        )
    )
    return done.rowcount == 1


async def fail_pending(connection: AsyncConnection, budget_id: int, *, error: str) -> None:
    """Give up what a budget still has to deliver."""
    await connection.execute(
        update(deliveries)
        .where(deliveries.c.budget_id == budget_id, _PENDING)
        .values(status=WebhookDeliveryStatus.FAILED.value, error=error)
    )


async def load_last_deliveries(
    connection: AsyncConnection, budget_ids: Sequence[int]
) -> Mapping[int, DeliveryRow]:
    """The newest delivery of each of these budgets, by the budget's id."""
    newest = (
        select(func.max(deliveries.c.id))
        .where(deliveries.c.budget_id.in_(budget_ids))
        .group_by(deliveries.c.budget_id)
    )
    statement = select(deliveries.c.budget_id, *DELIVERY_COLUMNS).where(deliveries.c.id.in_(newest))
    return {row.budget_id: read_delivery(row) for row in await connection.execute(statement)}


def read_delivery(row: Row[*tuple[Any, ...]]) -> DeliveryRow:
    """The delivery in a row that has `DELIVERY_COLUMNS`."""
    status = WebhookDeliveryStatus(row.delivery_status)
    pending = status is WebhookDeliveryStatus.PENDING
    return DeliveryRow(
        status=status,
        attempts=row.delivery_attempts,
        last_attempt_at=row.delivery_last_attempt_at,
        next_attempt_at=row.delivery_next_attempt_at if pending else None,
        http_status=row.delivery_http_status,
        error=row.delivery_error,
    )
