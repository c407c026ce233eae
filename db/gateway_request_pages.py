"""Reading the requests that went through the gateway: pages, newest first, and what is new.

Requests outlive what they name: models and chains are tombstoned, so their names can be joined.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.columns import from_microseconds, to_microseconds
from db.gateway_attempts import GatewayAttemptRow, attempts_from_json
from db.paging import BadCursor, PageRequest, Slice, decode_cursor, slice_of
from db.tables import failover_chains, gateway_requests, models, providers
from db.vocabulary import GatewayEndpoint, GatewayOutcome

_ORDER = "gateway_requests"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRequestRow:
    """A request that ended, with the names of what it used, which outlive the objects.

    None where there is none; `model_label` is `<provider slug>/<wire name>`.
    """

    id: int
    request_id: str
    endpoint: GatewayEndpoint
    asked_for: str
    failover_chain_id: int | None
    failover_chain_label: str | None
    model_id: int | None
    model_label: str | None
    agent: str | None
    streamed: bool
    outcome: GatewayOutcome
    http_status: int | None
    started_at: datetime
    milliseconds: int
    first_token_ms: int | None
    overhead_ms: float
    attempts: Sequence[GatewayAttemptRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRequestCondition:
    """What requests are narrowed to; None: not by this. An empty list matches nothing.

    `chain_ids` may hold 0, and `agents` "", for requests with none. Of the instants `begin` is in
    and `end` out.
    """

    chain_ids: tuple[int, ...] | None = None
    model_ids: tuple[int, ...] | None = None
    agents: tuple[str, ...] | None = None
    outcomes: tuple[GatewayOutcome, ...] | None = None
    endpoints: tuple[GatewayEndpoint, ...] | None = None
    begin: datetime | None = None
    end: datetime | None = None

    def includes(self, row: GatewayRequestRow) -> bool:
        """Whether a row matches: what `_matching` asks the store."""
        listed: tuple[tuple[object, Sequence[object] | None], ...] = (
            (row.failover_chain_id or 0, self.chain_ids),
            (row.model_id or 0, self.model_ids),
            (row.agent or "", self.agents),
            (row.outcome, self.outcomes),
            (row.endpoint, self.endpoints),
        )
        return (
            all(values is None or value in values for value, values in listed)
            and (self.begin is None or row.started_at >= self.begin)
            and (self.end is None or row.started_at < self.end)
        )


EVERYTHING = GatewayRequestCondition()


async def page_gateway_requests(
    connection: AsyncConnection, page: PageRequest, condition: GatewayRequestCondition = EVERYTHING
) -> Slice[GatewayRequestRow]:
    """Those that match, newest start first. Raises `BadCursor`."""
    narrowed = _matching(condition)
    columns = gateway_requests.c
    statement = _rows().where(*narrowed)
    if page.after is not None:
        moment, last_id = _place(page.after)
        statement = statement.where(
            # The first says what the others imply, and lets the index begin there.
            columns.started_at <= moment,
            or_(
                columns.started_at < moment,
                and_(columns.started_at == moment, columns.id < last_id),
            ),
        )
    statement = statement.order_by(columns.started_at.desc(), columns.id.desc())
    found = [_request(row) for row in await connection.execute(statement.limit(page.first + 1))]
    total = None
    if page.with_total:
        counted = select(func.count()).select_from(gateway_requests).where(*narrowed)
        total = await connection.scalar(counted)
    return slice_of(
        page, found, lambda row: (to_microseconds(row.started_at), row.id), _ORDER, total
    )


async def load_gateway_requests(
    connection: AsyncConnection, ids: Sequence[int]
) -> Mapping[int, GatewayRequestRow]:
    """These, by id."""
    found = await connection.execute(_rows().where(gateway_requests.c.id.in_(ids)))
    return {row.id: _request(row) for row in found}


async def last_gateway_request(connection: AsyncConnection) -> int:
    """The id of the last that was committed; 0 where there is none."""
    return await connection.scalar(select(func.max(gateway_requests.c.id))) or 0


async def gateway_requests_since(
    connection: AsyncConnection,
    last_id: int,
    condition: GatewayRequestCondition = EVERYTHING,
    *,
    most: int,
) -> list[GatewayRequestRow]:
    """Those that match and were committed after the one with this id: the first so many, in the
    order of their commits.
    """
    statement = (
        _rows()
        .where(gateway_requests.c.id > last_id, *_matching(condition))
        .order_by(gateway_requests.c.id)
        .limit(most)
    )
    return [_request(row) for row in await connection.execute(statement)]


def _matching(condition: GatewayRequestCondition) -> list[ColumnElement[bool]]:
    columns = gateway_requests.c
    listed: tuple[tuple[ColumnElement[Any], Sequence[object] | None], ...] = (
        (columns.chain_id, condition.chain_ids),
        (columns.model_id, condition.model_ids),
        (columns.agent, condition.agents),
        (columns.outcome, condition.outcomes),
        (columns.endpoint, condition.endpoints),
    )
    found: list[ColumnElement[bool]] = [
        column.in_(values) for column, values in listed if values is not None
    ]
    if condition.begin is not None:
        found.append(columns.started_at >= condition.begin)
    if condition.end is not None:
        found.append(columns.started_at < condition.end)
    return found


def _place(cursor: str) -> tuple[datetime, int]:
    microseconds, last_id = decode_cursor(_ORDER, cursor, (int, int))
    try:
        return from_microseconds(int(microseconds)), int(last_id)
    except OverflowError as error:  # A year that no calendar has: not one of our cursors.
        raise BadCursor from error


def _rows() -> Select[Any]:
    return (
        select(
            gateway_requests,
            (providers.c.slug + "/" + models.c.wire_name).label("model_label"),
            failover_chains.c.name.label("chain_label"),
        )
        .outerjoin(models, models.c.id == gateway_requests.c.model_id)
        .outerjoin(providers, providers.c.id == models.c.provider_id)
        .outerjoin(failover_chains, failover_chains.c.id == gateway_requests.c.chain_id)
    )


def _request(row: Row[Any]) -> GatewayRequestRow:
    return GatewayRequestRow(
        id=row.id,
        request_id=row.request_id,
        endpoint=GatewayEndpoint(row.endpoint),
        asked_for=row.asked_for,
        failover_chain_id=row.chain_id or None,
        failover_chain_label=row.chain_label,
        model_id=row.model_id or None,
        model_label=row.model_label,
        agent=row.agent or None,
        streamed=row.streamed,
        outcome=GatewayOutcome(row.outcome),
        http_status=row.status or None,
        started_at=row.started_at,
        milliseconds=row.milliseconds,
        first_token_ms=row.first_token_ms,
        overhead_ms=row.overhead_ms,
        attempts=attempts_from_json(row.attempts),
    )
