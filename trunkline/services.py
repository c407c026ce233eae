"""What the work needs, in one place: made once by `server/wiring.py`, handed to every use case."""

from dataclasses import dataclass
from datetime import datetime

from db.engine import Database
from trunkline.catalog.known import KnownCatalog
from trunkline.clock import Clock
from trunkline.events import EventBus
from trunkline.providers.outgoing import Outgoing
from trunkline.secrets import Secrets
from trunkline.usage.hub import UsageHub
from trunkline.usage.pricing import PriceBook


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
