"""Equal subscriptions share one source, one execution and one encoded result for each event.

Equal is: the same document, operation, variables and extensions, asked by the same viewer, so that
no result ever crosses a permission. Each of them has a member here, which takes results at once
and without waiting, while it can. One that can't at the moment stays at the state that it has and
holds up nobody; when it can again it is brought to the newest in one step (`trunkline.listeners`).
Whoever joins begins with a result of its own, made from then on: a snapshot, or READY.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Hashable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import orjson
import structlog

from resolvers.context import Viewer
from server.operation_request import OperationRequest
from server.outcomes import Outcome, SharedResult, internal_failure
from trunkline.listeners import Listeners

log = structlog.get_logger("trunkline.request")

GIVEN_AT_ONCE = 100
"""Members, before others of this process get a turn: two milliseconds."""

Start = Callable[[OperationRequest, Viewer, str, Listeners], AsyncGenerator[Outcome, None]]
"""Executes a subscription for these listeners, under this request id."""


@dataclass(slots=True, eq=False)
class _Cohort:
    """Those who were last given the same."""

    position: object | None
    members: "set[Member]" = field(default_factory=set)


class Member(ABC):
    """One of those who share a subscription. Touched by the event loop only."""

    __slots__ = ("broadcast", "cohort")

    broadcast: "Broadcast | None"
    """Whose it is; None once it has left or was ended."""
    cohort: _Cohort

    @property
    @abstractmethod
    def able(self) -> bool:
        """Whether it can take a result now. Once it can again, `broadcast.wake` is to be set."""

    @abstractmethod
    def take(self, result: SharedResult) -> None:
        """Take a result; called only while it is able."""

    @abstractmethod
    def end(self, refused: Outcome | None) -> None:
        """There will be no more; `refused` says why, None that it is complete."""


class Broadcast:
    """One subscription and its members. It is the `Listeners` of its source."""

    def __init__(
        self,
        start: Callable[[Listeners], AsyncGenerator[Outcome, None]],
        request_id: str,
        when_over: Callable[["Broadcast"], None],
    ) -> None:
        self.wake = asyncio.Event()
        self.request_id = request_id
        self._start = start
        self._when_over = when_over
        # By the identity of the position.
        self._cohorts: dict[int, _Cohort] = {}
        # Those to whom the next result goes, at the position that it brings them to, and the one
        # that they come from. From when the source names them until they have it.
        self._given: _Cohort | None = None
        self._given_from: object | None = None
        self.task = asyncio.create_task(self._run())

    def join(self, member: Member) -> None:
        """It gets a result of its own, then what follows."""
        member.broadcast = self
        self._put(member, None)
        self.wake.set()

    def leave(self, member: Member) -> None:
        """It gets no more. The last to leave ends the source."""
        member.broadcast = None
        cohort = member.cohort
        cohort.members.discard(member)
        if not cohort.members and self._cohorts.get(id(cohort.position)) is cohort:
            del self._cohorts[id(cohort.position)]
        if not any(True for _ in self._everybody()):
            self._when_over(self)
            self.task.cancel()

    def positions(self) -> Iterable[object | None]:
        """The distinct positions of those who can take a result."""
        return [
            cohort.position
            for cohort in self._cohorts.values()
            if any(member.able for member in cohort.members)
        ]

    def give(self, position: object | None, reached: object) -> None:
        """The next result goes to those at `position` who can take it: to nobody who comes later,
        for whom it may be too old.
        """
        self._given = self._cohorts.pop(id(position))
        self._given.position = reached
        self._given_from = position

    def move(self, position: object | None, reached: object) -> None:
        """Those at `position` are at `reached`."""
        self._arrive(self._cohorts.pop(id(position)), reached)

    async def _run(self) -> None:
        refused: Outcome | None = None
        try:
            async with aclosing(self._start(self)) as outcomes:
                async for outcome in outcomes:
                    if outcome.refused or self._has_no_source(outcome):
                        refused = outcome
                        break
                    await self._send(SharedResult(outcome.encoded()))
        except Exception:  # A fault of ours ends this operation, and nothing else.
            log.exception("operation failed", request_id=self.request_id)
            refused = internal_failure(self.request_id)
        self._when_over(self)
        for member in [*self._everybody()]:
            member.end(refused)
            member.broadcast = None

    def _has_no_source(self, outcome: Outcome) -> bool:
        """Whether it is why the field gave no source: nobody was named, and nothing follows."""
        return self._given is None and outcome.response.get("data") is None

    async def _send(self, result: SharedResult) -> None:
        given = self._given
        if given is None:
            raise LookupError("the subscription's source doesn't say to whom this goes")
        for number, member in enumerate([*given.members]):
            if number % GIVEN_AT_ONCE == GIVEN_AT_ONCE - 1:
                await asyncio.sleep(0)
            if member.cohort is not given or member.broadcast is not self:
                continue
            if member.able:
                member.take(result)
            else:
                given.members.discard(member)
                self._put(member, self._given_from)
        self._given = self._given_from = None
        if given.members:
            self._arrive(given, given.position)

    def _arrive(self, cohort: _Cohort, position: object) -> None:
        """All of it is at `position` now, where others may be already."""
        there = self._cohorts.get(id(position))
        if there is None:
            cohort.position = position
            self._cohorts[id(position)] = cohort
            return
        fewer, more = sorted((cohort, there), key=lambda one: len(one.members))
        for member in fewer.members:
            member.cohort = more
        more.members |= fewer.members
        more.position = position
        self._cohorts[id(position)] = more

    def _put(self, member: Member, position: object | None) -> None:
        cohort = self._cohorts.get(id(position))
        if cohort is None:
            cohort = self._cohorts[id(position)] = _Cohort(position)
        cohort.members.add(member)
        member.cohort = cohort

    def _everybody(self) -> Iterable[Member]:
        for cohort in self._cohorts.values():
            yield from cohort.members
        if self._given is not None:
            yield from self._given.members


class Broadcasts:
    """Every subscription that is shared. Makes one for its first member."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._by_key: dict[Hashable, Broadcast] = {}
        self._running: set[asyncio.Task[None]] = set()

    def join(
        self, operation: OperationRequest, viewer: Viewer, request_id: str, member: Member
    ) -> None:
        """Share `operation` with those who ask for the same; the first lends its request id."""
        # Whether a browser or a token let them in changes nothing that they may see, and when a
        # session ends its sockets and streams are closed.
        audience = replace(viewer, session=None)
        key = (operation.query, operation.operation_name, _given_with(operation), audience)
        found = self._by_key.get(key)
        if found is None:

            def begin(listeners: Listeners) -> AsyncGenerator[Outcome, None]:
                return self._start(operation, audience, request_id, listeners)

            def forget(broadcast: Broadcast) -> None:
                if self._by_key.get(key) is broadcast:
                    del self._by_key[key]

            found = self._by_key[key] = Broadcast(begin, request_id, forget)
            self._running.add(found.task)
            found.task.add_done_callback(self._running.discard)
        found.join(member)

    async def follow(
        self, operation: OperationRequest, viewer: Viewer, request_id: str
    ) -> AsyncGenerator[SharedResult | Outcome, None]:
        """The same for somebody who asks for each result; an `Outcome` is the refusal that ends it.

        Close it with `aclosing`.
        """
        asking = _Asking()
        self.join(operation, viewer, request_id, asking)
        try:
            while (result := await asking.next()) is not None:
                yield result
        finally:
            if asking.broadcast is not None:
                asking.broadcast.leave(asking)

    async def let_go(self) -> None:
        """Wait until what nobody shares any more has let go of the store."""
        left = [task for task in self._running if task.cancelling()]
        await asyncio.gather(*left, return_exceptions=True)

    def __len__(self) -> int:
        return len(self._by_key)


