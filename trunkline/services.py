"""What the work needs, in one place: made once by `server/wiring.py`, handed to every use case."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from db.engine import Connection, Database
from trunkline.audit.actions import Action
from trunkline.audit.actors import Actor
from trunkline.audit.changes import Change, leave_entries
from trunkline.budgets.blocking import BlockedScopes
from trunkline.catalog.known import KnownCatalog
from trunkline.clock import Clock
from trunkline.events import Event, EventBus
from trunkline.gateway.request_feed import RequestFeed
from trunkline.gateway.state import GatewayState
from trunkline.gateway.traces import RequestTraces
from trunkline.processes.announcing import Announcer
from trunkline.processes.messages import Count
from trunkline.providers.outgoing import Outgoing
from trunkline.secrets import Secrets
from trunkline.usage.agents import KnownAgents
from trunkline.usage.group_commit import GroupCommit
from trunkline.usage.hub import UsageHub
from trunkline.usage.pricing import PriceBook
from trunkline.usage.tally import UsageTally

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
    agents: KnownAgents
    announcer: Announcer
    gateway: GatewayState
    actor: Actor
    """In whose name configuration is changed."""
    recording: GroupCommit = field(default_factory=GroupCommit)
    blocked: BlockedScopes = field(default_factory=BlockedScopes)
    request_feed: RequestFeed = field(default_factory=RequestFeed)
    usage_tally: UsageTally = field(default_factory=UsageTally)
    traces: RequestTraces | None = None

    def acting(self, actor: Actor) -> "Services":
        """The same parts, for changes in somebody else's name."""
        return replace(self, actor=actor)

    async def change(self, action: Action, work: Callable[[Connection], Awaitable[Change[T]]]) -> T:
        """Like `commit`, for a change of configuration: what `work` says that it changed goes into
        the audit log in the same transaction. `action` is named as the mutation is.
        """

        async def audited(connection: Connection) -> tuple[T, Sequence[Event]]:
            done = await work(connection)
            await leave_entries(connection, self.actor, action, done.changes, self.clock())
            return done.result, done.events

        return await self.commit(audited)

    async def commit(
        self,
        work: Callable[[Connection], Awaitable[tuple[T, Sequence[Event]]]],
        *,
        after: Callable[[T], None] | None = None,
    ) -> T:
        """Run `work`, which changes no configuration, in one write transaction, publish the events
        that it returned beside its result, and return the result.

        Events go out after the commit and never without it; also where the caller is gone by then.
        So is `after` called, with the result.
        Other processes hear of them too: the same transaction counts them.
        """

        async def counted(connection: Connection) -> tuple[T, Sequence[Event], Sequence[Count]]:
            result, events = await work(connection)
            return result, events, await self.announcer.count(connection, events)

        def tell(done: tuple[T, Sequence[Event], Sequence[Count]]) -> None:
            result, events, counts = done
            if after is not None:
                after(result)
            self.events.publish(*events)
            self.announcer.announce(counts, events)

        result, _, _ = await self.database.transact(counted, after=tell)
        return result
