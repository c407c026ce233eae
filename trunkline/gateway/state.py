"""What a process's gateway remembers between requests. Touched by the event loop's thread only."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Self

from trunkline.clock import Clock
from trunkline.events import CircuitChanged, EventBus
from trunkline.failover.breakers import Breakers, CircuitChange, CircuitOf
from trunkline.failover.means import Means
from trunkline.failover.slots import DEFAULT_RUNNING, Slots
from trunkline.gateway.configuration import Configuration
from trunkline.gateway.ledger import Ledger


@dataclass(frozen=True, slots=True)
class GatewayState:
    """The circuits, what every run works with, what may be asked for, and what has ended.

    `stopped` is set when the server stops and waits no longer: requests that are cancelled from
    then on were not left by their callers.
    """

    breakers: Breakers
    means: Means
    configuration: Configuration
    ledger: Ledger
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def new(cls, events: EventBus, clock: Clock, *, most_running: int = DEFAULT_RUNNING) -> Self:
        """Nothing was tried yet; `most_running` requests go to a provider at a time.

        Each circuit that opens, closes or probes is told to `events`.
        """

        def tell(change: CircuitChange) -> None:
            of_model = change.of is CircuitOf.MODEL
            events.publish(
                CircuitChanged(change.id if of_model else None, None if of_model else change.id)
            )

        breakers = Breakers(time.monotonic, tell)
        means = Means(breakers=breakers, clock=clock, slots=Slots(most_running))
        return cls(breakers, means, Configuration(events), Ledger())