class _Asking(Member):
    """A member that can take a result only while it asks for one."""

    __slots__ = ("_asked", "_over", "_refused")

    def __init__(self) -> None:
        self._asked: asyncio.Future[SharedResult | Outcome | None] | None = None
        self._over = False
        self._refused: Outcome | None = None

    @property
    def able(self) -> bool:
        return self._asked is not None and not self._asked.done()

    def take(self, result: SharedResult) -> None:
        if self._asked is not None:
            self._asked.set_result(result)

    def end(self, refused: Outcome | None) -> None:
        if self.able and self._asked is not None:
            self._asked.set_result(refused)
            refused = None
        self._over, self._refused = True, refused

    async def next(self) -> SharedResult | Outcome | None:
        """The next result; None once there is none."""
        if self._over or self.broadcast is None:
            refused, self._refused = self._refused, None
            return refused
        self._asked = asyncio.get_running_loop().create_future()
        self.broadcast.wake.set()
        try:
            return await self._asked
        finally:
            self._asked = None


def _given_with(operation: OperationRequest) -> Hashable:
    """Equal where variables and extensions are."""
    try:
        return orjson.dumps([operation.variables, operation.extensions])
    except orjson.JSONEncodeError:
        # JSON is read four times as deep as it is written. What is nested so has no equal.
        return object()
