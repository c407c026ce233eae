"""What requests may ask for, kept in memory as it is used: chains and models with their providers.

It is dropped at once when a provider, a model or a chain changes: a request never runs by a
configuration that was changed before it came. Read by `resolving.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from db.vocabulary import Delivery, ModelCapability, ProviderKind
from trunkline.events import EventBus, FailoverChainChanged, ModelChanged, ProviderChanged
from trunkline.failover.attempts import ResolvedStep
from trunkline.providers.adapter import SecretHeaders

MOST_KEPT = 10_000
"""Names; past them all are forgotten, and read anew as they are asked for."""


@dataclass(frozen=True, slots=True)
class GatewayProvider:
    """A provider as requests need it. `headers` hold its key."""

    id: int
    kind: ProviderKind
    known_provider: str | None
    root: str
    headers: SecretHeaders


@dataclass(frozen=True, slots=True)
class GatewayModel:
    """A model as requests need it; `capabilities` is None where nobody knows."""

    id: int
    wire_name: str
    label: str
    provider: GatewayProvider
    capabilities: frozenset[ModelCapability] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Runnable:
    """What a name stands for: a chain, or one model as a chain of one step."""

    name: str
    chain_id: int
    delivery: Delivery
    steps: tuple[ResolvedStep, ...]
    models: Mapping[int, GatewayModel] = field(repr=False)


class Configuration:
    """The names that were asked for. Touched by the event loop's thread only."""

    def __init__(self, events: EventBus) -> None:
        self._known: dict[str, Runnable] = {}
        self.generation = 0
        """Counts the changes: what was read in another generation may be of yesterday."""
        events.call(self._forget, ProviderChanged, ModelChanged, FailoverChainChanged)

    def get(self, name: str) -> Runnable | None:
        """What this name stands for, where that is known."""
        return self._known.get(name)

    def keep(self, found: Runnable, generation: int) -> None:
        """Know what was read in this generation."""
        # What was read before a change is good for the request that came before it, and no other.
        if generation == self.generation:
            if len(self._known) >= MOST_KEPT:
                self._known.clear()
            self._known[found.name] = found

    def _forget(self) -> None:
        self._known.clear()
        self.generation += 1
