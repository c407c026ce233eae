"""How the requests of this process went, in numbers: for the metrics that it shows.

Counted when a request ends, not when it is stored, so that it shows also while the database is
away. Touched by the event loop's thread only.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from db.durations import PATIENT_SECONDS, SECONDS, Durations
from db.gateway_requests import NewGatewayRequest
from db.vocabulary import GatewayEndpoint, GatewayOutcome

SUCCEEDED = "SUCCEEDED"
CANCELLED = "CANCELLED"


def _patient() -> Durations:
    return Durations(PATIENT_SECONDS)


@dataclass(slots=True)
class GatewayTally:
    """As many providers are in it as are configured at most."""

    requests: Counter[tuple[GatewayEndpoint, GatewayOutcome]] = field(default_factory=Counter)
    attempts: Counter[tuple[int, str]] = field(default_factory=Counter)
    """By provider and how each ended: SUCCEEDED, CANCELLED, a class of failure, or why it was
    skipped.
    """
    attempt_milliseconds: Counter[int] = field(default_factory=Counter)
    """Of the attempts that were sent, by provider."""
    durations: defaultdict[GatewayEndpoint, Durations] = field(
        default_factory=lambda: defaultdict(_patient)
    )
    first_token: Durations = field(default_factory=_patient)
    overhead: Durations = field(default_factory=lambda: Durations(SECONDS))

    def add(self, row: NewGatewayRequest) -> None:
        """Count a request that has ended."""
        self.requests[row.endpoint, row.outcome] += 1
        self.durations[row.endpoint].note(row.milliseconds / 1_000)
        if row.attempts:
            self.overhead.note(row.overhead_ms / 1_000)
        if row.first_token_ms is not None:
            self.first_token.note(row.first_token_ms / 1_000)
        for one in row.attempts:
            outcome = CANCELLED if one.cancelled else one.outcome or SUCCEEDED
            self.attempts[one.provider_id, outcome] += 1
            if one.sent:
                self.attempt_milliseconds[one.provider_id] += one.milliseconds
