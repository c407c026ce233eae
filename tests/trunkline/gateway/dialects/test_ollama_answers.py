"""What Ollama answers, whole and in streams, by hand and from the simulated provider."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.vocabulary import ProviderKind
from tests.trunkline.gateway.dialects.reading import (
    ANY_JSON,
    CUTS,
    UNTIMED,
    arguments_of,
    class_of,
    finish_of,
    last_usage,
    read_all,
    read_cut,
    text_of,
    thoughts_of,
)
from tests.trunkline.gateway.dialects.simulated import SimulatedProvider, simulated_provider
from trunkline.failover.classes import FailureClass
from trunkline.gateway.answers import (
    AnswerEvent,
    ChatAnswer,
    Finished,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallBegun,
    Usage,
    UsageSeen,
)
from trunkline.gateway.conversation import (
    Conversation,
    Reasoning,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from trunkline.gateway.dialects.ollama import OllamaDialect
from trunkline.gateway.framing import LARGEST_EVENT
from trunkline.gateway.protocols import StreamCut, StreamFailed, UnreadableAnswer

WEATHER = {"id": "c1", "function": {"name": "get_weather", "arguments": {"city": "Rome"}}}
COUNTS = {"prompt_eval_count": 11, "eval_count": 7}
HELLO = Conversation(turns=[Turn(Role.USER, (Text("hello"),))])


def line(content: object = "", **more: object) -> dict[str, object]:
    return {"model": "m", "message": {"role": "assistant", "content": content, **more}}


def done(reason: object = "stop", **more: object) -> dict[str, object]:
    return {**line(), "done": True, "done_reason": reason, **more}


def read(answer: object) -> ChatAnswer:
    return OllamaDialect().read(orjson.dumps(answer))


def lines(*answers: object) -> bytes:
    return b"".join(orjson.dumps(one) + b"\n" for one in answers)


def streamed(*answers: object) -> list[AnswerEvent]:
    return read_all(OllamaDialect().stream_reader(), lines(*answers))


def test_whole_answer() -> None:
    answer = read(line("Hello", thinking="hm") | {"done": True, "done_reason": "stop"} | COUNTS)
    assert answer == ChatAnswer(
        parts=(Reasoning("hm"), Text("Hello")),
        finish=FinishReason.STOP,
        usage=Usage(input=11, output=7),
    )


def test_calls_have_ids_and_json_arguments_and_end_the_answer() -> None:
    without_id = {"function": {"name": "now"}}
    answer = read(line(tool_calls=[WEATHER, without_id]) | {"done": True, "done_reason": "stop"})
    first, second = answer.parts
    assert first == ToolCall("c1", "get_weather", '{"city":"Rome"}')
    assert isinstance(second, ToolCall)
    assert (second.name, second.arguments, len(second.id)) == ("now", "{}", 29)
    assert answer.finish is FinishReason.TOOL_CALLS


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("load", FinishReason.STOP),
        (None, FinishReason.STOP),
        ([], FinishReason.STOP),
    ],
)
def test_finish_reasons(reason: object, finish: FinishReason) -> None:
    assert read(done(reason)).finish is finish
    assert finish_of(streamed(line("x"), done(reason))).reason is finish


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        (COUNTS, Usage(input=11, output=7)),
        ({"prompt_eval_count": 11}, Usage(input=11)),
        ({"eval_count": 7}, None),
        ({"prompt_eval_count": -1, "eval_count": 7}, None),
        ({"prompt_eval_count": 11, "eval_count": 10**10}, None),
        ({"prompt_eval_count": "11", "eval_count": 7}, None),
        ({}, None),
    ],
)
def test_usage(counts: dict[str, object], usage: Usage | None) -> None:
    assert read(done(**counts)).usage == usage
    assert last_usage(streamed(done(**counts))) == usage


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"<html>", b"{}", orjson.dumps(line("cut")), b'{"done": 1}', b'{"done": true}'],
)
def test_body_that_is_no_whole_answer_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableAnswer):
        OllamaDialect().read(body)


def test_error_within_a_200_is_a_failure_with_its_words() -> None:
    error = {"error": "llama runner process has terminated"}
    for failing in (lambda: read(error), lambda: streamed(line("x"), error)):
        with pytest.raises(StreamFailed) as failed:
            failing()
        assert failed.value.status == 500
        assert orjson.loads(failed.value.body) == error
        assert class_of(ProviderKind.OLLAMA, failed.value) is FailureClass.TRANSIENT


@pytest.mark.parametrize(
    "calls",
    [
        [{}], [7], {"function": 7}, "x", [{"function": {"name": 7}}],
        [{"function": {"name": "now", "arguments": "{}"}}],
    ],
)  # fmt: skip
def test_call_that_cannot_be_read_is_a_failure(calls: object) -> None:
    for failing in (
        lambda: read(line(tool_calls=calls) | {"done": True}),
        lambda: streamed(line(tool_calls=calls), done()),
    ):
        with pytest.raises(StreamFailed) as failed:
            failing()
        assert class_of(ProviderKind.OLLAMA, failed.value) is FailureClass.TRANSIENT


def test_stream_brings_thoughts_words_and_calls_in_their_order() -> None:
    events = streamed(
        line(thinking="hm"),
        line("Hel"),
        line("lo"),
        line(tool_calls=[WEATHER]),
        line(tool_calls=[WEATHER | {"id": "c2"}]),
        done(**COUNTS),
    )
    assert events == [
        ReasoningDelta("hm"),
        TextDelta("Hel"),
        TextDelta("lo"),
        ToolCallBegun(0, "c1", "get_weather"),
        ToolArgumentsDelta(0, '{"city":"Rome"}'),
        ToolCallBegun(1, "c2", "get_weather"),
        ToolArgumentsDelta(1, '{"city":"Rome"}'),
        UsageSeen(Usage(input=11, output=7)),
        Finished(FinishReason.TOOL_CALLS),
    ]


def test_malformed_lines_are_passed_over_and_so_is_what_follows_the_end() -> None:
    stream = (
        lines(line("a"))
        + b'{"message": {"content": "br\n7\n\n{"message": 7}\n'
        + lines(line(7), line("b"), done(), line("c"), done())
    )
    events = read_all(OllamaDialect().stream_reader(), stream)
    assert text_of(events) == "ab"
    assert finish_of(events).reason is FinishReason.STOP


@pytest.mark.parametrize("stream", [b"", lines(line("a")), lines(line("a"), done())[:-9]])
def test_stream_that_is_not_done_is_cut(stream: bytes) -> None:
    with pytest.raises(StreamCut):
        read_all(OllamaDialect().stream_reader(), stream)


def test_last_line_may_lack_its_end() -> None:
    stream = lines(line("a"), done()).rstrip()
    assert text_of(read_all(OllamaDialect().stream_reader(), stream)) == "a"


def test_endless_line_is_a_cut() -> None:
    with pytest.raises(StreamCut, match="8 MiB"):
        OllamaDialect().stream_reader().feed(b"x" * (LARGEST_EVENT + 1))


STREAM = lines(line(thinking="häm"), line("日本語\n"), line(tool_calls=[WEATHER]), done(**COUNTS))


@UNTIMED
@given(CUTS)
def test_cuts_change_nothing(cuts: list[int]) -> None:
    whole = read_all(OllamaDialect().stream_reader(), STREAM)
    assert read_cut(OllamaDialect().stream_reader(), STREAM, cuts) == whole


NAMES = st.sampled_from(
    ["message", "content", "thinking", "tool_calls", "function", "name", "arguments", "id", "done",
     "done_reason", "prompt_eval_count", "eval_count", "error"]
)  # fmt: skip
LIKE_ANSWERS = st.recursive(
    ANY_JSON,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=20,
)


@UNTIMED
@given(LIKE_ANSWERS | LIKE_ANSWERS.map(lambda value: {"done": True, "message": value}))
def test_any_json_is_an_answer_or_none(value: Any) -> None:
    body = orjson.dumps(value)
    with contextlib.suppress(UnreadableAnswer, StreamFailed):
        assert OllamaDialect().read(body).finish in FinishReason
    with contextlib.suppress(StreamCut, StreamFailed):
        assert isinstance(read_all(OllamaDialect().stream_reader(), body)[-1], Finished)


@UNTIMED
@given(st.binary(max_size=300), CUTS)
def test_any_bytes_are_an_answer_or_none(stream: bytes, cuts: list[int]) -> None:
    with pytest.raises((UnreadableAnswer, StreamFailed)):
        OllamaDialect().read(stream)
    with pytest.raises((StreamCut, StreamFailed)):
        read_cut(OllamaDialect().stream_reader(), STREAM[:40] + stream, cuts)


@pytest.fixture
async def provider() -> AsyncIterator[SimulatedProvider]:
    async with simulated_provider(OllamaDialect()) as provider:
        yield provider


async def test_provider_says_the_same_whole_and_streamed(provider: SimulatedProvider) -> None:
    whole, events = await provider.both(HELLO, "sim-thinking-5-tokens-30")
    assert [type(part) for part in whole.parts] == [Reasoning, Text]
    assert [thoughts_of(events), text_of(events)] == [
        part.text for part in whole.parts if isinstance(part, (Reasoning, Text))
    ]
    assert finish_of(events).reason is whole.finish is FinishReason.STOP
    assert whole.usage == last_usage(events) is not None


async def test_provider_calls_a_tool_and_takes_its_result(provider: SimulatedProvider) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tools = (Tool("get_weather", "The weather", schema), Tool("get_time"))
    chat = replace(HELLO, tools=tools)
    whole, events = await provider.both(chat, "sim-tools-2")
    assert whole.finish is finish_of(events).reason is FinishReason.TOOL_CALLS
    calls = [part for part in whole.parts if isinstance(part, ToolCall)]
    assert [call.name for call in calls] == ["get_weather", "get_time"]
    assert calls[0].arguments == arguments_of(events, 0)
    results = tuple(ToolResult(call.id, (Text("sunny"),)) for call in calls)
    turns = [*chat.turns, Turn(Role.ASSISTANT, whole.parts), Turn(Role.USER, results)]
    after = await provider.whole(replace(chat, turns=turns), "sim-tools")
    assert after.finish is FinishReason.STOP


async def test_provider_ends_at_its_length(provider: SimulatedProvider) -> None:
    whole, events = await provider.both(replace(HELLO, max_output_tokens=3), "sim-tokens-9")
    assert whole.finish is finish_of(events).reason is FinishReason.LENGTH


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("sim-error-after-3", StreamFailed),
        ("sim-end-after-3", StreamCut),
        ("sim-no-finish", StreamCut),
    ],
)
async def test_provider_breaks_off(
    provider: SimulatedProvider, name: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await provider.stream(HELLO, name)
