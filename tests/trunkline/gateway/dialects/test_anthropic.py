"""Against a provider that speaks the protocol, over HTTP."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from server.simulated.app import running_simulator
from server.simulated.behaviour import Behaviour
from server.simulated.timing import SkippedTiming
from trunkline.gateway.answers import (
    AnswerEvent,
    ChatAnswer,
    Finished,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallBegun,
    UsageSeen,
)
from trunkline.gateway.conversation import (
    Conversation,
    OutputFormat,
    Reasoning,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from trunkline.gateway.dialects.anthropic import AnthropicDialect
from trunkline.gateway.protocols import StreamCut, StreamFailed, UnreadableAnswer

HELLO = (Turn(Role.USER, (Text("hello"),)),)
WEATHER = Tool(
    "weather",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
)
VERSION = {"anthropic-version": "2023-06-01"}


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with running_simulator(Behaviour(api_key=None, timing=SkippedTiming())) as url:
        yield url


async def whole(url: str, name: str, conversation: Conversation) -> ChatAnswer:
    call = AnthropicDialect().ask(conversation, name)
    async with (
        aiohttp.ClientSession(headers=VERSION) as session,
        session.post(url + call.path, data=call.body) as response,
    ):
        assert response.status == 200
        return AnthropicDialect().read(await response.read())


async def streamed(url: str, name: str, conversation: Conversation) -> list[AnswerEvent]:
    call = AnthropicDialect().ask(conversation, name)
    reader = AnthropicDialect().stream_reader()
    events: list[AnswerEvent] = []
    async with (
        aiohttp.ClientSession(headers=VERSION) as session,
        session.post(url + call.path, data=call.body) as response,
    ):
        assert response.status == 200
        async for chunk in response.content.iter_any():
            events += reader.feed(chunk)
    return [*events, *reader.end()]


async def test_the_same_is_said_streamed_and_whole(url: str) -> None:
    name = "sim-thinking-cached-50"
    answer = await whole(url, name, Conversation(turns=HELLO))
    events = await streamed(url, name, Conversation(turns=HELLO, stream=True))
    thoughts = "".join(one.text for one in events if isinstance(one, ReasoningDelta))
    words = "".join(one.text for one in events if isinstance(one, TextDelta))
    assert [type(part) for part in answer.parts] == [Reasoning, Text]
    assert (thoughts, words) == tuple(part.text for part in answer.parts if hasattr(part, "text"))
    assert events[-1] == Finished(FinishReason.STOP)
    assert isinstance(events[-2], UsageSeen)
    assert events[-2].usage == answer.usage
    assert answer.usage is not None
    assert answer.usage.cache_read > 0


async def test_a_loop_of_tools(url: str) -> None:
    asked = Conversation(turns=HELLO, tools=(WEATHER,), stream=True)
    events = await streamed(url, "sim-tools-2", asked)
    begun = [one for one in events if isinstance(one, ToolCallBegun)]
    calls = [
        ToolCall(
            call.id,
            call.name,
            "".join(
                one.text
                for one in events
                if isinstance(one, ToolArgumentsDelta) and one.index == call.index
            ),
        )
        for call in begun
    ]
    assert [call.arguments for call in calls] == ['{"city":"simulated"}'] * 2
    assert events[-1] == Finished(FinishReason.TOOL_CALLS)
    turns = (
        *HELLO,
        Turn(Role.ASSISTANT, tuple(calls)),
        Turn(Role.USER, tuple(ToolResult(call.id, (Text("sun"),)) for call in calls)),
    )
    answer = await whole(url, "sim-tools-2", Conversation(turns=turns, tools=(WEATHER,)))
    assert answer.finish is FinishReason.STOP


async def test_demands_and_limits_reach_the_provider(url: str) -> None:
    forced = Conversation(
        turns=HELLO,
        tools=(WEATHER, Tool("now")),
        tool_choice=ToolChoice("named", "now"),
        parallel_tool_calls=False,
    )
    [call] = (await whole(url, "claude-opus-5", forced)).parts
    assert isinstance(call, ToolCall)
    assert (call.name, call.arguments) == ("now", "{}")
    short = await whole(url, "claude-opus-5", Conversation(turns=HELLO, max_output_tokens=3))
    assert short.finish is FinishReason.LENGTH
    stop = await whole(url, "claude-opus-5", Conversation(turns=HELLO, stop=("simulated",)))
    assert (stop.finish, stop.stop_sequence) == (FinishReason.STOP, "simulated")
    schema = {"type": "object", "properties": {"n": {"const": 5}}, "required": ["n"]}
    told = await whole(url, "claude-opus-5", Conversation(turns=HELLO, output=OutputFormat(schema)))
    assert told.parts == (Text('{"n":5}'),)


@pytest.mark.parametrize("name", ["claude-sonnet-4-5", "claude-opus-5"])
async def test_reasoning_is_had_in_both_forms(url: str, name: str) -> None:
    answer = await whole(url, name, Conversation(turns=HELLO, reasoning_effort="low"))
    assert isinstance(answer.parts[0], Reasoning)
    assert answer.parts[0].signature


async def test_a_refusal_is_an_answer(url: str) -> None:
    answer = await whole(url, "sim-refusal", Conversation(turns=HELLO))
    assert answer.finish is FinishReason.REFUSAL


async def test_a_malformed_event_is_skipped(url: str) -> None:
    events = await streamed(url, "sim-malformed-after-3", Conversation(turns=HELLO, stream=True))
    assert events[-1] == Finished(FinishReason.STOP)
    assert sum(isinstance(one, TextDelta) for one in events) > 3


async def test_ends_without_message_stop_where_it_said_why(url: str) -> None:
    events = await streamed(url, "sim-no-done", Conversation(turns=HELLO, stream=True))
    assert events[-1] == Finished(FinishReason.STOP)


@pytest.mark.parametrize("name", ["sim-end-after-3", "sim-no-finish"])
async def test_an_end_without_a_reason_is_a_cut(url: str, name: str) -> None:
    with pytest.raises(StreamCut):
        await streamed(url, name, Conversation(turns=HELLO, stream=True))


async def test_an_error_within_a_stream_fails(url: str) -> None:
    with pytest.raises(StreamFailed) as failed:
        await streamed(url, "sim-error-after-3", Conversation(turns=HELLO, stream=True))
    assert failed.value.status == 529


@pytest.mark.parametrize("name", ["sim-web-page", "sim-not-json", "sim-other-json", "sim-empty"])
async def test_what_is_no_answer_is_unreadable(url: str, name: str) -> None:
    with pytest.raises(UnreadableAnswer):
        await whole(url, name, Conversation(turns=HELLO))
