"""Bodies and streams that pass between a caller and a provider who both speak OpenAI's protocol."""

import contextlib
import json
import re
from collections.abc import AsyncIterator
from itertools import pairwise

import aiohttp
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.simulated.app import running_simulator
from server.simulated.behaviour import Behaviour
from server.simulated.timing import SkippedTiming
from trunkline.gateway.answers import Usage
from trunkline.gateway.framing import LARGEST_EVENT
from trunkline.gateway.passing.openai import OpenAiPassing, OpenAiPassingStream
from trunkline.gateway.protocols import (
    BadRequestBody,
    SeenAnswer,
    StreamCut,
    StreamFailed,
    UnreadableAnswer,
)

PASSING = OpenAiPassing()
HELLO = {"model": "chain/a", "messages": [{"role": "user", "content": "hello"}]}
STREAMED: dict[str, object] = {**HELLO, "stream": True}
COUNTED: dict[str, object] = {**STREAMED, "stream_options": {"include_usage": True}}
DONE = b"data: [DONE]\n\n"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def event(said: object) -> bytes:
    return b"data: " + json.dumps(said).encode() + b"\n\n"


def chunk(delta: object, finish: object = None, index: int = 0, **more: object) -> bytes:
    return event(
        {"choices": [{"index": index, "delta": delta, "finish_reason": finish}], "new": 1, **more}
    )


ROLE = chunk({"role": "assistant", "content": "", "refusal": None}, usage=None)
WORD = chunk({"content": "größer"})
FINISH = chunk({}, "stop")
USAGE = event({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}})


def asked(body: dict[str, object]) -> object:
    call = PASSING.ask(body, "gpt-5")
    assert call.path == "/chat/completions"
    assert call.dropped == ()
    return orjson.loads(call.body)


def passed(stream: OpenAiPassingStream, *chunks: bytes) -> bytes:
    return b"".join([*(stream.feed(chunk) for chunk in chunks), stream.end()])


def test_passes_the_body_but_for_the_models_name() -> None:
    body = {**HELLO, "temperature": 0.1, "some_new_field": {"deep": [1, None, "ü"]}, "n": 3}
    assert asked(body) == body | {"model": "gpt-5"}
    assert body["model"] == "chain/a"


def signed_body(**beside: object) -> dict[str, object]:
    """A body whose history holds two calls, the first signed by Gemini."""
    calls: list[dict[str, object]] = [
        {"id": f"c{at}", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        for at in range(2)
    ]
    mark = {"google": {"thought_signature": "c2ln"}}
    signed = [calls[0] | {"extra_content": mark | beside}, calls[1]]
    message = {"role": "assistant", "content": None, "tool_calls": signed, "new": 1}
    return {**HELLO, "messages": ["odd", {"role": "user", "content": "hi"}, message]}


def test_what_gemini_signed_goes_to_google_alone() -> None:
    body = signed_body()
    before = json.dumps(body)
    call = PASSING.ask(body, "gemini-3-pro", known_provider="google")
    assert orjson.loads(call.body) == body | {"model": "gemini-3-pro"}
    sent = orjson.loads(PASSING.ask(body, "gpt-5").body)
    assert "extra_content" not in json.dumps(sent)
    first, second = sent["messages"][2]["tool_calls"]
    assert (first["id"], second["id"], sent["messages"][2]["new"]) == ("c0", "c1", 1)
    assert sent["messages"][:2] == body["messages"][:2]  # type: ignore[index]
    assert json.dumps(body) == before


def test_what_others_say_in_that_field_passes() -> None:
    sent = orjson.loads(PASSING.ask(signed_body(acme={"a": 1}), "gpt-5").body)
    assert sent["messages"][2]["tool_calls"][0]["extra_content"] == {"acme": {"a": 1}}


FIELDS = st.sampled_from(["tool_calls", "extra_content", "google", "thought_signature"])
SIGNED_JSON = st.recursive(
    st.none() | st.booleans() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=3),
    max_leaves=10,
)


@given(SIGNED_JSON)
def test_any_messages_pass(messages: object) -> None:
    assert orjson.loads(PASSING.ask({"messages": messages}, "m").body).keys() == {
        "model",
        "messages",
    }


