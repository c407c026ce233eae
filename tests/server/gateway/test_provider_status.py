"""What live requests make of a provider's status, and who hears of it."""

import pytest

from db.vocabulary import ProviderStatus
from server.simulated.script import Script
from tests.server.gateway.world import World
from trunkline.events import ProviderChanged
from trunkline.gateway.provider_status import StatusWatch

STATUS = '{ provider(slug: "openai-compatible") { status } }'


async def status(world: World) -> str:
    found: str = (await world.execute(STATUS))["provider"]["status"]
    return found


async def test_live_requests_say_how_a_provider_does(sqlite_world: World) -> None:
    world = sqlite_world
    world.behaviour.set_script(Script({"one": ["ok", "status-500", "ok"]}))
    await world.chain("one", max_retries=0)
    assert await status(world) == ProviderStatus.UNTESTED
    await world.ask()
    assert await status(world) == ProviderStatus.CONNECTED
    await world.ask()
    assert await status(world) == ProviderStatus.DEGRADED
    world.time.advance(29)
    await world.ask()
    world.time.advance(2)
    assert await status(world) == ProviderStatus.CONNECTED
    world.time.advance(31)
    assert await status(world) == ProviderStatus.UNTESTED


@pytest.mark.parametrize("meets", ["status-500", "bad-key"])
async def test_a_provider_that_only_fails_is_failing(sqlite_world: World, meets: str) -> None:
    world = sqlite_world
    await world.chain(f"sim-{meets}", max_retries=0)
    await world.ask()
    assert await status(world) == ProviderStatus.FAILING


async def test_a_change_is_told_once(sqlite_world: World) -> None:
    world = sqlite_world
    chain = await world.chain("sim-ok")
    watch = StatusWatch(world.services)
    await watch.look()
    with world.services.events.subscribe(ProviderChanged) as changes:
        await world.ask()
        await watch.look()
        told = await anext(aiter(changes))
        assert isinstance(told, ProviderChanged)
        assert told.slug == "openai-compatible"
        await watch.look()
        assert not changes._pending
        world.time.advance(31)
        await watch.look()
        assert isinstance(await anext(aiter(changes)), ProviderChanged)
    assert chain.steps
