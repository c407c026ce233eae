"""Requests that went through the gateway, each a row with its attempts. Prompts and answers are
not stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from db.vocabulary import GatewayEndpoint, GatewayOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayAttemptRow:
    """One try of a step, or why there was none.

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


@dataclass(frozen=True, slots=True, kw_only=True)
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
