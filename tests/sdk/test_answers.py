"""What the SDKs hear of a healthy model, through providers of every kind."""

from typing import Any

import pytest

from db.vocabulary import ProviderKind
from tests.sdk.asking import HELLO, AnthropicSdk, Sdk, Tool, Way
from tests.server.gateway.world import World
from trunkline.gateway.answers import Usage

pytestmark = pytest.mark.asyncio(loop_scope="module")

WEATHER, TIME = Tool("weather", ("city", "unit")), Tool("time", ("zone",))
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ANTHROPIC, GOOGLE, OLLAMA = ProviderKind.ANTHROPIC, ProviderKind.GOOGLE, ProviderKind.OLLAMA
OPENAI, COMPATIBLE = ProviderKind.OPENAI, ProviderKind.OPENAI_COMPATIBLE


async def model(world: World, wire_name: str, kind: ProviderKind) -> str:
    """What to ask for to get this model of this kind of provider."""
    await world.model(wire_name, kind)
    return world.named(wire_name, kind)


async def straight(world: World, wire_name: str) -> dict[str, str]:
    """The message that the provider itself gives; it says the same in each of its protocols."""
    async with world.session.post(
        f"{world.simulator}/v1/chat/completions", json={"model": wire_name, "messages": HELLO}
    ) as response:
        message: dict[str, str] = (await response.json())["choices"][0]["message"]
    world.behaviour.requests.clear()
    return message


@pytest.mark.parametrize("kind", ProviderKind)
@pytest.mark.parametrize("way", Way)
async def test_an_answer_is_heard_whole(
    world: World, sdk: Sdk, way: Way, kind: ProviderKind
) -> None:
    said = await straight(world, "sim-ok")
    heard = await sdk.ask(way, await model(world, "sim-ok", kind))
    assert heard.text == said["content"]
    assert heard.finish == sdk.finishes["stop"]
    assert (heard.calls, heard.reasoning, heard.refusal) == ((), "", None)
    [seen] = world.seen
    assert heard.usage == Usage(input=6, output=seen.tokens_sent)


@pytest.mark.parametrize("kind", ProviderKind)
@pytest.mark.parametrize("way", Way)
async def test_an_agent_calls_tools_and_ends(
    world: World, sdk: Sdk, way: Way, kind: ProviderKind
) -> None:
    """Two calls at once, their results, and an answer in words."""
    name = await model(world, "sim-tools-2", kind)
    messages = list(HELLO)
    heard = await sdk.ask(way, name, messages, [WEATHER, TIME])
    assert heard.finish == sdk.finishes["tools"]
    first, second = heard.calls
    assert first.id != second.id
    assert (first.name, second.name) == ("weather", "time")
    assert first.arguments.keys() == {"city", "unit"}
    assert second.arguments.keys() == {"zone"}
    messages += sdk.results(heard, {first.id: "sunny here", second.id: "noon there"})
    last = await sdk.ask(way, name, messages, [WEATHER, TIME])
    assert last.finish == sdk.finishes["stop"]
    assert last.text.startswith("A simulated answer.")
    assert last.calls == ()
    told = world.seen[-1].body.decode()
    assert told.index("sunny here") < told.index("noon there")
    assert len(world.seen) == 2


@pytest.mark.parametrize("kind", ProviderKind)
@pytest.mark.parametrize("way", Way)
async def test_thoughts_are_heard_and_may_be_kept(
    world: World, sdk: Sdk, way: Way, kind: ProviderKind
) -> None:
    said = await straight(world, "sim-thinking-9")
    name = await model(world, "sim-thinking-9", kind)
    heard = await sdk.ask(way, name)
    assert heard.reasoning == said["reasoning_content"]
    assert heard.text == said["content"]
    later = [*HELLO, heard.message, {"role": "user", "content": "and then?"}]
    assert (await sdk.ask(way, name, later)).finish == sdk.finishes["stop"]


@pytest.mark.parametrize("kind", ProviderKind)
@pytest.mark.parametrize("way", Way)
async def test_each_class_of_tokens_is_told(
    world: World, sdk: Sdk, way: Way, kind: ProviderKind
) -> None:
    """As far as the kind's protocol counts it apart."""
    wire_name = "sim-thinking-7-tokens-20-cached-50-cache-write-25"
    said = [{"role": "user", "content": "x" * 384}]
    heard = await sdk.ask(way, await model(world, wire_name, kind), said)
    assert heard.usage == Usage(
        input=100,
        cache_read=0 if kind is OLLAMA else 50,
        cache_write=25 if kind is ANTHROPIC else 0,
        output=27,
        reasoning=0 if kind in (ANTHROPIC, OLLAMA) else 7,
    )


@pytest.mark.parametrize("kind", ProviderKind)
async def test_a_picture_is_shown(world: World, sdk: Sdk, kind: ProviderKind) -> None:
    shown = sdk.image("image/png", PIXEL)
    heard = await sdk.ask(Way.PLAIN, await model(world, "sim-ok", kind), shown)
    assert PIXEL in world.seen[0].body.decode()
    tokens = {ANTHROPIC: 1_600, GOOGLE: 258, OLLAMA: 576, OPENAI: 765, COMPATIBLE: 765}
    assert heard.usage.input > tokens[kind]


@pytest.mark.parametrize("kind", ProviderKind)
@pytest.mark.parametrize("way", [Way.PLAIN, Way.STREAM])
@pytest.mark.parametrize("end", ["length", "stop_sequence", "refusal", "filtered"])
async def test_the_end_has_its_reason(
    world: World, sdk: Sdk, end: str, way: Way, kind: ProviderKind
) -> None:
    wire_name = "sim-" + {"refusal": "refusal", "filtered": "filtered"}.get(end, "ok")
    is_anthropic = isinstance(sdk, AnthropicSdk)
    more: dict[str, Any] = {}
    if end == "length":
        more["max_tokens"] = 5
    elif end == "stop_sequence":
        more["stop_sequences" if is_anthropic else "stop"] = [" answer"]
    heard = await sdk.ask(way, await model(world, wire_name, kind), **more)
    if end == "length":
        assert heard.usage.output == 5
    if end == "stop_sequence":
        assert heard.text == "A simulated"
        if is_anthropic and kind is ANTHROPIC:
            assert heard.stop_sequence == " answer"
        elif is_anthropic:
            # No other protocol tells a stop word from the model's own end.
            assert (heard.finish, heard.stop_sequence) == ("end_turn", None)
            return
    if end in ("refusal", "filtered") and kind is OLLAMA:
        # It has no word for either.
        end = "stop"
    elif end == "refusal" and not is_anthropic and heard.refusal is None:
        # Without the words for it, this protocol has but one way to say that it is no answer.
        assert kind in (ANTHROPIC, GOOGLE)
        end = "filtered"
    assert heard.finish == sdk.finishes[end]
