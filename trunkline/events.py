"""Change events: how whoever changed something tells whoever watches, after the commit.

An event says that an object changed, not how: a subscriber reads the object's present state. So
events about one object merge, and a slow subscriber holds at most one per object. Past a bound it
holds a single `Missed`, which says: read anew everything you hold.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from db.vocabulary import ChangeKind

# More objects than this waiting for one subscriber, and it is told to read anew instead.
MOST_PENDING = 1_000


@dataclass(frozen=True, slots=True)
class ProviderChanged:
    """A provider, its status, its key or its last connection test changed."""

    kind: ChangeKind
    id: int
    slug: str


@dataclass(frozen=True, slots=True)
class ModelChanged:
    """A model changed."""

    kind: ChangeKind
    id: int
    provider_id: int
    provider_slug: str


@dataclass(frozen=True, slots=True)
class FailoverChainChanged:
    """A failover chain or one of its steps changed."""

    kind: ChangeKind
    id: int
    slug: str


@dataclass(frozen=True, slots=True)
class BudgetChanged:
    """A budget, whether it blocks, its period or its webhook's delivery changed."""

    kind: ChangeKind
    id: int


@dataclass(frozen=True, slots=True)
class BudgetAlerted:
    """A budget's spending reached a threshold; `id` is the alert's."""

    kind: ChangeKind
    id: int
    budget_id: int


@dataclass(frozen=True, slots=True)
class AccessTokenChanged:
    """An access token was created, rotated or revoked; not, that it was used."""

    kind: ChangeKind
    id: int


@dataclass(frozen=True, slots=True)
class UsageRecorded:
    """Usage was committed; `as_of` is the state that now stands."""

    as_of: datetime


@dataclass(frozen=True, slots=True)
class GatewayRequestsRecorded:
    """Requests through the gateway ended, and their rows were committed, at `at`."""

    at: datetime


@dataclass(frozen=True, slots=True)
class CircuitChanged:
    """A circuit of this process opened, closed or let a probe through: read its state anew.

    Of a model, or of a whole provider. Other processes don't hear of it: circuits are each one's
    own.
    """

    model_id: int | None
    provider_id: int | None


@dataclass(frozen=True, slots=True)
class Missed:
    """More changed than is worth listing, or it isn't known what: read anew what you hold."""


Change = (
    ProviderChanged
    | ModelChanged
    | FailoverChainChanged
    | BudgetChanged
    | BudgetAlerted
    | AccessTokenChanged
)
State = UsageRecorded | GatewayRequestsRecorded
"""What has one state, which the newest event tells of."""
Event = Change | State | CircuitChanged
_Slot = tuple[type, Hashable]


class Hearer(Protocol):
    """Whoever an `EventBus` tells."""

    def offer(self, event: Event) -> None:
        """Take an event, of whatever kind."""

    def miss(self, kinds: tuple[type, ...]) -> None:
        """It isn't known what changed of these kinds."""


class Subscription:
    """What one subscriber has not yet read. Iterate over it; `EventBus.subscribe` ends it."""

    def __init__(self, kinds: tuple[type, ...]) -> None:
        self._kinds = kinds
        # One entry an object, in the order of first change. Touched by the event loop only.
        self._pending: dict[_Slot, Event] = {}
        self._missed = False
        self._arrived = asyncio.Event()

    def __aiter__(self) -> AsyncIterator[Event | Missed]:
        return self

    async def __anext__(self) -> Event | Missed:
        await self._arrived.wait()
        if self._missed:
            self._missed = False
            self._settle()
            return Missed()
        slot = next(iter(self._pending))
        event = self._pending.pop(slot)
        self._settle()
        return event

    async def drained(self) -> None:
        """Wait until something has arrived, and take all of it as read."""
        await self._arrived.wait()
        self._pending.clear()
        self._missed = False
        self._settle()

    def offer(self, event: Event) -> None:
        """Take an event of a kind subscribed to, merging it with what waits for the same object."""
        if not isinstance(event, self._kinds):
            return
        slot = _slot(event)
        waiting = self._pending.get(slot)
        self._pending[slot] = event if waiting is None else _merged(waiting, event)
        if len(self._pending) > MOST_PENDING:
            self._pending.clear()
            self._missed = True
        self._arrived.set()

    def miss(self, kinds: tuple[type, ...]) -> None:
        """Hear `Missed`, where subscribed to one of these kinds. What waits is told by it too."""
        if not any(issubclass(kind, self._kinds) for kind in kinds):
            return
        self._pending.clear()
        self._missed = True
        self._arrived.set()

    def _settle(self) -> None:
        if not self._pending and not self._missed:
            self._arrived.clear()


class EventBus:
    """Delivers events to the subscribers of this process; publishing never waits."""

    def __init__(self) -> None:
        self._subscriptions: set[Hearer] = set()
        self._listeners: list[tuple[tuple[type, ...], Callable[[], None]]] = []

    def publish(self, *events: Event) -> None:
        """Tell every subscriber. Call it after the commit, never before."""
        for kinds, listener in self._listeners:
            if any(isinstance(event, kinds) for event in events):
                listener()
        for subscription in tuple(self._subscriptions):
            for event in events:
                subscription.offer(event)

    def missed(self, *kinds: type) -> None:
        """Tell the subscribers to these kinds, and no others, that it isn't known what changed."""
        for listened, listener in self._listeners:
            if any(issubclass(kind, listened) for kind in kinds):
                listener()
        for subscription in tuple(self._subscriptions):
            subscription.miss(kinds)

    def call(self, listener: Callable[[], None], *kinds: type) -> None:
        """Call `listener` whenever something of these kinds changed, before `publish` returns, for
        as long as the bus lives: for caches, which must not serve what was, not even once.
        """
        self._listeners.append((kinds, listener))

    @contextmanager
    def subscribe(self, *kinds: type) -> Iterator[Subscription]:
        """Hear of events of these kinds from now on, until the block ends."""
        subscription = Subscription(kinds)
        with self.telling(subscription):
            yield subscription

    @contextmanager
    def telling(self, hearer: Hearer) -> Iterator[None]:
        """Tell somebody of every event from now on, until the block ends."""
        self._subscriptions.add(hearer)
        try:
            yield
        finally:
            self._subscriptions.discard(hearer)


def _slot(event: Event) -> _Slot:
    match event:
        case UsageRecorded() | GatewayRequestsRecorded():
            return type(event), None
        case CircuitChanged():
            return type(event), event
        case _:
            return type(event), event.id


def _merged(waiting: Event, newer: Event) -> Event:
    if not isinstance(newer, Change) or not isinstance(waiting, Change):
        return newer
    if waiting.kind is ChangeKind.CREATED and newer.kind is ChangeKind.UPDATED:
        return replace(newer, kind=ChangeKind.CREATED)
    return newer
