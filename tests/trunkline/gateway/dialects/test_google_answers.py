"""What Gemini answers, whole and in streams, by hand and from the simulated provider."""

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
    without_usage,
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
)
from trunkline.gateway.conversation import (
    Conversation,
    Reasoning,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from trunkline.gateway.dialects.google import GoogleDialect
from trunkline.gateway.framing import LARGEST_EVENT
from trunkline.gateway.protocols import StreamCut, StreamFailed, UnreadableAnswer

WEATHER = {"functionCall": {"name": "get_weather", "args": {"city": "Rome"}, "id": "c1"}}
HELLO = Conversation(turns=[Turn(Role.USER, (Text("hello"),))])


def candidate(*parts: object, finish: str | None = None) -> dict[str, object]:
    content = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    return content | ({} if finish is None else {"finishReason": finish})


def response(*parts: object, finish: str | None = None, **more: object) -> dict[str, object]:
    return {"candidates": [candidate(*parts, finish=finish)], **more}


def read(answer: object) -> ChatAnswer:
    return GoogleDialect().read(orjson.dumps(answer))


def sse(*responses: object) -> bytes:
    return b"".join(b"data: " + orjson.dumps(one) + b"\r\n\r\n" for one in responses)


def streamed(*responses: object) -> list[AnswerEvent]:
    return read_all(GoogleDialect().stream_reader(), sse(*responses))


def test_whole_answer_with_thoughts_text_and_signature() -> None:
    answer = read(
        response(
            {"text": "Let me ", "thought": True},
            {"text": "think.", "thought": True},
            {"text": "Hel"},
            {"text": "lo", "thoughtSignature": "c2ln"},
            finish="STOP",
        )
    )
    assert answer == ChatAnswer(
        parts=(Reasoning("Let me think."), Text("Hello"), Reasoning("", "gemini.c2ln")),
        finish=FinishReason.STOP,
    )


def test_signature_of_an_answer_is_taken_back_as_it_was() -> None:
    parts = read(response({"text": "Hi", "thoughtSignature": "c2ln"}, finish="STOP")).parts
    turns = [Turn(Role.USER, (Text("hello"),)), Turn(Role.ASSISTANT, parts)]
    call = GoogleDialect().ask(Conversation(turns=turns), "gemini-3-pro-preview")
    sent = orjson.loads(call.body)["contents"][1]["parts"]
    assert sent == [{"text": "Hi"}, {"text": "", "thoughtSignature": "c2ln"}]


def test_calls_have_ids_and_json_arguments_and_end_the_answer() -> None:
    answer = read(
        response(
            WEATHER | {"thoughtSignature": "c2ln"},
            {"functionCall": {"name": "now"}},
            finish="STOP",
        )
    )
    first, second = answer.parts
    assert first == ToolCall("c1", "get_weather", '{"city":"Rome"}', "c2ln")
    assert isinstance(second, ToolCall)
    assert (second.name, second.arguments) == ("now", "{}")
    assert second.id.startswith("call_")
    assert len(second.id) == len("call_") + 24
    assert answer.finish is FinishReason.TOOL_CALLS


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("SAFETY", FinishReason.CONTENT_FILTER),
        ("RECITATION", FinishReason.CONTENT_FILTER),
        ("BLOCKLIST", FinishReason.CONTENT_FILTER),
        ("PROHIBITED_CONTENT", FinishReason.CONTENT_FILTER),
        ("SPII", FinishReason.CONTENT_FILTER),
        ("IMAGE_SAFETY", FinishReason.CONTENT_FILTER),
        ("LANGUAGE", FinishReason.CONTENT_FILTER),
    ],
)
def test_finish_reasons(reason: str, finish: FinishReason) -> None:
    assert read(response({"text": "x"}, finish=reason)).finish is finish
    assert finish_of(streamed(response({"text": "x"}), response(finish=reason))).reason is finish


