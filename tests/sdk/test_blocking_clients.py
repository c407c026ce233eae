"""The SDKs without asyncio, each request in a thread of its own."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import anthropic
import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from db.vocabulary import ProviderKind
from tests.sdk.asking import MOST_TOKENS
from tests.sdk.conftest import NewName
from tests.sdk.test_answers import model
from tests.server.gateway.world import TOKEN, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

T = TypeVar("T")
KINDS = [ProviderKind.OPENAI, ProviderKind.ANTHROPIC]
OPENING = "A simulated answer."


async def with_openai(world: World, ask: Callable[[OpenAI], T]) -> T:
    """What `ask` gives, in a thread."""

    def run() -> T:
        with OpenAI(base_url=f"{world.url}/v1", api_key=TOKEN) as client:
            return ask(client)

    return await asyncio.to_thread(run)


async def with_anthropic(world: World, ask: Callable[[Anthropic], T]) -> T:
    """The same."""

    def run() -> T:
        with Anthropic(base_url=world.url, api_key=TOKEN) as client:
            return ask(client)

    return await asyncio.to_thread(run)


@pytest.mark.parametrize("kind", KINDS)
async def test_openai(world: World, kind: ProviderKind) -> None:
    name = await model(world, "sim-ok", kind)

    def ask(client: OpenAI) -> list[str]:
        plain = client.chat.completions.create(
            model=name, messages=[{"role": "user", "content": "hello"}]
        )
        chunks = client.chat.completions.create(
            model=name, messages=[{"role": "user", "content": "hello"}], stream=True
        )
        pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
        with client.chat.completions.stream(
            model=name, messages=[{"role": "user", "content": "hello"}]
        ) as stream:
            final = stream.get_final_completion()
        return [
            plain.choices[0].message.content or "",
            "".join(pieces),
            final.choices[0].message.content or "",
        ]

    plain, streamed, helped = await with_openai(world, ask)
    assert plain.startswith(OPENING)
    assert plain == streamed == helped


@pytest.mark.parametrize("kind", KINDS)
async def test_anthropic(world: World, kind: ProviderKind) -> None:
    name = await model(world, "sim-ok", kind)

    def ask(client: Anthropic) -> list[str]:
        plain = client.messages.create(
            model=name, max_tokens=MOST_TOKENS, messages=[{"role": "user", "content": "hello"}]
        )
        [block] = plain.content
        assert block.type == "text"
        with client.messages.stream(
            model=name, max_tokens=MOST_TOKENS, messages=[{"role": "user", "content": "hello"}]
        ) as stream:
            return [block.text, "".join(stream.text_stream), stream.get_final_text()]

    plain, streamed, helped = await with_anthropic(world, ask)
    assert plain.startswith(OPENING)
    assert plain == streamed == helped


async def test_a_chain_that_fails_raises_at_once(world: World, new_name: NewName) -> None:
    slug = new_name()
    await world.model("sim-fail-500", slug=slug)
    name = f"{slug}/sim-fail-500"
    with pytest.raises(openai.InternalServerError, match="sim-fail-500"):
        await with_openai(
            world,
            lambda client: client.chat.completions.create(
                model=name, messages=[{"role": "user", "content": "hello"}]
            ),
        )
    assert len(world.seen) == 3
    with pytest.raises(anthropic.InternalServerError, match="sim-fail-500"):
        await with_anthropic(
            world,
            lambda client: client.messages.create(
                model=name, max_tokens=MOST_TOKENS, messages=[{"role": "user", "content": "hello"}]
            ),
        )
    # The fifth failure in a row closes the way to the model.
    assert len(world.seen) == 5
