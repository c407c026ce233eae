"""What a process's gateway remembers between requests. Touched by the event loop's thread only."""

import time
from dataclasses import dataclass
from typing import Self

from trunkline.events import CircuitChanged, EventBus
from trunkline.failover.breakers import Breakers, CircuitChange, CircuitOf
from trunkline.failover.means import Means


@dataclass(frozen=True, slots=True)
class GatewayState:
    """The circuits, and what every run works with."""

    breakers: Breakers
    means: Means

    @classmethod
    def new(cls, events: EventBus) -> Self:
        """Nothing was tried yet. Each circuit that opens, closes or probes is told to `events`."""

        def tell(change: CircuitChange) -> None:
            of_model = change.of is CircuitOf.MODEL
            events.publish(
                CircuitChanged(change.id if of_model else None, None if of_model else change.id)
            )

        breakers = Breakers(time.monotonic, tell)
        return cls(breakers, Means(breakers=breakers))
