"""Events as the rows that are stored: priced, and checked for what only shows then."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from db.engine import Connection
from db.models import ModelRow
from db.overrides import load_overrides
from db.usage import NewEventRow
from trunkline.changes import Problems
from trunkline.money import NANOS_PER_DOLLAR
from trunkline.services import Services
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.naming import ModelName, Named
from trunkline.usage.pricing import override_at
from trunkline.usage.rates import TokenCounts

MOST_PRICED_NANOS = 10_000_000 * NANOS_PER_DOLLAR
"""Of one event: the dearest known model, at as many tokens as an event takes, is under a tenth."""


async def price_events(
    services: Services,
    connection: Connection,
    events: Mapping[str, NewUsageEvent],
    named: Named,
    models: Mapping[ModelName, ModelRow],
    now: datetime,
) -> list[NewEventRow]:
    """Events under new keys as the rows to store, each at the price of when it occurred.

    `events` go by key; `models` hold every model that they name.
    """
    overrides = await load_overrides(connection, [model.id for model in models.values()])
    rows = []
    for key, event in events.items():
        provider = named.providers[event.provider_slug]
        model = models[(provider.id, event.model_name)]
        chain = event.failover_chain_slug
        occurred = min(event.occurred_at or now, now)
        cost = services.prices.cost_nanos(
            kind=provider.kind,
            known_provider=provider.known_provider,
            wire_name=model.wire_name,
            at=occurred,
            tokens=TokenCounts(*event.tokens),
            override=(
                override_at(overrides[model.id], occurred) if model.id in overrides else None
            ),
            billed_nanos=event.cost_nanos,
        )
        rows.append(
            NewEventRow(
                idempotency_key=key,
                fingerprint=named.prints[key],
                occurred_at=occurred,
                provider_id=provider.id,
                model_id=model.id,
                agent=event.agent or "",
                chain_id=named.chains[chain].id if chain is not None else 0,
                succeeded=event.succeeded,
                input_tokens=event.input_tokens,
                cache_read_tokens=event.cache_read_tokens,
                cache_write_tokens=event.cache_write_tokens,
                output_tokens=event.output_tokens,
                reasoning_tokens=event.reasoning_tokens,
                estimated=event.estimated,
                cost_nanos=cost,
                latency_ms=event.latency_ms,
            )
        )
    return rows


def check_costs(
    problems: Problems, events: Sequence[NewUsageEvent], rows: Sequence[NewEventRow]
) -> None:
    """Note events that only an absurd price can have made so dear: their sums would overflow."""
    dear = {row.idempotency_key for row in rows if (row.cost_nanos or 0) > MOST_PRICED_NANOS}
    for place, event in enumerate(events):
        if event.idempotency_key in dear:
            problems.invalid(
                ("events", str(place), "modelName"),
                "at its price this event would cost more than ten million dollars: "
                "check the model's price override, and the tokens",
            )


def check_expiry(
    problems: Problems,
    events: Sequence[NewUsageEvent],
    rows: Sequence[NewEventRow],
    expired_before: datetime,
) -> None:
    """Note events of a time whose events were deleted: this may be one of them, sent again."""
    expired = {row.idempotency_key for row in rows if row.occurred_at < expired_before}
    for place, event in enumerate(events):
        if event.idempotency_key in expired:
            problems.invalid(
                ("events", str(place), "occurredAt"),
                f"events from before {expired_before:%Y-%m-%d} have been deleted, as "
                "TRUNKLINE_EVENT_RETENTION_DAYS says, and none is taken from then any more",
            )
