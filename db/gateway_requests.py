"""Requests that went through the gateway, each a row with its attempts. Prompts and answers are
not stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import BulkInsert, Row
from db.columns import to_microseconds
from db.gateway_attempts import GatewayAttemptRow, attempts_to_json
from db.storable import storable
from db.tables import gateway_requests, usage_clock
from db.vocabulary import GatewayEndpoint, GatewayOutcome

__all__ = [
    "GatewayAttemptRow",
    "NewGatewayRequest",
    "delete_expired_requests",
    "insert_gateway_requests",
]

LONGEST_ASKED_FOR = 300
"""Characters; callers may ask for anything, and what is longer is cut."""
LONGEST_AGENT = 200

_COLUMNS = tuple(column.name for column in gateway_requests.columns if column.name != "id")
_INSERT = BulkInsert(gateway_requests, _COLUMNS, on_conflict="(request_id) DO NOTHING")


@dataclass(slots=True, kw_only=True)
class NewGatewayRequest:
    """A request that ended, to insert. 0 and "" stand for none.

    `request_id` is what the caller got as `x-trunkline-request-id`; `asked_for` the model's name as
    the caller gave it; `model_id` the model that answered, or else the last that was tried;
    `overhead_ms` our own share of the time.
    """

    request_id: str
    endpoint: GatewayEndpoint
    asked_for: str
    chain_id: int
    model_id: int
    agent: str
    streamed: bool
    outcome: GatewayOutcome
    status: int
    started_at: datetime
    milliseconds: int
    first_token_ms: int | None
    overhead_ms: float
    attempts: Sequence[GatewayAttemptRow]


async def insert_gateway_requests(
    connection: AsyncConnection, rows: Sequence[NewGatewayRequest]
) -> None:
    """Insert those whose request ids are new, in their order.

    Whoever reads on from the last id that it saw misses none: ids are in the order of commits, as
    the clock of usage stays locked from here until the transaction ends. So call it after the usage
    of these requests is inserted, which takes its locks in that order too.
    """
    if not rows:
        return
    # A sequence gives ids before the commit, and without the lock a later one could be seen first.
    await connection.execute(select(usage_clock.c.id).with_for_update())
    await _INSERT.run(connection, [_values(row) for row in rows])


async def delete_expired_requests(connection: AsyncConnection, most: int) -> int:
    """Delete at most so many that began before the watermark of usage (see `usage_retention`),
    oldest first; how many there were.
    """
    watermark = select(usage_clock.c.expired_before).scalar_subquery()
    expired = (
        select(gateway_requests.c.id)
        .where(gateway_requests.c.started_at < watermark)
        .order_by(gateway_requests.c.started_at, gateway_requests.c.id)
        .limit(most)
        .with_for_update(skip_locked=True, of=gateway_requests)
    )
    result = await connection.execute(
        delete(gateway_requests).where(gateway_requests.c.id.in_(expired.scalar_subquery()))
    )
    return result.rowcount


def _values(row: NewGatewayRequest) -> Row:
    """In the order of `_COLUMNS`, as the drivers take them."""
    return (
        row.request_id,
        row.endpoint.value,
        storable(row.asked_for, longest=LONGEST_ASKED_FOR),
        row.chain_id,
        row.model_id,
        storable(row.agent, longest=LONGEST_AGENT),
        row.streamed,
        row.outcome.value,
        row.status,
        to_microseconds(row.started_at),
        row.milliseconds,
        row.first_token_ms,
        row.overhead_ms,
        attempts_to_json(row.attempts),
    )
