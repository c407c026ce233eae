"""Streams in Anthropic's protocol."""

from collections.abc import Iterable
from itertools import pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.gateway.answers import (
    AnswerEvent,
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
from trunkline.gateway.framing import LARGEST_EVENT
from trunkline.gateway.protocols import StreamCut, StreamFailed, UnreadableAnswer


def sent(kind: str, **data: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **data}))


def begun(index: int, **block: object) -> bytes:
    return sent("content_block_start", index=index, content_block=block)


def delta(index: int, kind: str, **more: str) -> bytes:
    return sent("content_block_delta", index=index, delta={"type": kind, **more})


def ended(reason: object, sequence: object = None, **usage: int) -> bytes:
    return sent(
        "message_delta", delta={"stop_reason": reason, "stop_sequence": sequence}, usage=usage
    )


STOP = sent("message_stop")
HELLO = delta(0, "text_delta", text="hello")
EVERYTHING = b"".join(
    [
        sent("message_start", message={"usage": {"input_tokens": 3, "cache_read_input_tokens": 4}}),
        begun(0, type="thinking", thinking="", signature=""),
        sent("ping"),
        delta(0, "thinking_delta", thinking="hm"),
        delta(0, "signature_delta", signature="sig"),
        sent("content_block_stop", index=0),
        begun(1, type="redacted_thinking", data="xyz"),
        sent("content_block_stop", index=1),
        begun(2, type="text", text=""),
        b": a comment\n\n",
        delta(2, "text_delta", text="größer"),
        sent("content_block_stop", index=2),
        begun(3, type="tool_use", id="t1", name="weather", input={}),
        delta(3, "input_json_delta", partial_json=""),
        delta(3, "input_json_delta", partial_json='{"city":'),
        delta(3, "input_json_delta", partial_json='"Rome"}'),
        sent("content_block_stop", index=3),
        begun(4, type="server_tool_use", id="s", name="web_search", input={}),
        delta(4, "input_json_delta", partial_json='{"query":"x"}'),
        sent("content_block_stop", index=4),
        begun(5, type="tool_use", id="t2", name="now", input={}),
        delta(5, "input_json_delta", partial_json=""),
        sent("content_block_stop", index=5),
        ended("tool_use", output_tokens=9, cache_creation_input_tokens=5),
        STOP,
    ]
)
READ: list[AnswerEvent] = [
    UsageSeen(Usage(input=7, cache_read=4)),
    ReasoningDelta("hm"),
    ReasoningDelta(signature="sig"),
    ReasoningDelta(redacted="xyz"),
    TextDelta("größer"),
    ToolCallBegun(0, "t1", "weather"),
    ToolArgumentsDelta(0, '{"city":'),
    ToolArgumentsDelta(0, '"Rome"}'),
    ToolCallBegun(1, "t2", "now"),
    ToolArgumentsDelta(1, "{}"),
    UsageSeen(Usage(input=12, cache_read=4, cache_write=5, output=9)),
    Finished(FinishReason.TOOL_CALLS),
]


def read(chunks: Iterable[bytes]) -> list[AnswerEvent]:
    reader = AnthropicDialect().stream_reader()
    events: list[AnswerEvent] = []
    for chunk in chunks:
        events += reader.feed(chunk)
    return [*events, *reader.end()]


def test_reads_everything_that_a_stream_says() -> None:
    assert read([EVERYTHING]) == READ


@settings(deadline=None)
@given(st.lists(st.integers(0, len(EVERYTHING)), max_size=8), st.booleans())
def test_reads_the_same_wherever_bytes_are_cut(cuts: list[int], carriage_returns: bool) -> None:
    whole = EVERYTHING.replace(b"\n", b"\r\n") if carriage_returns else EVERYTHING
    places = [0, *sorted(cuts), len(whole)]
    chunks = [whole[start:end] for start, end in pairwise(places)]
    assert read(chunks) == READ


def test_reads_byte_by_byte() -> None:
    assert read(EVERYTHING[at : at + 1] for at in range(len(EVERYTHING))) == READ


def test_arguments_that_come_at_once_are_not_repeated() -> None:
    assert read(
        [
            begun(0, type="tool_use", id="t", name="weather", input={"city": "Rome"}),
            delta(0, "input_json_delta", partial_json='{"city":"Rome"}'),
            ended("tool_use"),
        ]
    ) == [
        ToolCallBegun(0, "t", "weather"),
        ToolArgumentsDelta(0, '{"city":"Rome"}'),
        Finished(FinishReason.TOOL_CALLS),
    ]


