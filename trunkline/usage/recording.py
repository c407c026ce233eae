"""The use case that records usage: checked, named, priced, stored with its rollups, told.

One transaction holds all of it. When `record_usage` returns, the events are on disk.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from db import usage as store
from db.engine import Connection
from db.rollup_columns import TotalTooLarge
from db.rollup_writing import add_to_rollups
from db.usage import NewEventRow
from trunkline.access.allowed import FULL_ACCESS, Access, check_agents
from trunkline.changes import Problems
from trunkline.errors import Problem, ProblemCode, Refused
from trunkline.events import Event, ModelChanged, UsageRecorded
from trunkline.services import Services
from trunkline.usage.group_commit import Recorded
from trunkline.usage.intake import MOST_EVENTS, NewUsageEvent, check_each, check_events
from trunkline.usage.naming import check_reuse, find_or_add_models, look_up
from trunkline.usage.priced_events import check_costs, check_expiry, price_events

MOST_PAGE_EVENTS = 5_000
"""Of one page, so that its transaction keeps no other recorder waiting for long."""


@dataclass(frozen=True, slots=True)
class PageRecorded:
    """What became of a page: counted, counted before, and refused, by place in the page."""

    recorded: int
    duplicates: int
    problems: Mapping[int, tuple[Problem, ...]]


@dataclass(frozen=True, slots=True)
class _Done:
    """The keys that were new, the state that now stands where there were any, and new models."""

    inserted: Collection[str]
    counted: Sequence[NewEventRow]
    as_of: datetime | None
    added: tuple[ModelChanged, ...]
    agents: Sequence[str] = ()


async def record_usage(
    services: Services, events: Sequence[NewUsageEvent], *, access: Access = FULL_ACCESS
) -> Recorded:
    """Record all of these events, or none. Raises `Refused` with every problem, also where one is
    of an agent that `access` is not for.

    An event under a key that was recorded before counts nothing; with other contents it is
    KEY_REUSED. Calls that come together share a transaction. Raises `RateLimited` where too many
    events wait. Cancelling the caller neither undoes what is being recorded nor leaves it untold.
    """
    now = services.clock()
    problems = Problems()
    faulty = check_events(problems, events, now)
    if len(events) <= MOST_EVENTS:
        faulty |= check_agents(problems, events, access)
    if problems.found and 0 < len(events) <= MOST_EVENTS:
        # Refused already; a read finds what else is wrong, without keeping writers waiting.
        async with services.database.read() as connection:
            await look_up(connection, events, problems, faulty)
    problems.refuse_if_any()

    async def commit(group: Sequence[NewUsageEvent]) -> Collection[str]:
        return await _commit(services, group)

    return await services.recording.submit(events, commit)


async def record_page(
    services: Services, events: Sequence[NewUsageEvent], *, access: Access = FULL_ACCESS
) -> PageRecorded:
    """Record the good ones among at most `MOST_PAGE_EVENTS` events, all of them at once.

    What is wrong with an event refuses that event only. The problems' paths begin at the event:
    ("inputTokens",).
    """
    if len(events) > MOST_PAGE_EVENTS:
        raise ValueError(f"a page takes at most {MOST_PAGE_EVENTS} events")
    problems = Problems()
    faulty = check_each(problems, events, services.clock())
    faulty |= check_agents(problems, events, access)
    refused: dict[int, list[Problem]] = {}
    _sort_out(problems.found, range(len(events)), refused)
    places = [place for place in range(len(events)) if place not in faulty]
    inserted = await _record_good(services, events, places, refused)
    found = {place: tuple(own) for place, own in sorted(refused.items())}
    return PageRecorded(inserted, len(events) - len(found) - inserted, found)


async def _record_good(
    services: Services,
    events: Sequence[NewUsageEvent],
    places: Sequence[int],
    refused: dict[int, list[Problem]],
) -> int:
    """Record the events at these places but for those that are found to be `refused`."""
    while places:
        try:
            return len(await _commit(services, [events[place] for place in places]))
        except Refused as refusal:
            blamed = _sort_out(refusal.problems, places, refused)
            if blamed:
                places = [place for place in places if place not in blamed]
            elif len(places) == 1:
                refused[places[0]] = [replace(one, field=()) for one in refusal.problems]
                return 0
            else:
                # It can't be said whose it is: each half finds out for itself.
                half = len(places) // 2
                return await _record_good(
                    services, events, places[:half], refused
                ) + await _record_good(services, events, places[half:], refused)
    return 0


def _sort_out(
    problems: Sequence[Problem], places: Sequence[int], refused: dict[int, list[Problem]]
) -> frozenset[int]:
    """Put each problem to the event that it is about, and say which these are."""
    blamed = set()
    for problem in problems:
        path = problem.field or ()
        if len(path) >= 2:  # ("events", place within what was asked, …)
            place = places[int(path[1])]
            refused.setdefault(place, []).append(replace(problem, field=path[2:]))
            blamed.add(place)
    return frozenset(blamed)


async def _commit(services: Services, events: Sequence[NewUsageEvent]) -> Collection[str]:
    """Record checked events in one transaction and give the keys that were new."""
    now = services.clock()

    async def record(connection: Connection) -> tuple[_Done, list[Event]]:
        done = await _record(services, connection, events, now)
        told: list[Event] = [*done.added]
        if done.as_of is not None:
            told.append(UsageRecorded(done.as_of))
        return done, told

    def tally(done: _Done) -> None:
        services.usage_tally.add(done.counted, "reported")

    try:
        done = await services.commit(record, after=tally)
    except TotalTooLarge as error:
        problem = Problem(
            ProblemCode.INVALID, ("events",), "a total would exceed what can be summed exactly"
        )
        raise Refused([problem]) from error
    services.agents.remember(done.agents)
    return done.inserted


async def _record(
    services: Services,
    connection: Connection,
    events: Sequence[NewUsageEvent],
    now: datetime,
) -> _Done:
    problems = Problems()
    named = await look_up(connection, events, problems)
    problems.refuse_if_any()
    fresh: dict[str, NewUsageEvent] = {}
    for event in events:
        if event.idempotency_key not in named.stored:
            fresh.setdefault(event.idempotency_key, event)
    if not fresh:
        return _Done((), (), None, ())
    agents = await services.agents.admit(connection, events, problems)
    problems.refuse_if_any()
    models, added = await find_or_add_models(services, connection, named, events, fresh, now)
    rows = await price_events(services, connection, fresh, named, models, now)
    check_costs(problems, events, rows)
    problems.refuse_if_any()
    inserted = await store.insert_events(connection, rows, now=now)
    if len(inserted) < len(rows):
        # Another process recorded some of these keys since we looked.
        since = [row.idempotency_key for row in rows if row.idempotency_key not in inserted]
        stored = await store.load_fingerprints(connection, sorted(since))
        check_reuse(problems, events, named.prints, stored)
        problems.refuse_if_any()
    counted = [row for row in rows if row.idempotency_key in inserted]
    if not counted:
        return _Done((), (), None, added)
    await add_to_rollups(connection, counted)
    clock = await store.advance_clock(connection, now)
    check_expiry(problems, events, counted, clock.expired_before)
    problems.refuse_if_any()
    return _Done(inserted, counted, clock.as_of, added, agents)
