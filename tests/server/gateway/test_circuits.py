"""Circuit breakers as callers meet them: what is asked, what is left alone, and for how long."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from db.engine import Connection
from db.failing import StoreUnavailable
from db.vocabulary import ProviderKind
from server.simulated.script import Sequel
from server.simulated.timing import SkippedTiming
from tests.server.gateway.world import KINDS, World
from trunkline.catalog.changes import ModelUpdate, delete_model, update_model
from trunkline.events import EventBus, ModelChanged
from trunkline.failover.breakers import Breakers, CircuitOf
from trunkline.failover.chains import delete_chain
from trunkline.failover.classes import AttemptFailure, FailureClass
from trunkline.failover.steps import StepInput
from trunkline.gateway.recovering import Recovery
from trunkline.providers.changes import ProviderUpdate, delete_provider, update_provider
from trunkline.providers.testing import ConnectionToTest, run_connection_test


@pytest.fixture
def world(sqlite_world: World) -> World:
    """No database has a say in it."""
    return sqlite_world


async def asked_of(world: World, name: str, **body: Any) -> int:
    """How many requests of one caller reach this model."""
    before = Counter(world.seen_models)[name]
    await world.ask(**body)
    return Counter(world.seen_models)[name] - before


async def test_five_failures_in_a_row_open_it_and_probes_find_out(world: World) -> None:
    await world.chain("first", "second", max_retries=0)
    world.script(first=["overloaded"], second=["ok"])
    assert [await asked_of(world, "first") for _ in range(7)] == [1, 1, 1, 1, 1, 0, 0]
    assert (await world.attempts())[0].outcome == "OPEN"
    world.time.advance(9.9)
    assert await asked_of(world, "first") == 0
    world.time.advance(0.1)
    assert [await asked_of(world, "first") for _ in range(2)] == [1, 0]
    world.time.advance(19.9)
    assert await asked_of(world, "first") == 0
    world.time.advance(0.1)
    world.script(first=["ok"], second=["ok"])
    assert [await asked_of(world, "first") for _ in range(3)] == [1, 1, 1]


async def test_a_request_stops_its_own_retries_where_it_opens_the_circuit(world: World) -> None:
    await world.chain("first", "second", max_retries=5)
    world.script(first=["overloaded"], second=["ok"])
    assert [await asked_of(world, "first") for _ in range(2)] == [5, 0]


async def test_half_of_ten_in_thirty_seconds_open_it(world: World) -> None:
    await world.chain("first", "second", max_retries=0)
    world.script(first=["flap-1-1"], second=["ok"])
    # The ninth is the fifth that fails; the eleventh finds half of ten.
    assert [await asked_of(world, "first") for _ in range(13)] == [1] * 11 + [0, 0]


async def test_failures_of_long_ago_count_no_more(world: World) -> None:
    await world.chain("first", "second", max_retries=0)
    world.script(first=["flap-1-1"], second=["ok"])
    for _ in range(20):
        assert await asked_of(world, "first") == 1
        world.time.advance(4)


@pytest.mark.parametrize(("asked", "opened"), [(90, 90), (3_600, 300)])
async def test_it_stays_open_for_as_long_as_the_provider_asks(
    world: World, asked: int, opened: int
) -> None:
    await world.chain("first", "second")
    world.script(first=[f"rate-limited-retry-after-{asked}", "ok"], second=["ok"])
    assert [await asked_of(world, "first") for _ in range(2)] == [1, 0]
    world.time.advance(opened - 1)
    assert await asked_of(world, "first") == 0
    world.time.advance(1)
    assert [await asked_of(world, "first") for _ in range(2)] == [1, 1]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refused_key_closes_all_of_the_provider_for_a_minute(
    world: World, kind: ProviderKind
) -> None:
    models = [StepInput(model_id=await world.model(name, kind)) for name in ("first", "sibling")]
    other = StepInput(model_id=await world.model("other", kind, slug="other"))
    await world.chain(models[0], other)
    await world.chain(models[1], other, slug="of-the-sibling")
    world.script(first=["bad-key", "ok"], sibling=["ok"], other=["ok"])
    assert [await asked_of(world, "first") for _ in range(2)] == [1, 0]
    assert await asked_of(world, "sibling", model="chain/of-the-sibling") == 0
    world.time.advance(59.9)
    assert await asked_of(world, "first") == 0
    world.time.advance(0.1)
    assert [await asked_of(world, "first") for _ in range(2)] == [1, 1]
    assert await asked_of(world, "sibling", model="chain/of-the-sibling") == 1


async def test_another_key_lets_requests_in_again_at_once(world: World) -> None:
    world.behaviour.api_key = "the-right-key"
    await world.chain("first")
    assert (await world.ask()).status == 502
    assert (await world.ask()).status == 502  # One that probes, as there is no other way.
    refused = await world.ask()
    assert (refused.status, refused.headers["retry-after"]) == (503, "60")
    provider = await world.provider(ProviderKind.OPENAI_COMPATIBLE)
    await update_provider(world.services, ProviderUpdate(id=provider, api_key="the-right-key"))
    await until_closed(world, CircuitOf.PROVIDER, provider)
    assert (await world.ask()).status == 200


async def test_a_test_that_succeeds_lets_requests_in_again_at_once(world: World) -> None:
    world.behaviour.api_key = "another-key"
    await world.chain("first")
    assert (await world.ask()).status == 502
    provider = await world.provider(ProviderKind.OPENAI_COMPATIBLE)
    await run_connection_test(world.services, ConnectionToTest(provider_id=provider))
    world.behaviour.api_key = None  # The provider took the key up.
    await asyncio.sleep(0.02)
    assert world.services.gateway.breakers.health(CircuitOf.PROVIDER, provider).state == "OPEN"
    await run_connection_test(world.services, ConnectionToTest(provider_id=provider))
    await until_closed(world, CircuitOf.PROVIDER, provider)
    assert (await world.ask()).status == 200


@pytest.mark.parametrize("heard", [True, False])
async def test_what_is_deleted_leaves_no_circuit_behind(
    world: World, heard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = await world.chain("first", max_retries=0)
    custom = await world.chain("second", slug="of-another", kind=ProviderKind.OLLAMA)
    world.script(first=["model-not-found"], second=["model-not-found"])
    await world.ask()
    await world.ask(model="chain/of-another")
    breakers = world.services.gateway.breakers
    assert [*breakers.states()] == [(CircuitOf.MODEL, one, "OPEN") for one in (1, 2)]
    if not heard:  # Another server's poll knows the kind alone.
        bus = world.services.events
        monkeypatch.setattr(bus, "publish", lambda *events: bus.missed(*map(type, events)))
    for one in (chain, custom):
        await delete_chain(world.services, one.id, None)
    await delete_model(world.services, custom.steps[0].model_id, None)
    await delete_provider(
        world.services, await world.provider(ProviderKind.OPENAI_COMPATIBLE), None
    )
    await world.until(lambda: not [*breakers.states()])


async def test_a_model_that_another_server_changed_is_asked_again(world: World) -> None:
    """Its poll knows that models changed, and not which."""
    await world.chain("first", "second", max_retries=0)
    world.script(first=["model-not-found"], second=["model-not-found"])
    await world.ask()
    bus, breakers = world.services.events, world.services.gateway.breakers
    bus.missed(ModelChanged)
    for one in (1, 2):  # Each is new to it.
        await until_closed(world, CircuitOf.MODEL, one)
    await world.ask()
    assert [state for _, _, state in breakers.states()] == ["OPEN", "OPEN"]
    elsewhere = replace(world.services, events=EventBus())
    await update_model(elsewhere, ModelUpdate(id=1, name="Another"))
    bus.missed(ModelChanged)
    await until_closed(world, CircuitOf.MODEL, 1)
    assert breakers.health(CircuitOf.MODEL, 2).state == "OPEN"


async def test_what_outlives_a_deleted_provider_goes_with_the_next(world: World) -> None:
    """Its places, and circuits that an attempt leaves which was under way when it was deleted."""
    gateway = world.services.gateway
    breakers, slots = gateway.breakers, gateway.means.slots
    chain = await world.chain("first", max_retries=0)
    await world.ask()
    await delete_chain(world.services, chain.id, None)
    gone = await world.provider(ProviderKind.OPENAI_COMPATIBLE)
    other = await world.provider(ProviderKind.OLLAMA)
    staying = await world.provider(ProviderKind.GOOGLE)
    for one in (gone, staying):
        assert slots.take(one)
    permit = breakers.admit(chain.steps[0].model_id, gone)
    assert permit is not None
    await delete_provider(world.services, gone, None)
    await world.until(lambda: not [*breakers.states()])
    permit.failed(AttemptFailure(FailureClass.UNAVAILABLE, 401, None, "bad key", scope="provider"))
    assert slots.depth(gone) == (1, 0)
    for one in (gone, staying):
        slots.give_back(one)
    await delete_provider(world.services, other, None)
    await world.until(lambda: not [*breakers.states()])
    assert [*breakers.asked_providers()] == []
    assert [one for one, _, _ in slots.depths()] == [staying]


async def test_circuits_are_looked_after_though_the_store_was_away_at_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = await world.provider(ProviderKind.OPENAI_COMPATIBLE)
    breakers = Breakers(world.time.now)
    services = world.services
    services = replace(services, gateway=replace(services.gateway, breakers=breakers))
    asked = asyncio.Event()

    async def away(_connection: Connection) -> None:
        asked.set()
        raise StoreUnavailable("it is away")

    with monkeypatch.context() as patch:
        patch.setattr("trunkline.gateway.recovering.stored_providers.all_providers", away)
        recovering = asyncio.ensure_future(Recovery(services).run())
        await asyncio.wait_for(asked.wait(), 5)
    permit = breakers.admit(1, provider)
    assert permit is not None
    permit.failed(AttemptFailure(FailureClass.UNAVAILABLE, 401, None, "bad key", scope="provider"))
    await update_provider(services, ProviderUpdate(id=provider, api_key="another"))
    await world.until(lambda: breakers.health(CircuitOf.PROVIDER, provider).state == "CLOSED")
    recovering.cancel()
    await asyncio.wait({recovering})


async def until_closed(world: World, of: CircuitOf, one: int) -> None:
    health = world.services.gateway.breakers.health
    await world.until(lambda: health(of, one).state == "CLOSED")


async def test_a_model_that_is_not_there_closes_no_other(world: World) -> None:
    await world.chain("first", "second")
    world.script(first=["model-not-found"], second=["ok"])
    assert [await asked_of(world, "first") for _ in range(2)] == [1, 0]
    assert [await asked_of(world, "second") for _ in range(2)] == [1, 1]


@pytest.mark.parametrize(
    ("fault", "status", "opened"),
    [("overloaded", 503, 10), ("rate-limited-retry-after-90", 429, 90)],
)
async def test_where_all_are_open_one_asks_and_the_others_are_told_when(
    world: World, fault: str, status: int, opened: int
) -> None:
    await world.chain("first", max_retries=4)
    world.script(first=[fault])
    assert (await world.ask()).status in {502, 429}
    before = len(world.seen)
    world.time.advance(2)
    world.script(first=["silent"])
    probing = asyncio.ensure_future(world.ask())
    probe = await world.until_seen(before + 1)
    for _ in range(3):
        told = await world.ask()
        assert (told.status, told.attempts) == (status, 0)
        assert told.headers["retry-after"] == str(opened - 2)
        assert told.headers["x-should-retry"] == "false"
    assert len(world.seen) == before + 1
    probing.cancel()
    assert await probe.until_ended() == "client_gone"
    await world.stored()
    # And a second later another one may.
    assert (await world.ask()).status == status
    world.time.advance(1)
    world.script(first=["ok"])
    assert [(await world.ask()).status for _ in range(2)] == [200, 200]


async def test_a_probe_whose_caller_leaves_frees_its_place(world: World) -> None:
    await world.chain("first", "second", max_retries=0)
    world.script(first=["overloaded"], second=["ok"])
    for _ in range(5):
        await world.ask()
    world.time.advance(10)
    world.script(first=["silent"], second=["ok"])
    probing = asyncio.ensure_future(world.ask())
    probe = await world.until_seen(11)
    assert await asked_of(world, "first") == 0
    probing.cancel()
    assert await probe.until_ended() == "client_gone"
    await world.stored()
    world.script(first=["ok"], second=["ok"])
    assert [await asked_of(world, "first") for _ in range(2)] == [1, 1]


@pytest.mark.parametrize("fault", ["invalid", "content-filter", "too-long"])
async def test_what_shows_that_it_works_closes_it(world: World, fault: str) -> None:
    await world.chain("first", "second", max_retries=0)
    world.script(first=["overloaded"], second=["ok"])
    for _ in range(5):
        await world.ask()
    world.time.advance(10)
    world.script(first=[fault, "ok"], second=["ok"])
    assert [await asked_of(world, "first") for _ in range(3)] == [1, 1, 1]


async def test_an_outage_of_a_minute_is_nobodys_business(world: World) -> None:
    """Twenty requests while the first model is away: all are answered, it is tried a handful of
    times, and it answers again within thirty seconds of its recovery.
    """
    timing = world.behaviour.timing
    assert isinstance(timing, SkippedTiming)
    await world.chain("first", "second")
    world.script(first=Sequel(("overloaded",), healthy_after_seconds=60), second=["ok"])
    went = world.time.elapsed

    async def ask() -> str:
        """At the same time for both."""
        timing.advance(world.time.elapsed - went - timing.monotonic())
        reply = await world.ask()
        assert reply.status == 200
        return reply.headers["x-trunkline-model"].partition("/")[2]

    for number in range(20):
        world.time.elapsed = max(world.time.elapsed, went + 3.0 * number)
        assert await ask() == "second"
    assert Counter(world.seen_models)["first"] <= 8
    world.time.elapsed = went + 60
    answered: list[str] = []
    while not answered or answered[-1] != "first":
        answered.append(await ask())
        world.time.advance(3)
    assert world.time.elapsed - went - 60 <= 30
    assert [await ask() for _ in range(3)] == ["first"] * 3
