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
class EndpointTally:
    """Of one endpoint: how its requests ended, and how long they took."""

    outcomes: Counter[GatewayOutcome] = field(default_factory=Counter)
    durations: Durations = field(default_factory=_patient)


@dataclass(slots=True)
class ProviderTally:
    """Of one provider. `outcomes` says how attempts ended: SUCCEEDED, CANCELLED, a class of failure
    or why there was none.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    milliseconds: int = 0
    """Of the attempts that were sent."""


@dataclass(slots=True)
class GatewayTally:
    """As many providers are in it as are configured at most."""

    endpoints: defaultdict[GatewayEndpoint, EndpointTally] = field(
        default_factory=lambda: defaultdict(EndpointTally)
    )
    providers: defaultdict[int, ProviderTally] = field(
        default_factory=lambda: defaultdict(ProviderTally)
    )
    first_token: Durations = field(default_factory=_patient)
    overhead: Durations = field(default_factory=lambda: Durations(SECONDS))

    def add(self, row: NewGatewayRequest) -> None:
        """Count a request that has ended."""
        endpoint = self.endpoints[row.endpoint]
        endpoint.outcomes[row.outcome] += 1
        endpoint.durations.note(row.milliseconds / 1_000)
        if row.attempts:
            self.overhead.note(row.overhead_ms / 1_000)
        if row.first_token_ms is not None:
            self.first_token.note(row.first_token_ms / 1_000)
        for one in row.attempts:
            provider = self.providers[one.provider_id]
            provider.outcomes[CANCELLED if one.cancelled else one.outcome or SUCCEEDED] += 1
            if one.sent:
                provider.sent += 1
                provider.milliseconds += one.milliseconds