@pytest.mark.parametrize(
    "reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OTHER", "SOMETHING_NEW"]
)
def test_answer_that_went_wrong_is_a_failure_that_may_be_tried_again(reason: str) -> None:
    for failing in (
        lambda: read(response({"text": "x"}, finish=reason)),
        lambda: streamed(response({"text": "x"}, finish=reason)),
    ):
        with pytest.raises(StreamFailed) as failed:
            failing()
        assert failed.value.status == 502
        assert orjson.loads(failed.value.body)["error"]["status"] == reason
        assert class_of(ProviderKind.GOOGLE, failed.value) is FailureClass.TRANSIENT


@pytest.mark.parametrize(
    "call",
    [{"args": {}}, {"name": "now", "args": [1]}, {"name": "now", "args": "x"}, {"name": 3}, {}],
)
def test_call_that_cannot_be_read_is_a_failure(call: object) -> None:
    with pytest.raises(StreamFailed):
        read(response({"functionCall": call}, finish="STOP"))
    with pytest.raises(StreamFailed):
        streamed(response({"functionCall": call}, finish="STOP"))


def test_arguments_deeper_than_can_be_written_are_a_failure() -> None:
    deep = b'{"a":' * 300 + b"1" + b"}" * 300
    call = b'{"functionCall":{"name":"now","args":' + deep + b"}}"
    body = b'{"candidates":[{"content":{"parts":[' + call + b']},"finishReason":"STOP"}]}'
    with pytest.raises(StreamFailed):
        GoogleDialect().read(body)


def test_blocked_prompt_is_an_answer_without_words() -> None:
    blocked = {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": {"promptTokenCount": 8, "totalTokenCount": 8},
    }
    assert read(blocked) == ChatAnswer(
        parts=(), finish=FinishReason.CONTENT_FILTER, usage=Usage(input=8)
    )
    events = streamed(blocked)
    assert without_usage(events) == [Finished(FinishReason.CONTENT_FILTER)]
    assert last_usage(events) == Usage(input=8)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        (
            {
                "promptTokenCount": 100, "cachedContentTokenCount": 40, "candidatesTokenCount": 20,
                "thoughtsTokenCount": 30, "toolUsePromptTokenCount": 5, "totalTokenCount": 155,
            },
            Usage(input=105, cache_read=40, output=50, reasoning=30),
        ),
        ({"promptTokenCount": 7, "totalTokenCount": 7}, Usage(input=7)),
        ({"promptTokenCount": 7, "cachedContentTokenCount": 9}, Usage(input=7, cache_read=7)),
        ({}, None),
        ({"promptTokenCount": -1, "candidatesTokenCount": 5}, None),
        ({"promptTokenCount": 10**9 + 1, "candidatesTokenCount": 5}, None),
        ({"promptTokenCount": "7", "candidatesTokenCount": 5}, None),
        ({"promptTokenCount": True, "candidatesTokenCount": 5}, None),
        ({"promptTokenCount": None, "candidatesTokenCount": 5}, None),
        ([], None),
    ],
)  # fmt: skip
def test_usage_holds_the_cache_and_the_thoughts(told: object, usage: Usage | None) -> None:
    answer = response({"text": "x"}, finish="STOP", usageMetadata=told)
    assert read(answer).usage == usage
    assert last_usage(streamed(answer)) == usage


def test_last_usage_of_a_stream_counts() -> None:
    events = streamed(
        response({"text": "a"}, usageMetadata={"promptTokenCount": 5, "candidatesTokenCount": 1}),
        response(finish="STOP", usageMetadata={"promptTokenCount": 5, "candidatesTokenCount": 9}),
    )
    assert last_usage(events) == Usage(input=5, output=9)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"<html>", b'"x"', b"{}", b'{"candidates":[]}', b'{"candidates":[{}]}',
        b'{"candidates":[{"finishReason":"FINISH_REASON_UNSPECIFIED"}]}',
        b'{"candidates":[{"content":{"parts":[{"text":"cut"}]}}]}', b'{"promptFeedback":{}}',
    ],
)  # fmt: skip
def test_body_that_is_no_whole_answer_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableAnswer):
        GoogleDialect().read(body)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}, 503),
        ({"code": 429, "status": "RESOURCE_EXHAUSTED"}, 429),
        ({"code": 200}, 500),
        ({"code": "429"}, 500),
        ("broken", 500),
        ({}, 500),
    ],
)
def test_error_within_a_200_has_its_status_and_its_words(error: object, status: int) -> None:
    body = {"error": error}
    with pytest.raises(StreamFailed) as failed:
        streamed(response({"text": "x"}), body)
    assert failed.value.status == status
    assert orjson.loads(failed.value.body) == body
    with pytest.raises(StreamFailed) as failed:
        read(body)
    assert failed.value.status == status


