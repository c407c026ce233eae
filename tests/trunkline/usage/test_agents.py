"""The bound on agents' names, on both databases: a bug in a name can't fill the store."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import func, select

from db.engine import Database
from db.tables import usage_agents, usage_events
from db.vocabulary import ProviderKind
from server.wiring import services_on
from tests.conftest import SECRET_KEY, SetClock
from trunkline.errors import ProblemCode, Refused
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.secrets import Secrets
from trunkline.services import Services
from trunkline.usage.group_commit import Recorded
from trunkline.usage.importing import import_lines
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.recording import record_usage

MOST = 3

Open = Callable[[int], Any]


@pytest.fixture
async def open_services(database_url: str, clock: SetClock) -> AsyncIterator[Open]:
    """Another process's services on the same database, with a bound of their own."""
    async with AsyncExitStack() as stack:

        async def opened(most: int) -> Services:
            database = Database.open(database_url)
            stack.push_async_callback(database.close)
            return await stack.enter_async_context(
                services_on(database, Secrets([SECRET_KEY]), clock=clock, most_agents=most)
            )

        yield opened


@pytest.fixture
async def services(open_services: Open) -> Services:
    made: Services = await open_services(MOST)
    await create_provider(made, NewProvider(slug="local", name="Local", kind=ProviderKind.OLLAMA))
    return made


def event(key: str, agent: str | None) -> NewUsageEvent:
    return NewUsageEvent(
        idempotency_key=key, provider_slug="local", model_name="llama", agent=agent, input_tokens=1
    )


async def counts(services: Services) -> tuple[int, int]:
    """Agents and events in the store."""
    async with services.database.read() as connection:
        agents = await connection.scalar(select(func.count()).select_from(usage_agents))
        events = await connection.scalar(select(func.count()).select_from(usage_events))
    return agents or 0, events or 0


async def fill(services: Services) -> None:
    for number in range(MOST):
        await record_usage(services, [event(f"fill-{number}", f"agent-{number}")])


async def test_one_agent_too_many_is_refused_and_says_what_to_do(services: Services) -> None:
    await fill(services)
    with pytest.raises(Refused) as refused:
        await record_usage(services, [event("a", "agent-0"), event("b", "one more")])
    (problem,) = refused.value.problems
    assert (problem.code.value, problem.field) == ("TOO_MANY", ("events", "1", "agent"))
    assert "3 agents" in problem.message
    assert "TRUNKLINE_MOST_AGENTS" in problem.message
    assert await counts(services) == (MOST, MOST), "all or none"


async def test_of_several_new_ones_each_that_has_no_room_is_named_and_none_is_kept(
    services: Services,
) -> None:
    await record_usage(services, [event("a", "agent-0")])
    batch = [event(f"b-{place}", name) for place, name in enumerate("xyzx")]
    with pytest.raises(Refused) as refused:
        await record_usage(services, [*batch, event("c", "w")])
    assert [problem.field for problem in refused.value.problems] == [
        ("events", "2", "agent"),
        ("events", "4", "agent"),
    ]
    assert await counts(services) == (1, 1)
    assert await record_usage(services, batch[:2]) == Recorded(2, 0), "there is room for these"


async def test_who_is_known_goes_on_and_so_does_who_has_no_name(services: Services) -> None:
    await fill(services)
    events = [event("a", "agent-2"), event("b", None)]
    assert await record_usage(services, events) == Recorded(2, 0)
    assert await counts(services) == (MOST, MOST + 2)


async def test_what_was_recorded_is_a_duplicate_whoever_counts(
    services: Services, open_services: Open
) -> None:
    await fill(services)
    other = await open_services(1)
    assert await record_usage(other, [event("fill-1", "agent-1")]) == Recorded(0, 1)


async def test_more_are_taken_once_the_setting_is_raised(
    services: Services, open_services: Open
) -> None:
    await fill(services)
    raised = await open_services(MOST + 1)
    assert await record_usage(raised, [event("a", "one more")]) == Recorded(1, 0)
    # And who is stored is known everywhere, also above a bound that is lower.
    assert await record_usage(services, [event("b", "one more")]) == Recorded(1, 0)


async def test_known_names_cost_no_statement(
    database: Database, clock: SetClock, count_statements: Callable[[], Any]
) -> None:
    async with services_on(database, Secrets([SECRET_KEY]), clock=clock) as services:
        await create_provider(
            services, NewProvider(slug="local", name="Local", kind=ProviderKind.OLLAMA)
        )
        await record_usage(services, [event("a", "known")])
        with count_statements() as with_name:
            await record_usage(services, [event("b", "known")])
        with count_statements() as without:
            await record_usage(services, [event("c", None)])
        assert not any("usage_agents" in statement for statement in with_name)
        assert len(with_name) == len(without)


async def test_processes_that_record_at_once_stay_within_the_bound(
    services: Services, open_services: Open
) -> None:
    every = [services, await open_services(MOST), await open_services(MOST)]

    async def try_to_record(one: Services, key: str) -> int:
        try:
            return (await record_usage(one, [event(key, key)])).recorded
        except Refused as refused:
            (problem,) = refused.problems
            return 0 if problem.code is ProblemCode.TOO_MANY else 1_000

    recorded = await asyncio.gather(
        *(
            try_to_record(one, f"agent {place}-{number}")
            for number in range(10)
            for place, one in enumerate(every)
        )
    )
    assert sum(recorded) == MOST
    assert await counts(services) == (MOST, MOST)


async def test_an_import_names_the_line_and_takes_the_others(services: Services) -> None:
    lines = "".join(
        json.dumps(
            {
                "idempotencyKey": f"key-{number}",
                "providerSlug": "local",
                "modelName": "llama",
                "agent": f"agent-{number % 4}",
            }
        )
        + "\n"
        for number in range(8)
    )

    async def pieces() -> AsyncIterator[bytes]:
        yield lines.encode()

    report = await import_lines(services, pieces())
    assert (report.recorded, report.refused) == (6, 2)
    assert [(bad.number, bad.problems[0].field) for bad in report.bad_lines] == [
        (4, ("agent",)),
        (8, ("agent",)),
    ]
