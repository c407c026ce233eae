"""What one process commits, another's subscribers hear: by the bus, by the poll, and once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest
import structlog

from db.change_counters import read_counters
from db.engine import Connection, Database
from db.gateway_requests import insert_gateway_requests
from db.models import models_of_provider
from db.provider_rows import ProviderRow
from db.usage import read_clock
from db.vocabulary import BudgetAction, ChangeKind, ProviderKind
from server.wiring import services_on
from tests.conftest import SECRET_KEY, SetClock
from tests.gateway_rows import request
from tests.trunkline.budgets.spending import make_budget, spend
from trunkline.budgets.watching import BudgetWatch, blocking_budget
from trunkline.catalog.seeding import refresh_catalog
from trunkline.events import (
    BudgetChanged,
    Event,
    FailoverChainChanged,
    GatewayRequestsRecorded,
    Missed,
    ModelChanged,
    ProviderChanged,
    Subscription,
    UsageRecorded,
)
from trunkline.processes.bus import Hear
from trunkline.processes.following import FORGOTTEN_AFTER, LONGEST_ABSENCE, Follower, following
from trunkline.processes.messages import MOST_EVENTS
from trunkline.providers.changes import (
    NewProvider,
    ProviderUpdate,
    create_provider,
    delete_provider,
    update_provider,
)
from trunkline.providers.seeding import seed_providers
from trunkline.secrets import Secrets
from trunkline.services import Services
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.recording import record_usage

Work = Callable[[Connection], Awaitable[object]]


class Wire:
    """A bus that keeps what was sent, to be delivered when and as often as a test says."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, message: bytes) -> None:
        self.sent.append(message)

    async def listen(self, hear: Hear) -> None:
        await asyncio.Event().wait()


async def no_sleep(_seconds: float) -> None:
    await asyncio.sleep(0)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def other(services: Services, database_url: str, wire: Wire) -> AsyncIterator[Services]:
    """The services of another process on the same database."""
    database = Database.open(database_url)
    async with services_on(database, Secrets([SECRET_KEY]), clock=services.clock, bus=wire) as made:
        yield made
    await database.close()


@pytest.fixture
async def follower(services: Services, other: Services) -> Follower:
    """Follows what `other` commits, from now on."""
    made = Follower(services, sleep=no_sleep)
    await made.begin()
    return made


async def told(subscription: Subscription) -> list[Event | Missed]:
    """What waits to be read."""
    found: list[Event | Missed] = []
    while subscription._arrived.is_set():
        found.append(await anext(subscription))
    return found


def new(slug: str) -> NewProvider:
    return NewProvider(slug=slug, name=slug, kind=ProviderKind.OLLAMA)


async def rename(services: Services, provider: ProviderRow, name: str) -> None:
    await update_provider(services, ProviderUpdate(id=provider.id, name=name))


def changed(kind: ChangeKind, provider: ProviderRow) -> ProviderChanged:
    return ProviderChanged(kind, provider.id, provider.slug)


async def record(services: Services, key: str) -> None:
    event = NewUsageEvent(idempotency_key=key, provider_slug="local", model_name="m", agent="a")
    await record_usage(services, [event])


async def test_a_message_publishes_what_its_own_process_published(
    services: Services, other: Services, follower: Follower, wire: Wire
) -> None:
    with services.events.subscribe(ProviderChanged) as heard:
        provider = await create_provider(other, new("local"))
        for message in wire.sent:
            follower.hear(message)
        assert await told(heard) == [changed(ChangeKind.CREATED, provider)]
        # The poll finds that it was told.
        await follower.poll()
        assert await told(heard) == []


