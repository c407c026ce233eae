"""Streams as Anthropic's callers get them."""

from collections.abc import Sequence

import anthropic
import httpx2
import orjson
import pytest
from anthropic.types import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.gateway.answers import (
    AnswerEvent,
    AnswerHead,
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
from trunkline.gateway.dialects.anthropic import AnthropicDialect
from trunkline.gateway.faces.anthropic import AnthropicFace
from trunkline.gateway.protocols import CallerError

HEAD = AnswerHead(id="msg_01J", model="gpt-5", created=1_790_000_000)
EVERYTHING: list[AnswerEvent] = [
    ReasoningDelta("h"),
    ReasoningDelta("m", signature="sig"),
    ReasoningDelta("more"),
    ReasoningDelta(redacted="xyz"),
    TextDelta("hel"),
    TextDelta("lo"),
    ToolCallBegun(0, "call_1", "weather"),
    ToolArgumentsDelta(0, '{"city":'),
    ToolArgumentsDelta(0, '"Rome"}'),
    ToolCallBegun(1, "call_2", "now"),
    ToolArgumentsDelta(1, "{}"),
    Finished(FinishReason.TOOL_CALLS),
    UsageSeen(Usage(input=100, cache_read=60, cache_write=30, output=50, reasoning=20)),
]


def written(*batches: Sequence[AnswerEvent]) -> bytes:
    writer = AnthropicFace().stream_writer(HEAD, {})
    return b"".join([*map(writer.write, batches), writer.end()])


def events_of(stream: bytes) -> list[dict[str, object]]:
    """The events, each named as its type."""
    events = []
    for event in stream.decode().removesuffix("\n\n").split("\n\n"):
        name, data = event.split("\n")
        parsed = orjson.loads(data.removeprefix("data: "))
        assert name == f"event: {parsed['type']}"
        events.append(parsed)
    return events


def received(stream: bytes) -> Message:
    """What the official client makes of it."""
    headers = {"content-type": "text/event-stream"}
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(200, content=stream, headers=headers)
    )
    with (
        anthropic.Anthropic(
            api_key="k",
            base_url="http://trunkline.test",
            max_retries=0,
            http_client=httpx2.Client(transport=transport),
        ) as client,
        client.messages.stream(
            model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}]
        ) as events,
    ):
        return events.get_final_message()


def test_writes_a_stream_that_the_official_client_takes() -> None:
    message = received(written(EVERYTHING))
    assert message.to_dict()["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "thinking", "thinking": "more", "signature": ""},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "text", "text": "hello"},
        {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Rome"}},
        {"type": "tool_use", "id": "call_2", "name": "now", "input": {}},
    ]
    assert (message.id, message.model) == ("msg_01J", "gpt-5")
    assert message.stop_reason == "tool_use"
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens) == (10, 60)
    assert (usage.cache_creation_input_tokens, usage.output_tokens) == (30, 50)
    assert usage.output_tokens_details is not None
    assert usage.output_tokens_details.thinking_tokens == 20


def test_blocks_follow_each_other() -> None:
    assert [(event["type"], event.get("index")) for event in events_of(written(EVERYTHING))] == [
        ("message_start", None),
        ("content_block_start", 0),
        ("content_block_delta", 0),
        ("content_block_delta", 0),
        ("content_block_delta", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
        ("content_block_start", 2),
        ("content_block_stop", 2),
        ("content_block_start", 3),
        ("content_block_delta", 3),
        ("content_block_delta", 3),
        ("content_block_stop", 3),
        ("content_block_start", 4),
        ("content_block_delta", 4),
        ("content_block_delta", 4),
        ("content_block_stop", 4),
        ("content_block_start", 5),
        ("content_block_delta", 5),
        ("content_block_stop", 5),
        ("message_delta", None),
        ("message_stop", None),
    ]


def test_writes_the_same_in_any_batches() -> None:
    assert written(*([event] for event in EVERYTHING)) == written(EVERYTHING)


def test_says_nothing_before_there_is_something_to_say() -> None:
    writer = AnthropicFace().stream_writer(HEAD, {})
    assert writer.write([]) == b""
    assert writer.write([UsageSeen(Usage(input=7)), TextDelta("")]) == b""
    [start, *_] = events_of(writer.write([TextDelta("hi")]))
    assert start["message"] == {
        "id": "msg_01J",
        "type": "message",
        "role": "assistant",
        "model": "gpt-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 7,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 0,
        },
    }


def test_an_answer_without_a_word_is_a_message() -> None:
    message = received(written([Finished(FinishReason.STOP, "END")]))
    assert message.content == []
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "END")


def test_a_refusal_is_words_and_a_reason() -> None:
    message = received(
        written([RefusalDelta("N"), RefusalDelta("o."), Finished(FinishReason.REFUSAL)])
    )
    assert message.to_dict()["content"] == [{"type": "text", "text": "No."}]
    assert message.stop_reason == "refusal"


