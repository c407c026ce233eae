"""The official SDKs of OpenAI and Anthropic read what the simulator says."""

import json
from collections.abc import AsyncIterator

import anthropic
import openai
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import TextBlock, ToolParam, ToolUseBlock
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionToolParam, ChatCompletionUserMessageParam

from tests.server.simulated.asking import TOOL, Client

HELLO: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": "hello"}]
FUNCTION: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": TOOL},
}
WEATHER: ToolParam = {"name": "get_weather", "input_schema": TOOL}
CALLED = {"city": "simulated", "days": 5, "unit": "celsius"}


@pytest.fixture
async def speaks_openai(client: Client) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{client.url}/v1", api_key="any", max_retries=0) as sdk:
        yield sdk


@pytest.fixture
async def speaks_anthropic(client: Client) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(base_url=client.url, api_key="any", max_retries=0) as sdk:
        yield sdk


async def test_openai_reads_a_plain_answer(speaks_openai: AsyncOpenAI) -> None:
    answer = await speaks_openai.chat.completions.create(model="tokens-9", messages=HELLO)
    assert (answer.choices[0].message.content or "").startswith("A simulated answer.")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 9
    assert answer._request_id == "req_simulated_1"


async def test_openai_reads_a_stream(speaks_openai: AsyncOpenAI) -> None:
    stream = await speaks_openai.chat.completions.create(
        model="tokens-9",
        messages=HELLO,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said.startswith("A simulated answer.")
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 9


async def test_openai_gathers_parallel_calls_from_a_stream(speaks_openai: AsyncOpenAI) -> None:
    async with speaks_openai.chat.completions.stream(
        model="tools-2", messages=HELLO, tools=[FUNCTION]
    ) as stream:
        answer = await stream.get_final_completion()
    calls = answer.choices[0].message.tool_calls or []
    assert [json.loads(call.function.arguments) for call in calls] == [CALLED, CALLED]
    assert answer.choices[0].finish_reason == "tool_calls"


async def test_openai_lists_models_and_embeds(speaks_openai: AsyncOpenAI) -> None:
    models = [model.id async for model in speaks_openai.models.list()]
    assert models == ["simulated-large", "simulated-small"]
    embedded = await speaks_openai.embeddings.create(model="m", input=["one", "two", "one"])
    first, second, third = [one.embedding for one in embedded.data]
    assert len(first) == 1_536
    assert first == third != second
    plain = await speaks_openai.embeddings.create(
        model="m", input="one", encoding_format="float", dimensions=8
    )
    assert sum(number**2 for number in plain.data[0].embedding) == pytest.approx(1)


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("bad-key", openai.AuthenticationError),
        ("rate-limited", openai.RateLimitError),
        ("no-credit", openai.RateLimitError),
        ("model-not-found", openai.NotFoundError),
        ("too-long", openai.BadRequestError),
        ("overloaded", openai.InternalServerError),
        ("reset", openai.APIConnectionError),
    ],
)
async def test_openai_raises_its_own_errors(
    speaks_openai: AsyncOpenAI, model: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await speaks_openai.chat.completions.create(model=model, messages=HELLO)


async def test_openai_retries_what_flaps(client: Client, speaks_openai: AsyncOpenAI) -> None:
    patient = speaks_openai.with_options(max_retries=1)
    await patient.chat.completions.create(
        model="flap-1-1-status-500-retry-after-ms-1", messages=HELLO
    )
    assert [seen.status for seen in client.behaviour.requests] == [500, 200]


async def test_anthropic_reads_a_plain_answer(speaks_anthropic: AsyncAnthropic) -> None:
    answer = await speaks_anthropic.messages.create(
        model="tokens-9-thinking-3",
        max_tokens=100,
        messages=[{"role": "user", "content": "hello"}],
    )
    thought, said = answer.content
    assert thought.type == "thinking"
    assert isinstance(said, TextBlock)
    assert said.text.startswith("A simulated answer.")
    assert (answer.stop_reason, answer.usage.output_tokens) == ("end_turn", 12)
    assert answer._request_id == "req_simulated_1"


async def test_anthropic_reads_a_stream(speaks_anthropic: AsyncAnthropic) -> None:
    async with speaks_anthropic.messages.stream(
        model="tokens-9-thinking-3",
        max_tokens=100,
        messages=[{"role": "user", "content": "hello"}],
    ) as stream:
        said = "".join([text async for text in stream.text_stream])
        answer = await stream.get_final_message()
    assert said.startswith("A simulated answer.")
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert answer.usage.output_tokens == 12
    assert answer.usage.input_tokens > 0


async def test_anthropic_gathers_calls_from_a_stream(speaks_anthropic: AsyncAnthropic) -> None:
    async with speaks_anthropic.messages.stream(
        model="tools-2",
        max_tokens=100,
        messages=[{"role": "user", "content": "hello"}],
        tools=[WEATHER],
    ) as stream:
        answer = await stream.get_final_message()
    assert [block.input for block in answer.content if isinstance(block, ToolUseBlock)] == [
        CALLED,
        CALLED,
    ]
    assert answer.stop_reason == "tool_use"


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("bad-key", anthropic.AuthenticationError),
        ("rate-limited", anthropic.RateLimitError),
        ("no-credit", anthropic.BadRequestError),
        ("model-not-found", anthropic.NotFoundError),
        ("overloaded", anthropic.APIStatusError),
        ("reset", anthropic.APIConnectionError),
        ("error-after-2", anthropic.APIStatusError),
    ],
)
async def test_anthropic_raises_its_own_errors(
    speaks_anthropic: AsyncAnthropic, model: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        async with speaks_anthropic.messages.stream(
            model=model, max_tokens=100, messages=[{"role": "user", "content": "hello"}]
        ) as stream:
            await stream.get_final_message()
