"""What the work needs, in one place: made once by `server/wiring.py`, handed to every use case."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from db.engine import Connection, Database
from trunkline.catalog.known import KnownCatalog
from trunkline.clock import Clock
from trunkline.events import Event, EventBus
from trunkline.providers.outgoing import Outgoing
from trunkline.secrets import Secrets
from trunkline.usage.hub import UsageHub
from trunkline.usage.pricing import PriceBook

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of a running Trunkline. Whoever made them closes them."""

    database: Database
    events: EventBus
    secrets: Secrets
    clock: Clock
    outgoing: Outgoing
    catalog: KnownCatalog
    prices: PriceBook
    hub: UsageHub
    started_at: datetime

    async def commit(self, work: Callable[[Connection], Awaitable[tuple[T, Sequence[Event]]]]) -> T:
        """Run `work` in one write transaction, publish the events that it returned beside its
        result, and return the result.

        Events go out after the commit and never without it; also where the caller is gone by then.
        """

        def publish(done: tuple[T, Sequence[Event]]) -> None:
            self.events.publish(*done[1])

        result, _ = await self.database.transact(work, after=publish)
        return result
