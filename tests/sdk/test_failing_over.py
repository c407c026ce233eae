"""Chains whose first model fails in each way: the SDKs hear a whole answer of the second, and ask
once.
"""

import asyncio
from dataclasses import dataclass

import pytest

from db.vocabulary import Delivery, ProviderKind
from tests.sdk.asking import AnthropicSdk, Heard, Sdk, Tool, Way
from tests.sdk.conftest import NewName
from tests.server.gateway.world import World
from trunkline.failover.steps import StepInput

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPENING = "A simulated answer."
WEATHER = Tool("weather", ("city",))


@dataclass(frozen=True)
class Failure:
    """How the model fails, how often it is asked, and how long the gateway waits until then."""

    wire_name: str
    asked: int = 1
    seconds: float = 0


FAILURES = {
    "429": Failure("sim-rate-limited", asked=3),
    "429 with Retry-After": Failure("sim-rate-limited-retry-after-2s", asked=3),
    "429 with a long Retry-After": Failure("sim-rate-limited-retry-after-60s"),
    "500": Failure("sim-fail-500", asked=3),
    "503": Failure("sim-fail-503", asked=3),
    "reset": Failure("sim-reset", asked=3),
    "silence": Failure("sim-silent", seconds=5),
    "model not found": Failure("sim-model-not-found"),
    "bad key": Failure("sim-bad-key"),
    "too long a prompt": Failure("sim-too-long"),
}
SLOW_FIRST_TOKEN = Failure("sim-stall-after-0", seconds=5)
"""The provider's headers come at once, and no token after them."""
# After more than a read from a socket can hold: otherwise nothing has been passed on.
BROKEN_STREAMS = {
    "cut": Failure("sim-cut-after-2500"),
    "reset within": Failure("sim-reset-after-2500"),
    "ended early": Failure("sim-end-after-2500"),
    "an error within": Failure("sim-error-after-2500"),
    "stalled": Failure("sim-stall-after-5", seconds=20),
}


async def chain(
    world: World,
    new_name: NewName,
    failure: Failure,
    sdk: Sdk,
    *,
    passes: bool,
    delivery: Delivery = Delivery.STREAMED,
    retries: int = 2,
) -> str:
    """A chain of a model that fails and of one that answers, each of a provider of its own. Either
    the first `passes` on what the SDK speaks and the second is translated, or the other way round.
    """
    own = ProviderKind.OPENAI
    if isinstance(sdk, AnthropicSdk):
        own = ProviderKind.ANTHROPIC
    kinds = (own, ProviderKind.GOOGLE) if passes else (ProviderKind.GOOGLE, own)
    slug = new_name()
    wait = failure.seconds or 30
    steps = [
        StepInput(
            model_id=await world.model(name, kind, slug=f"{slug}-{place}"),
            first_token_timeout_seconds=wait,
            timeout_seconds=wait,
            max_retries=retries,
        )
        for place, name, kind in zip(
            ("first", "second"), (failure.wire_name, "sim-ok"), kinds, strict=True
        )
    ]
    await world.chain(*steps, slug=slug, delivery=delivery)
    return f"chain/{slug}"


async def heard_after(
    world: World, failure: Failure, sdk: Sdk, way: Way, model: str, *, tools: bool = False
) -> Heard:
    """What is heard, once the failure's time has passed."""
    said = [{"role": "user", "content": "the weather, please" if tools else "hello"}]
    asking = asyncio.ensure_future(sdk.ask(way, model, said, [WEATHER] if tools else ()))
    if failure.seconds:
        await world.until(lambda: len(world.seen) > 0)
        if "stall" in failure.wire_name:
            await world.until(lambda: world.seen[0].status == 200)
        # In two parts: meanwhile the caller may be shown that somebody is there.
        world.time.advance(failure.seconds / 2)
        await asyncio.sleep(0.01)
        world.time.advance(failure.seconds / 2)
    return await asking


def assert_asked(world: World, failure: Failure) -> None:
    """The SDK has not asked again by itself."""
    assert world.seen_models == [failure.wire_name] * failure.asked + ["sim-ok"]


@pytest.mark.parametrize("passes", [True, False], ids=["passed", "translated"])
@pytest.mark.parametrize("way", [Way.PLAIN, Way.STREAM])
@pytest.mark.parametrize("name", FAILURES)
async def test_the_second_model_answers(
    world: World, new_name: NewName, sdk: Sdk, name: str, way: Way, passes: bool
) -> None:
    failure = FAILURES[name]
    model = await chain(world, new_name, failure, sdk, passes=passes)
    heard = await heard_after(world, failure, sdk, way, model)
    assert heard.text.startswith(OPENING)
    assert heard.finish == sdk.finishes["stop"]
    assert heard.usage.output == world.seen[-1].tokens_sent
    assert_asked(world, failure)


@pytest.mark.parametrize("passes", [True, False], ids=["passed", "translated"])
@pytest.mark.parametrize("way", [Way.STREAM, Way.HELPER])
async def test_the_second_model_answers_where_the_first_token_is_slow(
    world: World, new_name: NewName, sdk: Sdk, way: Way, passes: bool
) -> None:
    model = await chain(world, new_name, SLOW_FIRST_TOKEN, sdk, passes=passes)
    heard = await heard_after(world, SLOW_FIRST_TOKEN, sdk, way, model)
    assert heard.text.startswith(OPENING)
    assert_asked(world, SLOW_FIRST_TOKEN)


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("name", ["429", "reset", "bad key"])
async def test_the_second_model_calls_the_tool(
    world: World, new_name: NewName, sdk: Sdk, name: str, way: Way
) -> None:
    failure = FAILURES[name]
    model = await chain(world, new_name, failure, sdk, passes=True)
    heard = await heard_after(world, failure, sdk, way, model, tools=True)
    [call] = heard.calls
    assert (call.name, list(call.arguments)) == ("weather", ["city"])
    assert heard.finish == sdk.finishes["tools"]
    assert_asked(world, failure)


@pytest.mark.parametrize(
    ("way", "passes"),
    [(Way.STREAM, True), (Way.HELPER, False)],
    ids=["stream-passed", "helper-translated"],
)
@pytest.mark.parametrize("name", BROKEN_STREAMS)
async def test_an_assured_answer_is_whole_whatever_breaks(
    world: World, new_name: NewName, sdk: Sdk, name: str, way: Way, passes: bool
) -> None:
    failure = BROKEN_STREAMS[name]
    model = await chain(
        world, new_name, failure, sdk, passes=passes, delivery=Delivery.ASSURED, retries=0
    )
    heard = await heard_after(world, failure, sdk, way, model)
    assert heard.text.startswith(OPENING)
    assert heard.text.count(OPENING) == 1
    assert heard.usage.output == world.seen[-1].tokens_sent
    assert_asked(world, failure)


@pytest.mark.parametrize("passes", [True, False], ids=["passed", "translated"])
@pytest.mark.parametrize("delivery", Delivery)
async def test_a_malformed_event_costs_nothing(
    world: World, new_name: NewName, sdk: Sdk, delivery: Delivery, passes: bool
) -> None:
    """It is left out, and the rest of the same stream is the whole answer."""
    failure = Failure("sim-malformed-after-5")
    model = await chain(world, new_name, failure, sdk, passes=passes, delivery=delivery)
    heard = await sdk.ask(Way.STREAM, model)
    assert heard.text.startswith(OPENING)
    assert heard.usage.output == world.seen[0].tokens_sent
    assert world.seen_models == [failure.wire_name]
