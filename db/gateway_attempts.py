"""The attempts of a request through the gateway, as JSON text in the request's row."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from db.columns import from_microseconds, to_microseconds
from db.storable import storable

LONGEST_REASON = 2_000
"""Characters; what is longer is cut."""


@dataclass(slots=True, kw_only=True)
class GatewayAttemptRow:
    """One try of a step, or why there was none. Not frozen: that takes three times as long to make.

    `outcome` is a failure's class or the reason why it was skipped, None for a success and for one
    that was `cancelled`. `label` is `<provider slug>/<wire name>` as it was then. Tokens are
    inclusive; `cost_nanos` is None where the price is unknown and where nothing was sent.
    """

    step_id: int | None
    provider_id: int
    model_id: int
    label: str
    sent: bool
    outcome: str | None
    cancelled: bool
    status: int | None
    started_at: datetime
    milliseconds: int
    reason: str
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    cost_nanos: int | None = None


def attempts_to_json(attempts: Sequence[GatewayAttemptRow]) -> str:
    """Each as a list, in the order of the fields: a third of what their names would take."""
    return orjson.dumps([_values(one) for one in attempts]).decode()


def attempts_from_json(text: str) -> list[GatewayAttemptRow]:
    """What `attempts_to_json` wrote."""
    return [_attempt(*values) for values in orjson.loads(text)]


def _values(one: GatewayAttemptRow) -> tuple[Any, ...]:
    return (
        one.step_id,
        one.provider_id,
        one.model_id,
        storable(one.label),
        one.sent,
        one.outcome,
        one.cancelled,
        one.status,
        to_microseconds(one.started_at),
        one.milliseconds,
        storable(one.reason, longest=LONGEST_REASON),
        one.input_tokens,
        one.cache_read_tokens,
        one.cache_write_tokens,
        one.output_tokens,
        one.reasoning_tokens,
        one.estimated,
        one.cost_nanos,
    )


def _attempt(
    step_id: int | None,
    provider_id: int,
    model_id: int,
    label: str,
    sent: bool,  # noqa: FBT001  # by place, as they were written
    outcome: str | None,
    cancelled: bool,  # noqa: FBT001
    status: int | None,
    started_at: int,
    milliseconds: int,
    reason: str,
    input_tokens: int,
    cache_read_tokens: int,
    cache_write_tokens: int,
    output_tokens: int,
    reasoning_tokens: int,
    estimated: bool,  # noqa: FBT001
    cost_nanos: int | None,
) -> GatewayAttemptRow:
    return GatewayAttemptRow(
        step_id=step_id,
        provider_id=provider_id,
        model_id=model_id,
        label=label,
        sent=sent,
        outcome=outcome,
        cancelled=cancelled,
        status=status,
        started_at=from_microseconds(started_at),
        milliseconds=milliseconds,
        reason=reason,
        input_tokens=input_tokens,
        cache_read_tokens=cache_read_tokens,
        cache_write_tokens=cache_write_tokens,
        output_tokens=output_tokens,
        reasoning_tokens=reasoning_tokens,
        estimated=estimated,
        cost_nanos=cost_nanos,
    )
