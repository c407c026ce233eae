"""Requests of the gateway as rows to store, with all that a test doesn't care about."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from db.gateway_requests import GatewayAttemptRow, NewGatewayRequest
from db.vocabulary import GatewayEndpoint, GatewayOutcome

AT = datetime(2026, 11, 23, 15, 0, 0, 123_457, tzinfo=UTC)

_ATTEMPT = GatewayAttemptRow(
    step_id=None,
    provider_id=1,
    model_id=1,
    label="one/llama",
    sent=True,
    outcome=None,
    cancelled=False,
    status=200,
    started_at=AT,
    milliseconds=1_450,
    reason="",
)


def attempt(**changed: Any) -> GatewayAttemptRow:
    """An attempt that succeeded, but for what is given."""
    return replace(_ATTEMPT, **changed)


def request(request_id: str, **changed: Any) -> NewGatewayRequest:
    """A streamed request that was answered, but for what is given."""
    row = NewGatewayRequest(
        request_id=request_id,
        endpoint=GatewayEndpoint.CHAT_COMPLETIONS,
        asked_for="chain/chat",
        chain_id=0,
        model_id=0,
        agent="",
        streamed=True,
        outcome=GatewayOutcome.ANSWERED,
        status=200,
        started_at=AT,
        milliseconds=1_500,
        first_token_ms=None,
        overhead_ms=0.5,
        attempts=[attempt()],
    )
    return replace(row, **changed)