def test_error_that_is_null_is_none() -> None:
    assert read(response({"text": "x"}, finish="STOP", error=None)).parts == (Text("x"),)


def test_stream_brings_thoughts_words_and_calls_in_their_order() -> None:
    events = streamed(
        response({"text": "hm", "thought": True}),
        response({"text": "Hel"}),
        response({"text": "lo"}),
        response(WEATHER, WEATHER | {"thoughtSignature": "c2ln"}),
        response({"text": ""}, finish="STOP"),
    )
    assert events == [
        ReasoningDelta("hm"),
        TextDelta("Hel"),
        TextDelta("lo"),
        ToolCallBegun(0, "c1", "get_weather"),
        ToolArgumentsDelta(0, '{"city":"Rome"}'),
        ToolCallBegun(1, "c1", "get_weather", "c2ln"),
        ToolArgumentsDelta(1, '{"city":"Rome"}'),
        Finished(FinishReason.TOOL_CALLS),
    ]


def test_malformed_events_and_comments_are_passed_over() -> None:
    stream = (
        sse(response({"text": "a"}))
        + b": ping\r\n\r\n"
        + b'data: {"candidates": [{"content": {"parts": [{"text": "br\r\n\r\n'
        + b"data: 7\n\ndata:\n\nevent: x\n\n"
        + sse({"candidates": [{"content": {"parts": 7}}]}, {"candidates": [7]})
        + sse(response({"text": 7}, 7, {"inlineData": {}}))
        + sse(response({"text": "b"}, finish="STOP"))
    )
    assert text_of(read_all(GoogleDialect().stream_reader(), stream)) == "ab"


@pytest.mark.parametrize(
    "stream",
    [b"", sse(response({"text": "a"})), sse(response({"text": "a"}, finish="STOP"))[:-9]],
)
def test_stream_without_a_finish_reason_is_cut(stream: bytes) -> None:
    with pytest.raises(StreamCut):
        read_all(GoogleDialect().stream_reader(), stream)


def test_last_event_may_lack_its_blank_line() -> None:
    stream = sse(response({"text": "a"}, finish="STOP")).rstrip()
    assert text_of(read_all(GoogleDialect().stream_reader(), stream)) == "a"


def test_endless_event_is_a_cut() -> None:
    with pytest.raises(StreamCut, match="8 MiB"):
        GoogleDialect().stream_reader().feed(b"data: " + b"x" * LARGEST_EVENT)


STREAM = sse(
    response({"text": "häm", "thought": True}),
    response({"text": "日本語\n\n"}, usageMetadata={"promptTokenCount": 3}),
    response({"text": "\r\n\r\ndata: x"}),
    response(WEATHER | {"thoughtSignature": "c2ln"}),
    response(finish="STOP", usageMetadata={"promptTokenCount": 3, "candidatesTokenCount": 4}),
)


@UNTIMED
@given(CUTS)
def test_cuts_change_nothing(cuts: list[int]) -> None:
    whole = read_all(GoogleDialect().stream_reader(), STREAM)
    cut = read_cut(GoogleDialect().stream_reader(), STREAM, cuts)
    assert without_usage(cut) == without_usage(whole)
    assert last_usage(cut) == last_usage(whole) == Usage(input=3, output=4)


