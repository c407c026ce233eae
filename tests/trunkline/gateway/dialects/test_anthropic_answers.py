"""Whole answers in Anthropic's protocol."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.gateway.answers import ChatAnswer, FinishReason, Usage
from trunkline.gateway.conversation import Reasoning, Refusal, Text, ToolCall
from trunkline.gateway.dialects.anthropic import AnthropicDialect
from trunkline.gateway.protocols import StreamFailed, UnreadableAnswer


def read(**message: object) -> ChatAnswer:
    return AnthropicDialect().read(
        orjson.dumps({"type": "message", "content": [], "stop_reason": "end_turn", **message})
    )


def test_reads_every_kind_of_block() -> None:
    answer = read(
        content=[
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "redacted_thinking", "data": "xyz"},
            {"type": "text", "text": "I look.", "citations": None},
            {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {}},
            {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Rome"}},
        ],
        stop_reason="tool_use",
        usage={
            "input_tokens": 10,
            "cache_read_input_tokens": 200,
            "cache_creation_input_tokens": 30,
            "output_tokens": 50,
            "output_tokens_details": {"thinking_tokens": 20},
        },
    )
    assert answer == ChatAnswer(
        parts=(
            Reasoning("hm", "sig"),
            Reasoning(redacted="xyz"),
            Text("I look."),
            ToolCall("t1", "weather", '{"city":"Rome"}'),
        ),
        finish=FinishReason.TOOL_CALLS,
        usage=Usage(input=240, cache_read=200, cache_write=30, output=50, reasoning=20),
    )


@pytest.mark.parametrize(
    ("stop_reason", "finish"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("refusal", FinishReason.REFUSAL),
        ("pause_turn", FinishReason.STOP),
        ("of_tomorrow", FinishReason.STOP),
    ],
)
def test_reads_why_it_ended(stop_reason: str, finish: FinishReason) -> None:
    assert read(stop_reason=stop_reason).finish is finish


def test_reads_which_stop_sequence_was_met() -> None:
    answer = read(stop_reason="stop_sequence", stop_sequence="END")
    assert (answer.finish, answer.stop_sequence) == (FinishReason.STOP, "END")


def test_a_refusal_is_an_answer_with_its_explanation() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "Not that."}
    answer = read(stop_reason="refusal", stop_details=details)
    assert answer.parts == (Refusal("Not that."),)
    assert read(stop_reason="refusal").parts == ()


@pytest.mark.parametrize(
    ("usage", "read_as"),
    [
        (None, None),
        ({}, None),
        ([], None),
        ({"input_tokens": -1, "output_tokens": True}, None),
        ({"input_tokens": 5, "output_tokens": 10**9 + 1}, Usage(input=5)),
        ({"input_tokens": 2.0, "output_tokens": 7}, Usage(output=7)),
        (
            {"output_tokens": 7, "output_tokens_details": {"thinking_tokens": 9}},
            Usage(output=7, reasoning=7),
        ),
    ],
)
def test_absurd_counts_are_not_said(usage: object, read_as: Usage | None) -> None:
    assert read(usage=usage).usage == read_as


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"type":"message","content":"hi","stop_reason":"end_turn"}',
        b'{"type":"message","content":[],"stop_reason":null}',
        b'{"type":"message","content":[1],"stop_reason":"end_turn"}',
        b'{"type":"message","content":[{"type":"text"}],"stop_reason":"end_turn"}',
        b'{"content":[{"type":"tool_use","id":"a","name":"b","input":"{}"}],"stop_reason":"x"}',
        b'{"content":[{"type":"tool_use","id":"a","name":"b","input":{"a":'
        + b"[" * 500
        + b"]" * 500
        + b'}}],"stop_reason":"x"}',
    ],
)
def test_what_is_no_message_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableAnswer):
        AnthropicDialect().read(body)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("overloaded_error", 529),
        ("rate_limit_error", 429),
        ("api_error", 500),
        ("authentication_error", 401),
        ("invalid_request_error", 400),
        ("request_too_large", 413),
        ("permission_error", 403),
        ("not_found_error", 404),
        ("timeout_error", 504),
        ("billing_error", 402),
        ("error_of_tomorrow", 500),
        (["list"], 500),
    ],
)
def test_an_error_in_a_200_has_failed(kind: object, status: int) -> None:
    body = orjson.dumps({"type": "error", "error": {"type": kind, "message": "no"}})
    with pytest.raises(StreamFailed) as failed:
        AnthropicDialect().read(body)
    assert failed.value.status == status
    assert failed.value.body == body


names = st.sampled_from(
    ["type", "content", "stop_reason", "usage", "text", "error", "input", "id", "name", "data"]
)
words = st.sampled_from(["message", "error", "text", "thinking", "tool_use", "refusal"])
json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(json, st.lists(st.dictionaries(names, json, max_size=4), max_size=3) | json)
def test_any_body_is_read_or_unreadable(body: object, content: object) -> None:
    if isinstance(body, dict):
        body |= {"content": content, "stop_reason": "refusal"}
    try:
        AnthropicDialect().read(orjson.dumps(body))
    except (UnreadableAnswer, StreamFailed):
        return


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_read_or_unreadable(body: bytes) -> None:
    with pytest.raises((UnreadableAnswer, StreamFailed)):
        AnthropicDialect().read(body)
