"""Configuration as requests meet it: a change counts for the very next request."""

from collections.abc import AsyncIterator
from dataclasses import replace

import orjson
import pytest

from db.vocabulary import Delivery, ProviderKind
from server.simulated.app import running_simulator
from server.simulated.behaviour import Behaviour
from server.simulated.timing import SkippedTiming
from tests.server.gateway.world import ENDPOINTS, KINDS, World
from trunkline.catalog.changes import ModelUpdate, delete_model, update_model
from trunkline.failover.chains import ChainUpdate, delete_chain, update_chain
from trunkline.failover.steps import StepInput
from trunkline.gateway import configuration
from trunkline.gateway.configuration import Configuration, Runnable
from trunkline.providers.changes import ProviderUpdate, remove_provider_api_key, update_provider
from trunkline.providers.extra_headers import ExtraHeader

KEY_HEADERS = {
    ProviderKind.OPENAI_COMPATIBLE: "authorization",
    ProviderKind.ANTHROPIC: "x-api-key",
    ProviderKind.GOOGLE: "x-goog-api-key",
    ProviderKind.OLLAMA: "authorization",
}


@pytest.fixture
async def elsewhere() -> AsyncIterator[tuple[str, Behaviour]]:
    """Another provider's server."""
    behaviour = Behaviour(api_key=None, timing=SkippedTiming())
    async with running_simulator(behaviour) as url:
        yield url, behaviour


async def test_every_change_of_a_chain_counts_at_once(sqlite_world: World) -> None:
    world = sqlite_world
    services = world.services
    chain = await world.chain("first", max_retries=0)
    second = StepInput(model_id=await world.model("second"))
    world.script(first=["ok"], second=["ok"])

    async def answered_by() -> str:
        reply = await world.ask()
        return reply.headers["x-trunkline-model"] if reply.status == 200 else str(reply.status)

    assert await answered_by() == "openai-compatible/first"
    await update_chain(services, ChainUpdate(id=chain.id, steps=[second]))
    assert await answered_by() == "openai-compatible/second"
    await update_chain(services, ChainUpdate(id=chain.id, enabled=False))
    assert await answered_by() == "404"
    await update_chain(services, ChainUpdate(id=chain.id, enabled=True))
    assert await answered_by() == "openai-compatible/second"
    world.script(second=["cut-after-4", "ok"])
    assert not (await world.ask(stream=True)).is_whole
    await update_chain(services, ChainUpdate(id=chain.id, delivery=Delivery.ASSURED))
    world.script(second=["cut-after-4", "ok"])
    assert (await world.ask(stream=True)).is_whole
    await delete_chain(services, chain.id, None)
    assert await answered_by() == "404"


async def test_every_change_of_a_model_counts_at_once(world: World) -> None:
    services = world.services
    model = await world.model("first")
    name = world.named("first")
    await world.chain("first", "second")
    world.script(first=["ok"], second=["ok"])
    assert (await world.ask(model=name)).status == 200
    await update_model(services, ModelUpdate(id=model, enabled=False))
    assert (await world.ask(model=name)).status == 404
    assert (await world.ask()).headers["x-trunkline-model"].endswith("/second")
    await update_model(services, ModelUpdate(id=model, enabled=True))
    assert (await world.ask(model=name)).status == 200
    assert (await world.ask()).headers["x-trunkline-model"].endswith("/first")
    alone = await world.model("alone")
    assert (await world.ask(model=world.named("alone"))).status == 200
    await delete_model(services, alone, None)
    assert (await world.ask(model=world.named("alone"))).status == 404


@pytest.mark.parametrize("kind", KINDS)
async def test_every_change_of_a_provider_counts_at_once(
    sqlite_world: World, kind: ProviderKind, elsewhere: tuple[str, Behaviour]
) -> None:
    world = sqlite_world
    services = world.services
    provider = await world.provider(kind)
    await world.chain("sim-ok", kind=kind)
    header = KEY_HEADERS[kind]
    assert (await world.ask()).status == 200
    assert world.seen[-1].headers[header].endswith("simulated-key")
    await update_provider(services, ProviderUpdate(id=provider, api_key="another-key"))
    for endpoint in ENDPOINTS:
        for stream in (False, True):
            assert (await world.ask(endpoint, stream=stream)).status == 200
            assert world.seen[-1].headers[header].endswith("another-key")
    await update_provider(services, ProviderUpdate(id=provider, enabled=False))
    assert (await world.ask()).status == 502
    await update_provider(services, ProviderUpdate(id=provider, enabled=True))
    assert (await world.ask()).status == 200
    url, behaviour = elsewhere
    before = len(world.seen)
    path = "/v1" if kind is ProviderKind.OPENAI_COMPATIBLE else ""
    await update_provider(
        services, ProviderUpdate(id=provider, base_url=url + path, api_key="a-third-key")
    )
    assert (await world.ask()).status == 200
    assert len(world.seen) == before
    assert behaviour.requests[-1].headers[header].endswith("a-third-key")
    await remove_provider_api_key(services, provider, None)
    keyless = await world.ask()
    if kind in {ProviderKind.ANTHROPIC, ProviderKind.GOOGLE}:
        assert "NO_API_KEY" in keyless.error["message"]
    else:
        assert keyless.status == 200
        assert header not in behaviour.requests[-1].headers


@pytest.mark.parametrize("kind", KINDS)
async def test_a_providers_own_headers_go_with_each_request(
    sqlite_world: World, kind: ProviderKind
) -> None:
    world = sqlite_world
    await world.provider(kind, extra_headers=[ExtraHeader("X-Organisation", "acme")])
    await world.chain("sim-ok", kind=kind)
    for stream in (False, True):
        reply = await world.ask(stream=stream)
        assert reply.status == 200
        seen = world.seen[-1].headers
        assert seen["x-organisation"] == "acme"
        assert seen["content-type"] == "application/json"
        assert seen[KEY_HEADERS[kind]].endswith("simulated-key")
        assert b"acme" not in reply.body + orjson.dumps(reply.headers)


async def test_a_name_is_read_once_and_again_after_a_change(sqlite_world: World) -> None:
    world = sqlite_world
    known = world.services.gateway.configuration
    chain = await world.chain("sim-ok")
    assert known.get("chain/test") is None
    await world.ask()
    kept = known.get("chain/test")
    await world.ask()
    assert known.get("chain/test") is kept is not None
    await update_chain(world.services, ChainUpdate(id=chain.id, name="Another"))
    assert known.get("chain/test") is None
    # What nobody has is not kept, or anybody could fill the memory with names.
    await world.ask(model="chain/nothing")
    assert known.get("chain/nothing") is None


def test_what_was_read_before_a_change_is_not_kept(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Configuration(sqlite_world.services.events)
    old = Runnable(name="a", chain_id=0, delivery=Delivery.STREAMED, steps=(), models={})
    generation = known.generation
    known._forget()
    known.keep(old, generation)
    assert known.get("a") is None
    known.keep(old, known.generation)
    assert known.get("a") is old
    monkeypatch.setattr(configuration, "MOST_KEPT", 1)
    known.keep(replace(old, name="b"), known.generation)
    assert (known.get("a"), known.get("b") is not None) == (None, True)