NAMES = st.sampled_from(
    ["candidates", "content", "parts", "text", "functionCall", "name", "args", "finishReason",
     "usageMetadata", "promptTokenCount", "thoughtsTokenCount", "promptFeedback", "blockReason",
     "error", "code", "thought", "thoughtSignature", "id"]
)  # fmt: skip
LIKE_RESPONSES = st.recursive(
    ANY_JSON | st.sampled_from(["STOP", "SAFETY"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=20,
)


@UNTIMED
@given(LIKE_RESPONSES | st.builds(response, LIKE_RESPONSES, finish=LIKE_RESPONSES))
def test_any_json_is_an_answer_or_none(value: Any) -> None:
    body = orjson.dumps(value)
    with contextlib.suppress(UnreadableAnswer, StreamFailed):
        assert GoogleDialect().read(body).finish in FinishReason
    reader = GoogleDialect().stream_reader()
    with contextlib.suppress(StreamCut, StreamFailed):
        assert isinstance(read_all(reader, b"data: " + body + b"\n\n")[-1], Finished)


@UNTIMED
@given(st.binary(max_size=300), CUTS)
def test_any_bytes_are_an_answer_or_none(stream: bytes, cuts: list[int]) -> None:
    with pytest.raises((UnreadableAnswer, StreamFailed)):
        GoogleDialect().read(stream)
    with pytest.raises((StreamCut, StreamFailed)):
        read_cut(GoogleDialect().stream_reader(), STREAM[:90] + stream, cuts)


@pytest.fixture
async def provider() -> AsyncIterator[SimulatedProvider]:
    async with simulated_provider(GoogleDialect()) as provider:
        yield provider


async def test_provider_says_the_same_whole_and_streamed(provider: SimulatedProvider) -> None:
    whole, events = await provider.both(HELLO, "sim-thinking-5-tokens-30-cached-50")
    assert [type(part) for part in whole.parts] == [Reasoning, Text]
    assert [thoughts_of(events), text_of(events)] == [
        part.text for part in whole.parts if isinstance(part, (Reasoning, Text))
    ]
    assert finish_of(events).reason is whole.finish is FinishReason.STOP
    assert whole.usage is not None
    assert whole.usage == last_usage(events)
    assert whole.usage.reasoning == 5
    assert 0 < whole.usage.cache_read < whole.usage.input


async def test_provider_calls_a_tool_and_takes_its_result(provider: SimulatedProvider) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    chat = replace(
        HELLO,
        tools=(Tool("get_weather", "The weather", schema), Tool("get_time")),
        tool_choice=ToolChoice("required"),
    )
    whole, events = await provider.both(chat, "sim-tools-2")
    assert whole.finish is finish_of(events).reason is FinishReason.TOOL_CALLS
    calls = [part for part in whole.parts if isinstance(part, ToolCall)]
    assert [call.name for call in calls] == ["get_weather", "get_time"]
    assert calls[0].arguments == arguments_of(events, 0)
    assert "city" in orjson.loads(calls[0].arguments)
    results = tuple(ToolResult(call.id, (Text("sunny"),)) for call in calls)
    turns = [*chat.turns, Turn(Role.ASSISTANT, whole.parts), Turn(Role.USER, results)]
    after = await provider.whole(replace(chat, turns=turns, tool_choice=None), "sim-tools")
    assert after.finish is FinishReason.STOP


@pytest.mark.parametrize(
    ("name", "finish"),
    [
        ("sim-length", FinishReason.LENGTH),
        ("sim-refusal", FinishReason.CONTENT_FILTER),
        ("sim-filtered", FinishReason.CONTENT_FILTER),
        ("sim-content-filter", FinishReason.CONTENT_FILTER),
    ],
)
async def test_provider_ends_for_a_reason(
    provider: SimulatedProvider, name: str, finish: FinishReason
) -> None:
    whole, events = await provider.both(HELLO, name)
    assert whole.finish is finish_of(events).reason is finish


async def test_provider_passes_over_a_malformed_event(provider: SimulatedProvider) -> None:
    events = await provider.stream(HELLO, "sim-malformed-after-3-tokens-10")
    assert finish_of(events).reason is FinishReason.STOP
    assert last_usage(events) is not None


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