def test_asks_for_usage_in_a_stream() -> None:
    assert asked(STREAMED) == STREAMED | {
        "model": "gpt-5",
        "stream_options": {"include_usage": True},
    }
    assert asked(COUNTED) == COUNTED | {"model": "gpt-5"}
    others: dict[str, object] = {"include_obfuscation": False, "include_usage": False}
    assert asked({**STREAMED, "stream_options": others}) == {
        **STREAMED,
        "model": "gpt-5",
        "stream_options": {"include_obfuscation": False, "include_usage": True},
    }
    assert "stream_options" not in STREAMED


def test_asks_mistral_for_no_usage_which_it_tells_unasked() -> None:
    others: dict[str, object] = {"include_obfuscation": False}
    for options, passed_on in [
        ({}, {}),
        ({"include_usage": True}, {}),
        (others | {"include_usage": True}, {"stream_options": others}),
    ]:
        body = {**STREAMED, "stream_options": options}
        sent = orjson.loads(PASSING.ask(body, "large", known_provider="mistral").body)
        assert sent == {**STREAMED, "model": "large", **passed_on}
        assert body["stream_options"] is options


@pytest.mark.parametrize("known_provider", ["cerebras", "groq", "mistral"])
def test_thoughts_go_to_nobody_who_refuses_them(known_provider: str) -> None:
    thought = {"role": "assistant", "content": "hi", "reasoning_content": "hm", "new": 1}
    said: list[object] = ["odd", {"role": "user", "content": "hi"}, thought]
    body: dict[str, object] = {**HELLO, "messages": said}
    assert orjson.loads(PASSING.ask(body, "m").body)["messages"] == said
    sent = orjson.loads(PASSING.ask(body, "m", known_provider=known_provider).body)
    assert sent["messages"] == [*said[:2], {"role": "assistant", "content": "hi", "new": 1}]
    assert thought["reasoning_content"] == "hm"


def test_mistral_gets_ids_of_calls_that_it_takes() -> None:
    def said(first: object, second: object) -> list[object]:
        function = {"name": "f", "arguments": "{}"}
        calls = [{"id": one, "function": function} for one in (first, second)]
        return [
            "odd",
            {"role": "assistant", "tool_calls": [*calls, "odd", {"function": function}]},
            {"role": "assistant", "tool_calls": None},
            *({"role": "tool", "tool_call_id": one, "content": "1"} for one in (second, first)),
        ]

    body: dict[str, object] = {**HELLO, "messages": said("call_0", "aB3456789")}
    sent = orjson.loads(PASSING.ask(body, "m", known_provider="mistral").body)["messages"]
    made = sent[1]["tool_calls"][0]["id"]
    assert re.fullmatch("[A-Za-z0-9]{9}", made)
    assert sent == said(made, "aB3456789")
    assert body["messages"] == said("call_0", "aB3456789")
    odd: dict[str, object] = {**HELLO, "messages": said(7, None)}
    assert orjson.loads(PASSING.ask(odd, "m", known_provider="mistral").body) == odd | {
        "model": "m"
    }


def test_halves_of_characters_pass() -> None:
    """A caller joins them again."""
    halves = b"".join(
        b'data: {"choices":[{"delta":{"content":"\\%b"}}]}\n\n' % half
        for half in (b"ud83d", b"ude00")
    )
    stream = PASSING.stream(STREAMED)
    assert stream.feed(halves) == halves
    assert stream.said == 2


def test_leaves_options_that_are_none_to_the_provider() -> None:
    body: dict[str, object] = {**STREAMED, "stream_options": "yes"}
    assert asked(body) == body | {"model": "gpt-5"}


def test_refuses_a_body_that_is_nested_too_deep() -> None:
    deep: object = 1
    for _ in range(500):
        deep = [deep]
    with pytest.raises(BadRequestBody, match="less deeply"):
        PASSING.ask({**HELLO, "tools": deep}, "m")


