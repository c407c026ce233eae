"""Providers who are compatible with OpenAI, and refuse what it takes."""

import re

import orjson
import pytest

from db.vocabulary import ProviderKind
from tests.server.gateway.world import CHAT, ENDPOINTS, HELLO, MESSAGES, World
from trunkline.failover.steps import StepInput

CALLED = {
    CHAT: [
        *HELLO,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
    ],
    MESSAGES: [
        *HELLO,
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "call_1", "name": "f", "input": {}}],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "1"}],
        },
    ],
}
"""A tool was called, and gave its result, in each protocol."""


async def chain(world: World, slug: str) -> None:
    """One that falls through to a provider of this name, who is known by it."""
    first = await world.model("sim-thinking")
    second = await world.model("sim-ok", ProviderKind.OPENAI_COMPATIBLE, slug=slug)
    await world.chain(*(StepInput(model_id=one, max_retries=0) for one in (first, second)))


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_mistral_is_not_asked_for_usage_which_it_would_refuse(
    sqlite_world: World, endpoint: str
) -> None:
    world = sqlite_world
    await chain(world, "mistral")
    world.script(sim_thinking=["status-500"], sim_ok=["ok"])
    for asked in (None, {"include_usage": True}) if endpoint == CHAT else (None,):
        reply = await world.ask(endpoint, stream=True, stream_options=asked)
        assert reply.headers["x-trunkline-model"] == "mistral/sim-ok"
        assert reply.is_whole
        first, second = (one.json() for one in world.seen[-2:])
        assert first["stream_options"] == {"include_usage": True}
        assert "stream_options" not in second
        assert second["stream"] is True


async def test_mistral_is_told_the_seed_by_its_own_name(sqlite_world: World) -> None:
    world = sqlite_world
    await chain(world, "mistral")
    world.script(sim_thinking=["status-500"], sim_ok=["ok"])
    reply = await world.ask(seed=7)
    assert reply.headers["x-trunkline-model"] == "mistral/sim-ok"
    first, second = (one.json() for one in world.seen[-2:])
    assert (first["seed"], "random_seed" in first) == (7, False)
    assert (second["random_seed"], "seed" in second) == (7, False)


@pytest.mark.parametrize("slug", ["groq", "cerebras", "mistralai"])
async def test_what_another_model_thought_goes_to_nobody_who_refuses_it(
    sqlite_world: World, slug: str
) -> None:
    world = sqlite_world
    await chain(world, slug)
    said = (await world.ask()).json()["choices"][0]["message"]
    assert said["reasoning_content"]
    later = [*HELLO, said, {"role": "user", "content": "and then?"}]
    world.script(sim_thinking=["status-500"], sim_ok=["ok"])
    reply = await world.ask(messages=later)
    assert reply.headers["x-trunkline-model"] == f"{slug}/sim-ok"
    first, second = (one.json()["messages"] for one in world.seen[-2:])
    assert first == later
    del said["reasoning_content"]
    assert second == later


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_mistral_gets_ids_of_calls_that_it_takes(sqlite_world: World, endpoint: str) -> None:
    world = sqlite_world
    await chain(world, "mistral")
    world.script(sim_thinking=["status-500"], sim_ok=["ok"])
    reply = await world.ask(endpoint, messages=CALLED[endpoint])
    assert reply.headers["x-trunkline-model"] == "mistral/sim-ok"
    first, second = (orjson.loads(one.body)["messages"] for one in world.seen[-2:])
    assert first[1]["tool_calls"][0]["id"] == first[2]["tool_call_id"] == "call_1"
    [call], result = second[1]["tool_calls"], second[2]
    assert call["id"] == result["tool_call_id"]
    assert re.fullmatch("[A-Za-z0-9]{9}", call["id"])