async def test_requests_through_the_gateway_are_told_of_with_a_message_lost_or_without_a_bus(
    services: Services, other: Services, follower: Follower, wire: Wire
) -> None:
    async def record_requests(request_id: str) -> GatewayRequestsRecorded:
        event = GatewayRequestsRecorded(other.clock())

        async def insert(connection: Connection) -> tuple[None, list[Event]]:
            await insert_gateway_requests(connection, [request(request_id)])
            return None, [event]

        await other.commit(insert)
        return event

    with services.events.subscribe(GatewayRequestsRecorded) as heard:
        await record_requests("lost")
        newest = await record_requests("r-1")
        follower.hear(wire.sent[-1])
        # Whoever hears of the newest reads all that is new, so nothing is missed.
        assert await told(heard) == [newest]
        await follower.poll()
        assert await told(heard) == []
        await record_requests("r-2")
        await follower.poll()
        assert await told(heard) == [Missed()]


async def test_without_a_bus_the_poll_tells_that_something_changed_once(
    services: Services, other: Services, follower: Follower, wire: Wire
) -> None:
    with (
        services.events.subscribe(ProviderChanged) as heard,
        services.events.subscribe(FailoverChainChanged) as unconcerned,
    ):
        await create_provider(other, new("local"))
        await follower.poll()
        assert await told(heard) == [Missed()]
        await follower.poll()
        # Late, and told already.
        for message in wire.sent:
            follower.hear(message)
        assert await told(heard) == []
        assert await told(unconcerned) == []


async def test_a_message_that_comes_while_the_poll_waits_is_told_in_full(
    services: Services, other: Services, wire: Wire
) -> None:
    async def deliver(_seconds: float) -> None:
        for message in wire.sent:
            waiting.hear(message)

    waiting = Follower(services, sleep=deliver)
    await waiting.begin()
    with services.events.subscribe(ProviderChanged) as heard:
        provider = await create_provider(other, new("local"))
        await waiting.poll()
        assert await told(heard) == [changed(ChangeKind.CREATED, provider)]


async def test_a_lost_message_shows_in_the_next(
    services: Services, other: Services, follower: Follower, wire: Wire
) -> None:
    provider = await create_provider(other, new("local"))
    follower.hear(wire.sent[-1])
    with services.events.subscribe(ProviderChanged) as heard:
        await rename(other, provider, "Lost")
        await rename(other, provider, "Found")
        follower.hear(wire.sent[-1])
        assert await told(heard) == [Missed()]
        await rename(other, provider, "After")
        follower.hear(wire.sent[-1])
        follower.hear(wire.sent[-1])
        assert await told(heard) == [changed(ChangeKind.UPDATED, provider)]
        await follower.poll()
        assert await told(heard) == []


async def test_usage_is_told_with_the_state_that_stands(
    services: Services, other: Services, follower: Follower, wire: Wire
) -> None:
    await create_provider(other, new("local"))
    await record(other, "before")
    await follower.poll()
    with services.events.subscribe(UsageRecorded) as heard:
        for key in ("polled", "sent"):
            await record(other, key)
            if key == "polled":
                await follower.poll()
            else:
                follower.hear(wire.sent[-1])
            async with services.database.read() as connection:
                stands = await read_clock(connection)
            assert await told(heard) == [UsageRecorded(stands)]
        await record(other, "lost")
        await record(other, "next")
        follower.hear(wire.sent[-1])
        async with services.database.read() as connection:
            stands = await read_clock(connection)
        assert await told(heard) == [UsageRecorded(stands)]


async def test_many_changes_at_once_are_told_as_read_anew(
    services: Services, other: Services, follower: Follower, wire: Wire
) -> None:
    provider = await create_provider(other, new("local"))
    events = [
        ModelChanged(ChangeKind.CREATED, number + 1, provider.id, provider.slug)
        for number in range(MOST_EVENTS + 1)
    ]

    async def many(connection: Connection) -> tuple[None, list[ModelChanged]]:
        return None, events

    with services.events.subscribe(ModelChanged) as heard:
        await other.commit(many)
        follower.hear(wire.sent[-1])
        assert await told(heard) == [Missed()]


