"""Counts what went through the gateway: each attempt that was sent is a usage event, in the same
transaction as the row of its request.

The events' keys are made of the request's id and the attempt's number, so that whatever is stored
twice is counted once.
"""

from collections.abc import Mapping, Sequence

from db.engine import Connection
from db.gateway_requests import GatewayAttemptRow, NewGatewayRequest, insert_gateway_requests
from db.overrides import OverrideRow, load_overrides
from db.rollup_columns import TotalTooLarge
from db.rollup_writing import add_to_rollups
from db.usage import NewEventRow, advance_clock, insert_events
from trunkline.events import Event, GatewayRequestsRecorded, UsageRecorded
from trunkline.gateway.configuration import GatewayModel
from trunkline.gateway.ledger import EndedRequest, Unstorable
from trunkline.services import Services
from trunkline.usage.intake import RESERVED_PREFIX
from trunkline.usage.pricing import override_at
from trunkline.usage.rates import TokenCounts

_NO_FINGERPRINT = b""
"""Nobody else may use our keys, so there is nothing to tell apart."""

Overrides = Mapping[int, Sequence[OverrideRow]]


async def store_requests(services: Services, ended: Sequence[EndedRequest]) -> None:
    """Store these requests and count their attempts. Raises `Unstorable`, and errors of a store
    that may be gone in a moment.
    """

    async def store(connection: Connection) -> tuple[list[NewEventRow], list[Event]]:
        now = services.clock()
        tried = {attempt.model_id for one in ended for attempt in one.row.attempts if attempt.sent}
        overrides = await load_overrides(connection, sorted(tried))
        for one in ended:
            _price(services, one, overrides)
        requests = [one.row for one in ended]
        rows = [event for request in requests for event in _events(request)]
        told: list[Event] = [GatewayRequestsRecorded(now)]
        if rows:
            inserted = await insert_events(connection, rows, now=now)
            rows = [row for row in rows if row.idempotency_key in inserted]
            await add_to_rollups(connection, rows)
            told.append(UsageRecorded((await advance_clock(connection, now)).as_of))
        # Last: it holds the clock's row, which who records usage takes after the rollups.
        await insert_gateway_requests(connection, requests)
        return rows, told

    try:
        await services.commit(store, after=lambda rows: services.usage_tally.add(rows, "gateway"))
    except TotalTooLarge as error:
        raise Unstorable("a total would exceed what can be summed exactly") from error


def _price(services: Services, ended: EndedRequest, overrides: Overrides) -> None:
    for attempt in ended.row.attempts:
        if attempt.sent:
            model = ended.models[attempt.model_id]
            attempt.cost_nanos = _cost(services, model, attempt, overrides)


def _cost(
    services: Services, model: GatewayModel, attempt: GatewayAttemptRow, overrides: Overrides
) -> int | None:
    return services.prices.cost_nanos(
        kind=model.provider.kind,
        known_provider=model.provider.known_provider,
        wire_name=model.wire_name,
        at=attempt.started_at,
        tokens=TokenCounts(
            attempt.input_tokens,
            attempt.cache_read_tokens,
            attempt.cache_write_tokens,
            attempt.output_tokens,
            attempt.reasoning_tokens,
        ),
        override=(
            override_at(overrides[model.id], attempt.started_at) if model.id in overrides else None
        ),
    )


def _events(request: NewGatewayRequest) -> list[NewEventRow]:
    return [
        NewEventRow(
            idempotency_key=f"{RESERVED_PREFIX}{request.request_id}:{number}",
            fingerprint=_NO_FINGERPRINT,
            occurred_at=attempt.started_at,
            provider_id=attempt.provider_id,
            model_id=attempt.model_id,
            agent=request.agent,
            chain_id=request.chain_id,
            succeeded=attempt.outcome is None and not attempt.cancelled,
            input_tokens=attempt.input_tokens,
            cache_read_tokens=attempt.cache_read_tokens,
            cache_write_tokens=attempt.cache_write_tokens,
            output_tokens=attempt.output_tokens,
            reasoning_tokens=attempt.reasoning_tokens,
            estimated=attempt.estimated,
            cost_nanos=attempt.cost_nanos,
            latency_ms=attempt.milliseconds,
        )
        for number, attempt in enumerate(request.attempts, 1)
        if attempt.sent
    ]