def test_looks_at_a_whole_answer() -> None:
    message = {
        "content": "größer",
        "refusal": "no",
        "reasoning_content": "hm",
        "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}, {"custom": {}}],
    }
    answer = {
        "choices": [{"message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4},
    }
    assert PASSING.look(orjson.dumps(answer)) == SeenAnswer(Usage(9, output=4), 6 + 2 + 2 + 3)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"choices": []}'])
def test_refuses_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(UnreadableAnswer):
        PASSING.look(body)


def test_tells_an_error_within_a_200() -> None:
    body = orjson.dumps({"error": {"message": "m", "code": "rate_limit_exceeded"}})
    with pytest.raises(StreamFailed) as failed:
        PASSING.look(body)
    assert (failed.value.status, failed.value.body) == (429, body)


def test_passes_the_bytes_as_they_came() -> None:
    stream = PASSING.stream(COUNTED)
    sent = ROLE + b": ping\r\n\r\n" + WORD.replace(b"\n", b"\r\n") + FINISH + USAGE + DONE
    assert passed(stream, sent) == sent
    assert stream.usage == Usage(9, output=4)
    assert stream.said == 6


def test_leaves_out_the_usage_that_nobody_asked_for() -> None:
    stream = PASSING.stream(STREAMED)
    assert passed(stream, ROLE, WORD, FINISH, USAGE, DONE) == ROLE + WORD + FINISH + DONE
    assert stream.usage == Usage(9, output=4)


def test_passes_usage_that_stands_beside_a_choice_and_choices_that_are_empty() -> None:
    stream = PASSING.stream(STREAMED)
    first = event({"choices": [], "prompt_filter_results": [1]})
    last = chunk({}, "stop", usage={"prompt_tokens": 9, "completion_tokens": 4})
    assert passed(stream, first, WORD, last, DONE) == first + WORD + last + DONE
    assert stream.usage == Usage(9, output=4)


def test_leaves_out_what_is_malformed() -> None:
    broken = b'data: {"choices": [{"delta": {"content": "br\n\n'
    stream = PASSING.stream(STREAMED)
    assert passed(stream, ROLE, broken, b"data: 7\n\n", WORD, FINISH, DONE) == (
        ROLE + WORD + FINISH + DONE
    )


@pytest.mark.parametrize(
    ("delta", "begun", "said"),
    [
        ({"role": "assistant"}, False, 0),
        ({"role": "assistant", "content": "", "refusal": None, "tool_calls": []}, False, 0),
        ({"content": "ab"}, True, 2),
        ({"role": "assistant", "content": "ab"}, True, 2),
        ({"reasoning_content": "ab"}, True, 2),
        ({"reasoning": "ab", "content": None}, True, 2),
        ({"refusal": "no"}, True, 2),
        ({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]}, True, 1),
        ({"tool_calls": [{"index": 0, "function": {"arguments": {"a": 1}}}]}, True, 7),
        ({"function_call": {"name": "f"}}, True, 0),
        ({"audio": {"id": "a"}}, True, 0),
        ({"content": 7, "tool_calls": [7, {"function": 7}]}, False, 0),
        (7, False, 0),
    ],
)
def test_sees_when_the_first_token_comes(delta: object, begun: bool, said: int) -> None:
    stream = PASSING.stream(STREAMED)
    stream.feed(b": ping\n\n")
    assert not stream.begun
    stream.feed(chunk(delta))
    assert (stream.begun, stream.said) == (begun, said)


@pytest.mark.parametrize(
    ("ending", "ends"),
    [
        ([FINISH, DONE], FINISH + DONE),
        ([FINISH], FINISH + DONE),
        ([DONE], DONE),
        ([FINISH, b"data: [DONE]"], FINISH + DONE),
        ([FINISH, b"data: [DONE]\n"], FINISH + DONE),
        ([FINISH, b"data: [DO"], FINISH + DONE),
        ([FINISH[:-2]], FINISH + DONE),
        ([FINISH, DONE, WORD, b": ping\n\n"], FINISH + DONE),
    ],
)
def test_ends_whole(ending: list[bytes], ends: bytes) -> None:
    assert passed(PASSING.stream(STREAMED), WORD, *ending) == WORD + ends


@pytest.mark.parametrize("ending", [[], [FINISH[:-9]], [USAGE], [b"data: [DO"]])
def test_ends_cut(ending: list[bytes]) -> None:
    with pytest.raises(StreamCut):
        passed(PASSING.stream(STREAMED), WORD, *ending)