async def test_our_own_commits_are_told_once_whatever_comes_back(
    services: Services, database_url: str, wire: Wire, clock: SetClock
) -> None:
    database = Database.open(database_url)
    async with services_on(database, Secrets([SECRET_KEY]), clock=clock, bus=wire) as own:
        follower = Follower(own, sleep=no_sleep)
        await follower.begin()
        with own.events.subscribe(ProviderChanged) as heard:
            provider = await create_provider(own, new("local"))
            for message in wire.sent:
                follower.hear(message)
            await follower.poll()
            assert await told(heard) == [changed(ChangeKind.CREATED, provider)]
    await database.close()


async def test_a_commit_of_ours_whose_end_got_lost_is_told_by_the_poll(
    services: Services, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the connection breaks while the database commits."""
    transact = Database.transact

    async def broken(self: Database, work: Work, **_: object) -> None:
        await transact(self, work)
        raise OSError("connection lost")

    provider = await create_provider(services, new("local"))
    with services.events.subscribe(ProviderChanged) as heard:
        with monkeypatch.context() as patched:
            patched.setattr(Database, "transact", broken)
            with pytest.raises(OSError, match="lost"):
                await rename(services, provider, "Unsaid")
        assert await told(heard) == []
        await follower.poll()
        assert await told(heard) == [Missed()]


async def test_bytes_from_anybody_are_ignored_and_complained_of_once(
    services: Services, other: Services, follower: Follower, wire: Wire, clock: SetClock
) -> None:
    provider = await create_provider(other, new("local"))
    with (
        services.events.subscribe(ProviderChanged) as heard,
        structlog.testing.capture_logs() as logs,
    ):
        for number in range(100):
            follower.hear(b"\xff" * number)
        follower.hear(wire.sent[-1])
        assert await told(heard) == [changed(ChangeKind.CREATED, provider)]
    assert [log["log_level"] for log in logs] == ["warning"]


async def test_a_made_up_message_hides_no_true_one_for_long(
    services: Services, other: Services, follower: Follower, wire: Wire
) -> None:
    provider = await create_provider(other, new("local"))
    follower.hear(wire.sent[-1])
    await rename(other, provider, "True")
    value = str((await counters(services))[(other.announcer.writer, "provider")]).encode()
    follower.hear(wire.sent[-1].replace(value, b"9" * 18))
    await rename(other, provider, "Later")
    with services.events.subscribe(ProviderChanged) as heard:
        follower.hear(wire.sent[-1])
        assert await told(heard) == [], "taken for old"
        await follower.poll()
        assert await told(heard) == [Missed()]
        await rename(other, provider, "And on")
        follower.hear(wire.sent[-1])
        assert await told(heard) == [changed(ChangeKind.UPDATED, provider)]


async def test_what_was_committed_before_it_began_is_not_told(
    services: Services, other: Services
) -> None:
    provider = await create_provider(other, new("local"))
    follower = Follower(services, sleep=no_sleep)
    await follower.begin()
    with services.events.subscribe(ProviderChanged) as heard:
        await follower.poll()
        assert await told(heard) == []
        await delete_provider(other, provider.id, None)
        await follower.poll()
        assert await told(heard) == [Missed()]


async def test_seeding_and_a_new_edition_are_told(
    services: Services, other: Services, follower: Follower, clock: SetClock
) -> None:
    with (
        services.events.subscribe(ProviderChanged) as providers,
        services.events.subscribe(ModelChanged) as models,
    ):
        await seed_providers(other.database, other.catalog, clock)
        await follower.poll()
        assert (await told(providers), await told(models)) == ([Missed()], [Missed()])
        await refresh_catalog(other.database, other.catalog, clock)
        await follower.poll()
        assert (await told(providers), await told(models)) == ([], [Missed()])
        assert not await refresh_catalog(other.database, other.catalog, clock)
        await follower.poll()
        assert await told(models) == []


async def test_silent_writers_are_forgotten_and_heard_again(
    services: Services, other: Services, follower: Follower, wire: Wire, clock: SetClock
) -> None:
    provider = await create_provider(other, new("local"))
    await follower.poll()
    clock.advance(seconds=FORGOTTEN_AFTER.total_seconds() - 60)
    await follower.poll()
    await follower.forget()
    assert await counters(services)
    clock.advance(hours=2)
    await follower.poll()
    await follower.forget()
    assert await counters(services) == {}
    # Also where the clock was set back: it counts on from where it was.
    clock.advance(days=-3)
    with services.events.subscribe(ProviderChanged) as heard:
        await rename(other, provider, "Back")
        follower.hear(wire.sent[-1])
        assert await told(heard) == [Missed()]
        await rename(other, provider, "And on")
        await follower.poll()
        assert await told(heard) == [Missed()]
        await follower.poll()
        assert await told(heard) == []


async def test_who_was_cut_off_for_long_reads_everything_anew(
    services: Services, other: Services, follower: Follower, clock: SetClock
) -> None:
    clock.advance(seconds=LONGEST_ABSENCE.total_seconds() + 1)
    with (
        services.events.subscribe(BudgetChanged) as budgets,
        services.events.subscribe(UsageRecorded) as usage,
    ):
        await follower.poll()
        assert await told(budgets) == [Missed()]
        assert len(await told(usage)) == 1
        await follower.poll()
        assert await told(budgets) == []


async def test_the_poll_outlives_a_database_that_is_away(
    services: Services, other: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = 0
    fails = True
    many = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        nonlocal turns
        turns += 1
        if turns > 5:
            many.set()
        await asyncio.sleep(0)

    async def read(connection: Connection) -> object:
        if fails:
            raise OSError("away")
        return await read_counters(connection)

    follower = Follower(services, sleep=sleep)
    await follower.begin()
    monkeypatch.setattr("trunkline.processes.following.read_counters", read)
    with structlog.testing.capture_logs() as logs, running(follower):
        await asyncio.wait_for(many.wait(), 20)
        assert [log["log_level"] for log in logs] == ["error"]
        with services.events.subscribe(ProviderChanged) as heard:
            await create_provider(other, new("local"))
            fails = False
            assert await asyncio.wait_for(anext(heard), 20) == Missed()
        turns = 0
        many.clear()
        await asyncio.wait_for(many.wait(), 20)
    assert [log["log_level"] for log in logs] == ["error", "info"]


async def test_following_ends_with_its_block(services: Services, other: Services) -> None:
    async with following(services):
        with services.events.subscribe(ProviderChanged) as heard:
            await create_provider(other, new("local"))
            assert await asyncio.wait_for(anext(heard), 20) == Missed()
    assert not [task for task in asyncio.all_tasks() if "_keep_polling" in repr(task)]


async def test_a_budget_that_is_used_up_in_another_process_blocks_here(
    services: Services, other: Services, follower: Follower
) -> None:
    def blocked() -> bool:
        return (
            blocking_budget(services, provider_id=1, model_id=1, agent=None, chain_id=None)
            is not None
        )

    async def heard() -> None:
        while not blocked():
            await follower.poll()

    await create_provider(other, new("local"))
    watch = asyncio.create_task(BudgetWatch(services).run())
    await make_budget(other, "1", action=BudgetAction.BLOCK)
    await spend(other, "0.5")
    assert not blocked()
    await spend(other, "0.5")
    await asyncio.wait_for(heard(), 20)
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


async def counters(services: Services) -> dict[tuple[str, str], int]:
    async with services.database.read() as connection:
        return dict((await read_counters(connection)).values)


@contextmanager
def running(follower: Follower) -> Iterator[None]:
    task = asyncio.create_task(follower.run())
    try:
        yield
    finally:
        task.cancel()


async def test_models_that_usage_brought_are_told_with_it(
    services: Services, other: Services, follower: Follower, wire: Wire
) -> None:
    provider = await create_provider(other, new("local"))
    follower.hear(wire.sent[-1])
    with services.events.subscribe(ModelChanged, UsageRecorded) as heard:
        await record(other, "one")
        follower.hear(wire.sent[-1])
        kinds = {type(event) for event in await told(heard)}
    assert kinds == {ModelChanged, UsageRecorded}
    async with services.database.read() as connection:
        assert "m" in await models_of_provider(connection, provider.id)
