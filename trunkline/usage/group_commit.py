"""Group commit: calls that arrive while a transaction runs share the next one.

A busy server then commits tens of times a second, not thousands. The first call of a quiet time
is committed at once. Each call is answered after its own events are durable; it is all or none;
and what is wrong with one spoils no other: the calls that a refusal is about are taken out with
their own problems, and the rest goes on without them.

Two calls that name the same key never share a transaction. So what a call counted is what was
inserted of its keys, and the second of two equal calls finds the first one's events.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextvars import Context
from dataclasses import dataclass, replace

from db.write_watch import writing
from trunkline.errors import Problem, RateLimited, Refused
from trunkline.usage.intake import NewUsageEvent

MOST_QUEUED_EVENTS = 20_000
"""Events that may wait; beyond them a call is asked to come back."""
MOST_GROUPED_EVENTS = 5_000
"""Of one transaction, so that none holds the write lock for long."""
RETRY_AFTER_SECONDS = 1.0

CommitEvents = Callable[[Sequence[NewUsageEvent]], Awaitable[Collection[str]]]
"""Records these events in one transaction, all or none, and gives the keys that were new.

Raises `Refused`, whose problems name events by their place: ("events", "3", "inputTokens").
"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """How many events were counted, and how many had been before."""

    recorded: int
    duplicates: int


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    events: Sequence[NewUsageEvent]
    keys: frozenset[str]
    commit: CommitEvents
    answer: "asyncio.Future[Recorded]"


class GroupCommit:
    """The queue of calls. It runs a task while there is something to do, and none otherwise."""

    def __init__(self) -> None:
        # Touched by the event loop's thread only, and never across an await.
        self._waiting: deque[_Call] = deque()
        self._queued_events = 0
        self._working: asyncio.Task[None] | None = None

    async def submit(self, events: Sequence[NewUsageEvent], commit: CommitEvents) -> Recorded:
        """Queue a call and wait until it is durable.

        Raises what `commit` raises for it, and `RateLimited` where the queue is full. Cancelling
        the caller does not take the call back.
        """
        if self._queued_events + len(events) > MOST_QUEUED_EVENTS and self._waiting:
            raise RateLimited(
                f"{self._queued_events} events wait to be recorded: nothing of this call was "
                f"taken, send it again in {RETRY_AFTER_SECONDS:g} s",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        answer: asyncio.Future[Recorded] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(_seen)
        keys = frozenset(event.idempotency_key for event in events)
        with writing() as begin:
            # From here on it may be committed with others' calls: it is not taken back.
            begin()
            self._waiting.append(_Call(events, keys, commit, answer))
            self._queued_events += len(events)
            if self._working is None:
                # In a context of its own: the first caller's request id is not the group's.
                self._working = asyncio.create_task(self._work(), context=Context())
            return await asyncio.shield(answer)

    @property
    def queued_events(self) -> int:
        """How many events wait, or are being committed."""
        return self._queued_events

    async def drain(self) -> None:
        """Wait until everything that was taken is answered."""
        while self._working is not None:
            await asyncio.wait({self._working})

    async def _work(self) -> None:
        try:
            while self._waiting:
                group = self._next_group()
                await _record_group(group)
                self._queued_events -= sum(len(call.events) for call in group)
        finally:
            self._working = None

    def _next_group(self) -> list[_Call]:
        group = [self._waiting.popleft()]
        keys = set(group[0].keys)
        count = len(group[0].events)
        while self._waiting:
            call = self._waiting[0]
            if count + len(call.events) > MOST_GROUPED_EVENTS or not keys.isdisjoint(call.keys):
                break
            group.append(self._waiting.popleft())
            keys |= call.keys
            count += len(call.events)
        return group


async def _record_group(calls: Sequence[_Call]) -> None:
    """Answer every call of a group. Each turn either commits, or takes out at least one call."""
    while calls:
        try:
            inserted = await calls[0].commit([event for call in calls for event in call.events])
        except Exception as error:  # noqa: BLE001  # it is the callers', and each gets it
            if len(calls) == 1:
                _fail(calls[0], error)
                return
            blamed = _blamed(calls, error) if isinstance(error, Refused) else {}
            if not blamed:
                # It can't be said whose it is: each for itself finds out.
                for call in calls:
                    await _record_group([call])
                return
            for call, own in blamed.items():
                _fail(call, Refused(own))
            calls = [call for call in calls if call not in blamed]
        else:
            for call in calls:
                _answer(call, inserted)
            return


def _blamed(calls: Sequence[_Call], refusal: Refused) -> dict[_Call, list[Problem]]:
    """The calls that the problems are about, each with its own under its own places."""
    problems: dict[_Call, list[Problem]] = {}
    for problem in refusal.problems:
        call, place = _call_at(calls, problem)
        if call is not None:
            rest = (problem.field or ())[2:]
            own = replace(problem, field=("events", str(place), *rest))
            problems.setdefault(call, []).append(own)
    return problems


def _call_at(calls: Sequence[_Call], problem: Problem) -> tuple[_Call | None, int]:
    """The call that a problem is about, and the event's place in it."""
    field = problem.field or ()
    if len(field) < 2 or field[0] != "events":
        return None, 0
    place = int(field[1])
    for call in calls:
        if place < len(call.events):
            return call, place
        place -= len(call.events)
    return None, 0


def _answer(call: _Call, inserted: Collection[str]) -> None:
    count = sum(key in inserted for key in call.keys)
    if not call.answer.done():
        call.answer.set_result(Recorded(count, len(call.events) - count))


def _fail(call: _Call, error: Exception) -> None:
    if not call.answer.done():
        call.answer.set_exception(error)


def _seen(answer: "asyncio.Future[Recorded]") -> None:
    if not answer.cancelled():
        answer.exception()  # In case the caller is gone: asyncio would warn otherwise.
