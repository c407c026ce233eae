"""What callers in OpenAI's protocol get, as it stands and as OpenAI's SDK reads it."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessageParam,
    ChatCompletionToolParam,
)
from pydantic import BaseModel

from tests.trunkline.gateway.openai_relay import running_relay
from trunkline.gateway.answers import (
    AnswerEvent,
    AnswerHead,
    AnswerPart,
    ChatAnswer,
    Finished,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallBegun,
    Usage,
    UsageSeen,
)
from trunkline.gateway.conversation import Reasoning, Refusal, Text, ToolCall
from trunkline.gateway.faces.openai import OpenAiFace

FACE = OpenAiFace()
HEAD = AnswerHead(id="chatcmpl-1", model="anthropic/claude", created=1_767_225_600)
COUNTED: dict[str, object] = {"stream": True, "stream_options": {"include_usage": True}}
USAGE = Usage(input=9, cache_read=5, cache_write=2, output=4, reasoning=3)
USAGE_SAID = {
    "prompt_tokens": 9,
    "completion_tokens": 4,
    "total_tokens": 13,
    "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 3},
}


def write(
    *parts: AnswerPart, finish: FinishReason = FinishReason.STOP, usage: Usage | None = None
) -> Any:
    written = FACE.write(ChatAnswer(parts=parts, finish=finish, usage=usage), HEAD)
    ChatCompletion.model_validate_json(written, strict=True)
    return json.loads(written)


def stream(events: Sequence[AnswerEvent], body: dict[str, object] | None = None) -> list[Any]:
    """The chunks, without `[DONE]`; the same whether they are written one by one or at once."""
    writer = FACE.stream_writer(HEAD, body or {})
    at_once = writer.write(events) + writer.end()
    writer = FACE.stream_writer(HEAD, body or {})
    assert b"".join([*(writer.write([event]) for event in events), writer.end()]) == at_once
    *chunks, done, rest = at_once.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    for chunk in chunks:
        ChatCompletionChunk.model_validate_json(chunk.removeprefix(b"data: "), strict=True)
    return [json.loads(chunk.removeprefix(b"data: ")) for chunk in chunks]


def deltas(events: Sequence[AnswerEvent]) -> list[Any]:
    return [chunk["choices"][0]["delta"] for chunk in stream(events)]


def test_writes_an_answer() -> None:
    assert write(Text("grö"), Text("ßer"), usage=USAGE) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_767_225_600,
        "model": "anthropic/claude",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "größer", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE_SAID,
    }


def test_says_nothing_of_a_usage_that_is_unknown() -> None:
    assert "usage" not in write(Text("a"))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((), {"content": "", "refusal": None}),
        (
            (Reasoning("h"), Reasoning("m", "signature"), Text("a")),
            {"content": "a", "refusal": None, "reasoning_content": "hm"},
        ),
        ((Reasoning(redacted="x"), Text("a")), {"content": "a", "refusal": None}),
        ((Refusal("no"),), {"content": None, "refusal": "no"}),
        (
            (Text("so"), ToolCall("c1", "f", "{}", "s"), ToolCall("c2", "g", '{"a":1}')),
            {
                "content": "so",
                "refusal": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    {
                        "id": "c2",
                        "type": "function",
                        "function": {"name": "g", "arguments": '{"a":1}'},
                    },
                ],
            },
        ),
    ],
)
def test_writes_a_message(parts: tuple[AnswerPart, ...], message: dict[str, object]) -> None:
    assert write(*parts)["choices"][0]["message"] == {"role": "assistant", **message}


def test_no_words_beside_a_call_are_null() -> None:
    assert write(ToolCall("c", "f", "{}"))["choices"][0]["message"]["content"] is None


@pytest.mark.parametrize(
    ("reason", "part", "word"),
    [
        (FinishReason.STOP, Text("a"), "stop"),
        (FinishReason.LENGTH, Text("a"), "length"),
        (FinishReason.TOOL_CALLS, ToolCall("c", "f", "{}"), "tool_calls"),
        (FinishReason.CONTENT_FILTER, Text("a"), "content_filter"),
        (FinishReason.REFUSAL, Refusal("no"), "stop"),
        (FinishReason.REFUSAL, Text("no"), "content_filter"),
    ],
)
def test_says_why_it_ended(reason: FinishReason, part: AnswerPart, word: str) -> None:
    assert write(part, finish=reason)["choices"][0]["finish_reason"] == word
    event = RefusalDelta("no") if isinstance(part, Refusal) else TextDelta("a")
    assert stream([event, Finished(reason)])[-1]["choices"][0]["finish_reason"] == word


def test_streams_words() -> None:
    chunks = stream([TextDelta("grö"), TextDelta("ßer\n"), Finished(FinishReason.STOP)])
    said = [("chatcmpl-1", "chat.completion.chunk", 1_767_225_600, "anthropic/claude")] * 4
    assert [(one["id"], one["object"], one["created"], one["model"]) for one in chunks] == said
    assert [one["choices"] for one in chunks] == [
        [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
        for delta, finish in (
            ({"role": "assistant", "content": "", "refusal": None}, None),
            ({"content": "grö"}, None),
            ({"content": "ßer\n"}, None),
            ({}, "stop"),
        )
    ]
    assert not any("usage" in one for one in chunks)


def test_streams_thoughts() -> None:
    events = [ReasoningDelta("h"), ReasoningDelta(signature="s"), ReasoningDelta("m")]
    assert deltas([*events, TextDelta("a")]) == [
        {"role": "assistant", "content": "", "refusal": None},
        {"reasoning_content": "h"},
        {"reasoning_content": "m"},
        {"content": "a"},
    ]


def test_streams_refusals_and_calls_without_content() -> None:
    role = {"role": "assistant", "content": None, "refusal": None}
    assert deltas([RefusalDelta("no")]) == [role, {"refusal": "no"}]
    function = {"name": "f", "arguments": ""}
    assert deltas([ToolCallBegun(0, "c", "f", "s"), ToolArgumentsDelta(0, '{"a"')]) == [
        role,
        {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": function}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]},
    ]


@pytest.mark.parametrize("late", [False, True])
def test_streams_the_last_usage_where_it_is_asked_for(late: bool) -> None:
    finished: list[AnswerEvent] = [Finished(FinishReason.STOP)]
    used: list[AnswerEvent] = [UsageSeen(Usage(input=9)), UsageSeen(USAGE)]
    end = finished + used if late else used + finished
    *chunks, last = stream([TextDelta("a"), *end], COUNTED)
    assert [chunk["usage"] for chunk in chunks] == [None, None, None]
    assert (last["choices"], last["usage"]) == ([], USAGE_SAID)
    assert len(stream([TextDelta("a"), *end])) == 3
    assert len(stream([TextDelta("a"), *finished], COUNTED)) == 3


def test_says_nothing_where_nothing_is_said() -> None:
    writer = FACE.stream_writer(HEAD, {})
    assert writer.write([]) == b""
    assert writer.write([UsageSeen(USAGE), ReasoningDelta(redacted="x")]) == b""
    assert b'"role"' in writer.write([TextDelta("a")])


@pytest.fixture
async def relay() -> AsyncIterator[str]:
    async with running_relay() as url:
        yield url


@pytest.fixture(params=["translated", "passed"])
async def sdk(request: pytest.FixtureRequest, relay: str) -> AsyncIterator[AsyncOpenAI]:
    url = f"{relay}/{request.param}/v1"
    async with AsyncOpenAI(base_url=url, api_key="any", max_retries=0) as client:
        yield client


ASKED: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "be short"},
    {"role": "user", "content": "hello"},
]
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "f",
        "parameters": {"type": "object", "properties": {"a": {"type": "string"}}},
    },
}


async def test_the_sdk_reads_an_answer(sdk: AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(model="tokens-9", messages=ASKED)
    assert (answer.choices[0].message.content or "").startswith("A simulated answer.")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 9


async def test_the_sdk_reads_a_stream(sdk: AsyncOpenAI) -> None:
    chunks = [
        chunk
        async for chunk in await sdk.chat.completions.create(
            model="tokens-9",
            messages=ASKED,
            stream=True,
            stream_options={"include_usage": True},
        )
    ]
    said = "".join(one.choices[0].delta.content or "" for one in chunks if one.choices)
    assert said.startswith("A simulated answer.")
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 9
    unasked = await sdk.chat.completions.create(model="tokens-9", messages=ASKED, stream=True)
    assert [one async for one in unasked if not one.choices or one.usage] == []


async def test_the_sdk_runs_an_agents_loop(sdk: AsyncOpenAI) -> None:
    messages = list(ASKED)
    async with sdk.chat.completions.stream(
        model="tools-2", messages=messages, tools=[TOOL]
    ) as stream:
        answer = await stream.get_final_completion()
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls"
    assert message.content is None
    calls = message.tool_calls or []
    assert [json.loads(call.function.arguments) for call in calls] == [{"a": "simulated"}] * 2
    messages.append(message.model_dump(exclude_none=True))  # type: ignore[arg-type] # as agents do
    for call in calls:
        messages.append({"role": "tool", "tool_call_id": call.id, "content": "42"})
    last = await sdk.chat.completions.create(model="tools-2", messages=messages, tools=[TOOL])
    assert last.choices[0].finish_reason == "stop"
    assert last.choices[0].message.content


async def test_the_sdk_parses_structured_output(sdk: AsyncOpenAI) -> None:
    class City(BaseModel):
        name: str

    answer = await sdk.chat.completions.parse(model="gpt-5", messages=ASKED, response_format=City)
    assert isinstance(answer.choices[0].message.parsed, City)
    async with sdk.chat.completions.stream(
        model="gpt-5", messages=ASKED, response_format=City
    ) as stream:
        final = await stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, City)


async def test_the_sdk_reads_refusals_and_thoughts(sdk: AsyncOpenAI) -> None:
    async with sdk.chat.completions.stream(model="refusal", messages=ASKED) as stream:
        refused = (await stream.get_final_completion()).choices[0]
    assert refused.message.refusal
    assert refused.message.content is None
    assert refused.finish_reason == "stop"
    answer = await sdk.chat.completions.create(model="thinking-5", messages=ASKED)
    assert getattr(answer.choices[0].message, "reasoning_content", None)


@pytest.mark.parametrize("model", ["error-after-3", "end-after-3"])
async def test_the_sdk_raises_a_streams_failure(sdk: AsyncOpenAI, model: str) -> None:
    stream = await sdk.chat.completions.create(model=model, messages=ASKED, stream=True)
    with pytest.raises(openai.APIError, match="stream ended") as failed:
        [chunk async for chunk in stream]
    assert failed.value.code == "stream_failed"


async def test_the_sdk_raises_what_is_refused(relay: str) -> None:
    async with AsyncOpenAI(base_url=f"{relay}/translated/v1", api_key="any") as sdk:
        with pytest.raises(openai.BadRequestError, match="n must be 1") as refused:
            await sdk.chat.completions.create(model="m", messages=ASKED, n=2)
    assert refused.value.param == "n"
    assert refused.value.type == "invalid_request_error"
