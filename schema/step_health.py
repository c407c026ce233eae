"""How a step of a chain does just now."""

from datetime import datetime

import strawberry

from schema.fields import plain
from trunkline.failover.circuits import CircuitState
from trunkline.failover.classes import FailureClass


@strawberry.type(
    description=(
        "How a step's model does just now, by the requests of the server that answers: each server "
        "has circuits of its own. `circuitChanged` tells of each change of state."
    )
)
class StepHealth:
    """Read from `HealthRow`."""

    state: CircuitState = plain("The worse of the model's circuit and its provider's.")
    opened_by: FailureClass | None = plain("What opened it; null while it is closed.")
    probes_again_at: datetime | None = plain(
        "When a request goes through again, as a probe; null while it is closed, in the past where "
        "the next request will be one."
    )
    success_share: float | None = plain(
        "Of the attempts of the last 30 seconds, from 0 to 1; null where there were none."
    )
    attempts: int = plain("Of the last 30 seconds.")
    latency_p50_ms: float | None = plain(
        "The median time to a first token, or a whole answer, of the last 200 attempts that "
        "succeeded; null where none did."
    )
    latency_p95_ms: float | None = plain("The 95th percentile of the same.")