def test_several_choices_end_when_each_has() -> None:
    body: dict[str, object] = {**STREAMED, "n": 2}
    other = chunk({}, "length", index=1)
    assert passed(PASSING.stream(body), FINISH, other).endswith(other + DONE)
    with pytest.raises(StreamCut):
        passed(PASSING.stream(body), FINISH, FINISH)


def test_no_choices_at_all_are_one() -> None:
    with pytest.raises(StreamCut):
        passed(PASSING.stream({**STREAMED, "n": 0}), WORD)


def test_an_event_too_large_is_cut() -> None:
    with pytest.raises(StreamCut, match="8 MiB"):
        PASSING.stream(STREAMED).feed(b"x" * (LARGEST_EVENT + 1))


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        ({"error": {"message": "m", "type": "server_error"}}, 500),
        ({"choices": [], "error": {"message": "m", "code": 503}}, 503),
        ({"choices": [{"delta": {}, "finish_reason": "error"}]}, 500),
    ],
)
def test_tells_that_it_failed(failure: object, status: int) -> None:
    stream = PASSING.stream(STREAMED)
    stream.feed(ROLE)
    with pytest.raises(StreamFailed) as failed:
        stream.feed(WORD + event(failure))
    assert failed.value.status == status
    # Its word has not passed.
    assert not stream.begun
    assert stream.said == 6


WHOLE = ROLE + b": ping\r\n\r\n" + WORD + b"data: broken\n\n" + FINISH + USAGE + DONE


@given(st.lists(st.integers(0, len(WHOLE)), max_size=60))
def test_passes_the_same_however_it_is_cut(places: list[int]) -> None:
    ends = sorted({0, len(WHOLE), *places})
    stream = PASSING.stream(STREAMED)
    assert passed(stream, *(WHOLE[start:end] for start, end in pairwise(ends))) == (
        ROLE + b": ping\r\n\r\n" + WORD + FINISH + DONE
    )


@given(JSON, JSON)
def test_any_json_passes_or_is_refused(value: object, other: object) -> None:
    with contextlib.suppress(BadRequestBody):
        PASSING.ask({"stream": True, "stream_options": value, "n": other}, "m")
    for said in (
        value,
        {"choices": value, "usage": other},
        {"choices": [{"delta": value, "finish_reason": other, "index": value}]},
        {"choices": [{"delta": {"content": value, "tool_calls": [{"function": other}]}}]},
        {"error": value, "object": other},
    ):
        stream = PASSING.stream({"n": value, "stream_options": other})
        with contextlib.suppress(StreamFailed, StreamCut):
            passed(stream, event(said), FINISH)
        with contextlib.suppress(StreamFailed, UnreadableAnswer):
            PASSING.look(json.dumps(said).encode())


@pytest.fixture
async def simulator() -> AsyncIterator[str]:
    behaviour = Behaviour(api_key=None, timing=SkippedTiming())
    async with running_simulator(behaviour) as url:
        yield url


async def through(
    url: str, model: str, body: dict[str, object]
) -> tuple[OpenAiPassingStream, bytes]:
    call = PASSING.ask(body, model)
    stream = PASSING.stream(body)
    got = []
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/v1{call.path}", data=call.body) as response,
    ):
        async for some in response.content.iter_any():
            got.append(stream.feed(some))
    got.append(stream.end())
    return stream, b"".join(got)


@pytest.mark.parametrize("model", ["tokens-9", "tokens-9-slow-bytes", "tokens-9-no-done"])
async def test_passes_a_real_stream(simulator: str, model: str) -> None:
    stream, got = await through(simulator, model, STREAMED)
    assert stream.begun
    assert stream.usage is not None
    assert stream.usage.output == 9
    assert b'"choices":[]' not in got
    assert got.count(DONE) == 1
    assert got.endswith(DONE)


async def test_tells_a_real_stream_that_is_cut(simulator: str) -> None:
    with pytest.raises(StreamCut):
        await through(simulator, "end-after-3", STREAMED)
    with pytest.raises(StreamFailed):
        await through(simulator, "error-after-3", STREAMED)
