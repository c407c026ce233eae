"""Answers as the SDKs parse them into a model of the caller's own."""

from typing import Literal

import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from pydantic import BaseModel

from db.vocabulary import ProviderKind
from tests.sdk.asking import HELLO, MOST_TOKENS
from tests.sdk.test_answers import model
from tests.server.gateway.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Place(BaseModel):
    """Where."""

    city: str
    population: int


class Report(BaseModel):
    """What is asked for: nested, with a choice and a list."""

    mood: Literal["good", "bad"]
    places: list[Place]
    is_sure: bool


@pytest.mark.parametrize("kind", ProviderKind)
async def test_openai_parses(world: World, openai_client: AsyncOpenAI, kind: ProviderKind) -> None:
    completion = await openai_client.chat.completions.parse(
        model=await model(world, "sim-ok", kind),
        messages=[{"role": "user", "content": "hello"}],
        response_format=Report,
    )
    report = completion.choices[0].message.parsed
    assert isinstance(report, Report)
    assert report.mood == "good"
    assert isinstance(report.places[0], Place)


@pytest.mark.parametrize("kind", ProviderKind)
async def test_openai_parses_a_stream(
    world: World, openai_client: AsyncOpenAI, kind: ProviderKind
) -> None:
    async with openai_client.chat.completions.stream(
        model=await model(world, "sim-ok", kind),
        messages=[{"role": "user", "content": "hello"}],
        response_format=Report,
    ) as stream:
        events = [event.type async for event in stream]
        report = (await stream.get_final_completion()).choices[0].message.parsed
    assert isinstance(report, Report)
    assert {"content.delta", "content.done"} <= set(events)


@pytest.mark.parametrize("kind", ProviderKind)
async def test_anthropic_parses(
    world: World, anthropic_client: AsyncAnthropic, kind: ProviderKind
) -> None:
    message = await anthropic_client.messages.parse(
        model=await model(world, "sim-ok", kind),
        max_tokens=MOST_TOKENS,
        messages=[{"role": "user", "content": "hello"}],
        output_format=Report,
    )
    report = message.parsed_output
    assert isinstance(report, Report)
    assert report.mood == "good"


@pytest.mark.parametrize("kind", ProviderKind)
async def test_anthropic_parses_a_stream(
    world: World, anthropic_client: AsyncAnthropic, kind: ProviderKind
) -> None:
    async with anthropic_client.messages.stream(
        model=await model(world, "sim-ok", kind),
        max_tokens=MOST_TOKENS,
        messages=[{"role": "user", "content": "hello"}],
        output_format=Report,
    ) as stream:
        message = await stream.get_final_message()
    assert isinstance(message.parsed_output, Report)


@pytest.mark.parametrize("kind", [one for one in ProviderKind if one is not ProviderKind.ANTHROPIC])
async def test_any_json_where_no_schema_is_given(
    world: World, openai_client: AsyncOpenAI, kind: ProviderKind
) -> None:
    completion = await openai_client.chat.completions.create(
        model=await model(world, "sim-ok", kind),
        messages=list(HELLO),
        response_format={"type": "json_object"},
    )
    assert (completion.choices[0].message.content or "").startswith("{")