@pytest.mark.parametrize(
    "events",
    [
        # One after the other.
        [(0, None), (0, '{"a"'), (0, ":1}"), (1, None), (1, '{"b":2}')],
        # Both begin first, and their arguments take turns.
        [(0, None), (1, None), (0, '{"a"'), (1, '{"b"'), (0, ":1}"), (1, ":2}")],
        [(0, None), (0, '{"a"'), (1, None), (1, '{"b":2}'), (0, ":1}")],
    ],
)
def test_calls_at_once_keep_their_own_arguments(events: list[tuple[int, str | None]]) -> None:
    written_events = written(
        [
            ToolCallBegun(index, f"call_{index}", "add")
            if text is None
            else ToolArgumentsDelta(index, text)
            for index, text in events
        ]
    )
    blocks = received(written_events).to_dict()["content"]
    assert isinstance(blocks, list)
    assert [(block["id"], block["input"]) for block in blocks] == [
        ("call_0", {"a": 1}),
        ("call_1", {"b": 2}),
    ]
    opened: list[object] = []
    for event in events_of(written_events):
        if event["type"] == "content_block_start":
            assert not opened
            opened.append(event["index"])
        elif event["type"] == "content_block_stop":
            assert opened == [event["index"]]
            opened.clear()


@pytest.mark.parametrize("words", [TextDelta("so"), RefusalDelta("so"), ReasoningDelta("so")])
def test_words_within_a_call_take_none_of_its_arguments(words: AnswerEvent) -> None:
    message = received(
        written(
            [
                ToolCallBegun(0, "call_0", "add"),
                ToolArgumentsDelta(0, '{"a":'),
                words,
                ToolCallBegun(1, "call_1", "add"),
                ToolArgumentsDelta(1, '{"b":'),
                words,
                ToolArgumentsDelta(0, "1}"),
                words,
                ToolArgumentsDelta(1, "2}"),
                Finished(FinishReason.TOOL_CALLS),
            ]
        )
    )
    blocks = message.to_dict()["content"]
    assert isinstance(blocks, list)
    said = [block.get("input") or block.get("text") or block["thinking"] for block in blocks]
    assert said == [{"a": 1}, "so", {"b": 2}, "soso"]


def test_words_after_calls_that_are_whole_wait_for_nothing() -> None:
    writer = AnthropicFace().stream_writer(HEAD, {})
    for index in (0, 1):
        writer.write([ToolCallBegun(index, f"call_{index}", "f")])
    for index in (0, 1):
        writer.write([ToolArgumentsDelta(index, '{"a":')])
    for index in (1, 0):
        writer.write([ToolArgumentsDelta(index, "1}")])
    *_, last = events_of(writer.write([TextDelta("hi")]))
    assert last["delta"] == {"type": "text_delta", "text": "hi"}


def test_halves_of_characters_do_not_break_a_stream() -> None:
    message = received(written([TextDelta("a\ud800b")]))
    assert message.to_dict()["content"] == [{"type": "text", "text": "a?b"}]


def test_an_error_ends_a_stream_where_callers_look_for_it() -> None:
    face = AnthropicFace()
    begun = face.stream_writer(HEAD, {}).write([TextDelta("hi")])
    error = face.stream_error(CallerError(status=502, message="The stream broke off."))
    with pytest.raises(anthropic.APIStatusError, match="The stream broke off"):
        received(begun + error)


def test_a_sign_of_life_says_nothing() -> None:
    keep_alive = AnthropicFace().keep_alive
    stream = keep_alive + written([TextDelta("hi")]).replace(b"event: ", keep_alive + b"event: ", 2)
    assert received(stream).to_dict()["content"] == [{"type": "text", "text": "hi"}]


texts = st.text(max_size=5)
answer_events = st.one_of(
    st.builds(TextDelta, texts),
    st.builds(RefusalDelta, texts),
    st.builds(ReasoningDelta, texts, st.none() | texts),
    st.builds(ReasoningDelta, redacted=texts),
    st.builds(ToolCallBegun, st.integers(0, 3), texts, texts),
    st.builds(ToolArgumentsDelta, st.integers(0, 3), texts),
    st.builds(Finished, st.sampled_from(FinishReason), st.none() | texts),
    st.builds(UsageSeen, st.builds(Usage, input=st.integers(0, 9), cache_read=st.integers(0, 9))),
)


@settings(deadline=None)
@given(st.lists(answer_events))
def test_any_answer_is_a_whole_stream_that_says_the_same(events: list[AnswerEvent]) -> None:
    reader = AnthropicDialect().stream_reader()
    read = [*reader.feed(written(events)), *reader.end()]

    def said(kind: type[TextDelta | RefusalDelta], given: Sequence[AnswerEvent]) -> str:
        return "".join(event.text for event in given if isinstance(event, kind))

    words = "".join(one.text for one in events if isinstance(one, TextDelta | RefusalDelta))
    assert said(TextDelta, read) == words
    thoughts = "".join(one.text for one in events if isinstance(one, ReasoningDelta))
    assert "".join(one.text for one in read if isinstance(one, ReasoningDelta)) == thoughts
    calls = sum(isinstance(one, ToolCallBegun) for one in read)
    begun = [one.index for one in events if isinstance(one, ToolCallBegun)]
    assert len(set(begun)) <= calls <= len(begun)