def test_a_call_whose_block_never_ends_has_arguments_too() -> None:
    assert read([begun(0, type="tool_use", id="t", name="now", input={}), STOP]) == [
        ToolCallBegun(0, "t", "now"),
        ToolArgumentsDelta(0, "{}"),
        Finished(FinishReason.TOOL_CALLS),
    ]


def test_words_within_a_blocks_beginning_are_said() -> None:
    assert read([begun(0, type="text", text="hi"), ended("stop_sequence", "END")]) == [
        TextDelta("hi"),
        Finished(FinishReason.STOP, "END"),
    ]


def test_a_refusal_is_an_answer() -> None:
    end = {"stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": "No."}}
    assert read([HELLO, sent("message_delta", delta=end), STOP]) == [
        TextDelta("hello"),
        RefusalDelta("No."),
        Finished(FinishReason.REFUSAL),
    ]


@pytest.mark.parametrize(
    "malformed",
    [
        b"data: {broken\n\n",
        b"data: []\n\n",
        b"data: null\n\n",
        b"event: nonsense\n\n",
        b"\n\n\n",
        sent("content_block_delta", index=0, delta=[]),
        sent("content_block_delta", index=0, delta={"type": "text_delta", "text": 5}),
        sent("content_block_delta", index=[], delta={"type": "input_json_delta"}),
        sent("content_block_start", index=0, content_block="text"),
        sent("content_block_start", index=[], content_block={"type": "tool_use", "id": "a"}),
        sent("content_block_stop", index={}),
        sent("message_start", message=7),
        sent("message_delta", delta=None, usage="none"),
        sent("event_of_tomorrow"),
    ],
)
def test_a_malformed_event_is_skipped(malformed: bytes) -> None:
    assert read([HELLO, malformed, HELLO, ended("end_turn"), STOP]) == [
        TextDelta("hello"),
        TextDelta("hello"),
        Finished(FinishReason.STOP),
    ]


def test_is_whole_with_a_stop_reason_or_a_message_stop() -> None:
    whole = [TextDelta("hello"), Finished(FinishReason.STOP)]
    assert read([HELLO, ended("end_turn")]) == whole
    assert read([HELLO, STOP]) == whole
    # The last event goes without its blank line.
    assert read([HELLO, STOP.rstrip()]) == whole
    assert read([HELLO, STOP, HELLO, STOP]) == whole


@pytest.mark.parametrize(
    "chunks", [[], [HELLO], [HELLO, ended(None)], [HELLO, STOP[:-9]], [b"<html>"]]
)
def test_is_cut_without(chunks: list[bytes]) -> None:
    with pytest.raises(StreamCut):
        read(chunks)


def test_an_error_fails_with_its_status() -> None:
    error = sent("error", error={"type": "overloaded_error", "message": "Overloaded"})
    with pytest.raises(StreamFailed) as failed:
        read([HELLO, error])
    assert failed.value.status == 529
    assert orjson.loads(failed.value.body)["error"]["message"] == "Overloaded"


def test_an_endless_event_cuts_the_stream() -> None:
    reader = AnthropicDialect().stream_reader()
    with pytest.raises(StreamCut, match="8 MiB"):
        reader.feed(b"data: " + b"x" * LARGEST_EVENT)


names = st.sampled_from(
    ["type", "index", "delta", "content_block", "message", "usage", "error", "text", "input"]
)
words = st.sampled_from(
    [
        *("content_block_start", "content_block_delta", "content_block_stop", "message_start"),
        *("message_delta", "message_stop", "error", "tool_use", "text_delta", "input_json_delta"),
    ]
)
json = st.recursive(
    st.none() | st.integers(-(2**63), 2**63) | st.floats() | st.text() | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
events = st.fixed_dictionaries({"type": words}, optional={"index": json, "delta": json}) | json
chunks = st.lists(st.binary() | events.map(lambda event: b"data: " + orjson.dumps(event) + b"\n\n"))


@settings(deadline=None)
@given(chunks)
def test_any_bytes_are_read_or_fail_as_a_stream_may(chunks: list[bytes]) -> None:
    try:
        read(chunks)
    except (StreamCut, StreamFailed, UnreadableAnswer):
        return
