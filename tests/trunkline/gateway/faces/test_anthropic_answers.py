"""Whole answers and errors as Anthropic's callers get them."""

import re
from collections.abc import Callable

import anthropic
import httpx2
import orjson
import pytest

from trunkline.gateway.answers import AnswerHead, AnswerPart, ChatAnswer, FinishReason, Usage
from trunkline.gateway.conversation import Reasoning, Refusal, Text, ToolCall
from trunkline.gateway.faces.anthropic import AnthropicFace
from trunkline.gateway.protocols import CallerError

JSON = {"content-type": "application/json"}
HEAD = AnswerHead(id="msg_01J", model="gpt-5", created=1_790_000_000)


def client(answer: Callable[[httpx2.Request], httpx2.Response]) -> anthropic.Anthropic:
    """The official client, given these answers by the network."""
    return anthropic.Anthropic(
        api_key="k",
        base_url="http://trunkline.test",
        max_retries=0,
        _strict_response_validation=True,
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
    )


def written(
    *parts: AnswerPart,
    finish: FinishReason = FinishReason.STOP,
    stop_sequence: str | None = None,
    usage: Usage | None = None,
) -> dict[str, object]:
    body = AnthropicFace().write(
        ChatAnswer(parts=parts, finish=finish, stop_sequence=stop_sequence, usage=usage), HEAD
    )
    with client(lambda _: httpx2.Response(200, content=body, headers=JSON)) as reader:
        reader.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}])
    message = orjson.loads(body)
    assert isinstance(message, dict)
    return message


def test_writes_a_message_that_the_official_client_takes() -> None:
    assert written(
        Reasoning("hm", "sig"),
        Reasoning("unproven"),
        Reasoning(redacted="xyz"),
        Text("hello"),
        Text(""),
        ToolCall("call_1", "now", '{"zone": "UTC"}'),
        ToolCall("call_2", "now", ""),
        finish=FinishReason.TOOL_CALLS,
        usage=Usage(input=100, cache_read=60, cache_write=30, output=50, reasoning=20),
    ) == {
        "id": "msg_01J",
        "type": "message",
        "role": "assistant",
        "model": "gpt-5",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "thinking", "thinking": "unproven", "signature": ""},
            {"type": "redacted_thinking", "data": "xyz"},
            {"type": "text", "text": "hello"},
            {"type": "tool_use", "id": "call_1", "name": "now", "input": {"zone": "UTC"}},
            {"type": "tool_use", "id": "call_2", "name": "now", "input": {}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 30,
            "cache_read_input_tokens": 60,
            "output_tokens": 50,
            "output_tokens_details": {"thinking_tokens": 20},
        },
    }


@pytest.mark.parametrize(
    ("finish", "stop_sequence", "stop_reason"),
    [
        (FinishReason.STOP, None, "end_turn"),
        (FinishReason.STOP, "END", "stop_sequence"),
        (FinishReason.LENGTH, None, "max_tokens"),
        (FinishReason.TOOL_CALLS, None, "tool_use"),
        (FinishReason.CONTENT_FILTER, None, "refusal"),
        (FinishReason.REFUSAL, None, "refusal"),
    ],
)
def test_says_why_it_ended(
    finish: FinishReason, stop_sequence: str | None, stop_reason: str
) -> None:
    message = written(Refusal("No."), finish=finish, stop_sequence=stop_sequence)
    assert message["content"] == [{"type": "text", "text": "No."}]
    assert (message["stop_reason"], message["stop_sequence"]) == (stop_reason, stop_sequence)


def test_usage_that_is_not_known_is_nothing() -> None:
    usage = written()["usage"]
    assert isinstance(usage, dict)
    assert set(usage.values()) == {0}
    inclusive = written(usage=Usage(input=5, cache_read=9))["usage"]
    assert isinstance(inclusive, dict)
    assert inclusive["input_tokens"] == 0


def test_ids_of_other_providers_are_such_as_anthropic_takes_back() -> None:
    calls = [ToolCall(call_id, "now", "{}") for call_id in ("functions.now:0", "now:0", "")]
    ids = [block["id"] for block in written(*calls)["content"]]  # type: ignore[attr-defined]
    assert len(set(ids)) == 3
    assert all(re.fullmatch("[a-zA-Z0-9_-]+", call_id) for call_id in ids)


@pytest.mark.parametrize("arguments", ["{broken", "[1]", '{"a":' + "[" * 254 + "]" * 254 + "}"])
def test_arguments_that_are_no_object_are_shown_as_such(arguments: str) -> None:
    [block] = written(ToolCall("c", "now", arguments))["content"]  # type: ignore[misc]
    assert block["input"] == {"INVALID_JSON": arguments}  # type: ignore[has-type]


def test_halves_of_characters_do_not_break_an_answer() -> None:
    assert written(Text("a\ud800b"))["content"] == [{"type": "text", "text": "a?b"}]


@pytest.mark.parametrize(
    ("status", "kind", "raised"),
    [
        (400, "invalid_request_error", anthropic.BadRequestError),
        (401, "authentication_error", anthropic.AuthenticationError),
        (402, "billing_error", anthropic.APIStatusError),
        (403, "permission_error", anthropic.PermissionDeniedError),
        (404, "not_found_error", anthropic.NotFoundError),
        (413, "request_too_large", anthropic.APIStatusError),
        (422, "invalid_request_error", anthropic.UnprocessableEntityError),
        (429, "rate_limit_error", anthropic.RateLimitError),
        (500, "api_error", anthropic.InternalServerError),
        (502, "api_error", anthropic.InternalServerError),
        (503, "overloaded_error", anthropic.InternalServerError),
        (504, "timeout_error", anthropic.InternalServerError),
        (529, "overloaded_error", anthropic.InternalServerError),
    ],
)
def test_errors_raise_what_callers_expect(
    status: int, kind: str, raised: type[anthropic.APIStatusError]
) -> None:
    body = AnthropicFace().error(CallerError(status=status, message="No.", code="a_word"))
    assert orjson.loads(body) == {
        "type": "error",
        "error": {"type": kind, "message": "No.", "details": {"error_code": "a_word"}},
    }
    with (
        client(lambda _: httpx2.Response(status, content=body, headers=JSON)) as reader,
        pytest.raises(raised) as failed,
    ):
        reader.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}])
    assert failed.value.status_code == status


def test_an_error_names_its_place_once() -> None:
    face = AnthropicFace()
    error = orjson.loads(face.error(CallerError(status=400, message="is wrong", param="top_k")))
    assert error["error"]["message"] == "top_k: is wrong"
    error = orjson.loads(face.error(CallerError(status=400, message="top_k is", param="top_k")))
    assert error["error"]["message"] == "top_k is"
