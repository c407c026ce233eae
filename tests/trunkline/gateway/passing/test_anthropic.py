"""Anthropic's bodies as they pass."""

from itertools import pairwise

import aiohttp
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.simulated.app import running_simulator
from server.simulated.behaviour import Behaviour
from server.simulated.timing import SkippedTiming
from trunkline.gateway.answers import Usage
from trunkline.gateway.passing.anthropic import AnthropicPassing, AnthropicPassingStream
from trunkline.gateway.protocols import BadRequestBody, StreamCut, StreamFailed, UnreadableAnswer


def sent(kind: str, **data: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **data}))


def delta(kind: str, **more: object) -> bytes:
    return sent("content_block_delta", index=0, delta={"type": kind, **more})


START = sent(
    "message_start",
    message={"model": "m", "usage": {"input_tokens": 3, "cache_read_input_tokens": 4}},
)
OPENED = sent("content_block_start", index=0, content_block={"type": "text", "text": ""})
HELLO = delta("text_delta", text="hello")
ENDED = sent("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9})
STOP = sent("message_stop")
WHOLE = START + OPENED + sent("ping") + b": here\n\n" + HELLO + HELLO + ENDED + STOP


def stream() -> AnthropicPassingStream:
    return AnthropicPassing().stream({})


def test_a_body_passes_with_another_name() -> None:
    body = {
        "model": "chain/fast",
        "messages": [
            "odd",
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}],
            },
        ],
        "parameter_of_tomorrow": {"deep": [1, 2.5, None]},
    }
    call = AnthropicPassing().ask(body, "claude-opus-5")
    assert call.path == "/v1/messages"
    assert call.dropped == ()
    assert orjson.loads(call.body) == {**body, "model": "claude-opus-5"}
    assert body["model"] == "chain/fast"


@pytest.mark.parametrize("signature", ["", None, "gemini.c2ln"])
def test_thoughts_that_nobody_of_this_protocol_signed_are_left_out(signature: str | None) -> None:
    kept = {"type": "text", "text": "hi"}
    own = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    thought = {"type": "thinking", "thinking": "hm", "signature": signature}
    said: list[dict[str, object]] = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [thought]},
        {"role": "assistant", "content": [thought, own, kept]},
    ]
    sent_body = orjson.loads(AnthropicPassing().ask({"messages": said}, "m").body)
    assert sent_body["messages"] == [said[0], {"role": "assistant", "content": [own, kept]}]
    assert said[1]["content"] == [thought]


@pytest.mark.parametrize("blank", ["", " ", "\n\n"])
def test_words_of_the_model_that_say_nothing_are_left_out(blank: str) -> None:
    """They are refused, and other models say them before a call."""
    nothing = {"type": "text", "text": blank}
    call = {"type": "tool_use", "id": "t", "name": "now", "input": {}}
    said: list[dict[str, object]] = [
        {"role": "assistant", "content": [nothing]},
        {"role": "assistant", "content": [nothing, call]},
        # What a user says is not ours, and neither is what isn't a text.
        {"role": "user", "content": [nothing]},
        {"role": "assistant", "content": [{"type": "text", "text": 7}, {"type": "text"}]},
    ]
    sent_body = orjson.loads(AnthropicPassing().ask({"messages": said}, "m").body)
    assert sent_body["messages"] == [{"role": "assistant", "content": [call]}, *said[2:]]
    assert said[0]["content"] == [nothing]


CALL = {"type": "tool_use", "id": "t", "name": "now", "input": {}}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
ASKED = {"role": "user", "content": "hi"}


def said(*blocks: object) -> dict[str, object]:
    return {"role": "assistant", "content": [*blocks]}


@pytest.mark.parametrize(
    ("messages", "dropped"),
    [
        # Another model called the tools, without a thought or with one that nobody signed.
        ([ASKED, said(CALL), RESULT], True),
        ([ASKED, said(THOUGHT | {"signature": ""}, CALL), RESULT], True),
        ([ASKED, said(THOUGHT, CALL), RESULT, said("odd"), ASKED, said(CALL), RESULT], True),
        ([ASKED, said(CALL), RESULT, said(CALL), RESULT], True),
        # Claude did, which thinks at the beginning of its turn.
        ([ASKED, said(THOUGHT, CALL), RESULT], False),
        ([ASKED, said(THOUGHT, CALL), RESULT, said(CALL), RESULT], False),
        ([ASKED, said({"type": "redacted_thinking", "data": "x"}, CALL), RESULT], False),
        # A turn of its own.
        ([ASKED], False),
        ([ASKED, said(CALL), RESULT, said({"type": "text", "text": "so"}), ASKED], False),
        (["odd", {"role": ["odd"], "content": [{"type": ["odd"]}]}], False),
    ],
)
def test_a_turn_that_another_model_began_goes_on_without_thinking(
    messages: list[object], dropped: bool
) -> None:
    """Claude refuses to think within a turn that it did not begin with a thought."""
    thinking = {"type": "enabled", "budget_tokens": 2_000}
    call = AnthropicPassing().ask({"messages": messages, "thinking": thinking}, "m")
    assert ("thinking" in orjson.loads(call.body)) is not dropped
    assert call.dropped == (("thinking",) if dropped else ())
    # What thinks as it sees fit takes such a turn; and what goes with thinking is not known.
    others: list[dict[str, object]] = [
        {"thinking": {"type": "adaptive"}},
        {"context_management": {"edits": []}},
    ]
    for more in others:
        kept: dict[str, object] = {"messages": messages, "thinking": thinking} | more
        call = AnthropicPassing().ask(kept, "m")
        assert orjson.loads(call.body)["thinking"] == kept["thinking"]
        assert call.dropped == ()


def test_a_body_that_can_not_be_written_is_refused() -> None:
    deep: object = 1
    for _ in range(300):
        deep = [deep]
    with pytest.raises(BadRequestBody):
        AnthropicPassing().ask({"messages": deep}, "m")


@settings(deadline=None)
@given(st.lists(st.integers(0, len(WHOLE)), max_size=8))
def test_a_stream_passes_as_it_came_wherever_it_is_cut(cuts: list[int]) -> None:
    passing = stream()
    places = [0, *sorted(cuts), len(WHOLE)]
    passed = b"".join(passing.feed(WHOLE[start:end]) for start, end in pairwise(places))
    assert passed + passing.end() == WHOLE
    assert passing.usage == Usage(input=7, cache_read=4, output=9)
    assert passing.said == 10
    assert passing.begun


@pytest.mark.parametrize(
    ("event", "begun", "said"),
    [
        (START + OPENED + sent("ping") + b": here\n\n", False, 0),
        (delta("text_delta", text=""), False, 0),
        (delta("signature_delta", signature="sig"), False, 0),
        (delta("input_json_delta", partial_json=""), False, 0),
        (HELLO, True, 5),
        (delta("thinking_delta", thinking="hmm"), True, 3),
        (delta("input_json_delta", partial_json='{"a"'), True, 4),
        (
            sent("content_block_start", content_block={"type": "tool_use", "name": "now"}),
            True,
            3,
        ),
        (
            sent("content_block_start", content_block={"type": "redacted_thinking", "data": "x"}),
            True,
            0,
        ),
    ],
)
def test_knows_the_first_token_and_what_is_said(event: bytes, begun: bool, said: int) -> None:
    passing = stream()
    assert passing.feed(event) == event
    assert (passing.begun, passing.said) == (begun, said)


@pytest.mark.parametrize(
    "malformed", [b"event: x\ndata: {broken\n\n", b"data: []\n\n", b"event: nonsense\n\n"]
)
def test_a_malformed_event_does_not_pass(malformed: bytes) -> None:
    assert stream().feed(HELLO + malformed + ENDED) == HELLO + ENDED


def test_halves_of_characters_pass() -> None:
    """A caller joins them again."""
    halves = delta("text_delta", text="@") + delta("text_delta", text="#")
    halves = halves.replace(b"@", rb"\ud83d").replace(b"#", rb"\ude00")
    passing = stream()
    assert passing.feed(halves) == halves
    assert passing.said == 2


def test_what_is_not_known_passes() -> None:
    tomorrow = sent("event_of_tomorrow", delta={"type": "of_tomorrow", "usage": []})
    assert stream().feed(tomorrow) == tomorrow


def test_a_stream_that_said_why_it_ended_gets_its_end() -> None:
    passing = stream()
    passing.feed(HELLO + ENDED)
    assert passing.end() == STOP
    passing = stream()
    passing.feed(HELLO + ENDED + STOP[:-1])
    assert passing.end().strip() == STOP.strip()


@pytest.mark.parametrize("cut", [b"", START + HELLO, HELLO + ENDED[:-9]])
def test_a_stream_that_did_not_is_cut(cut: bytes) -> None:
    passing = stream()
    passing.feed(cut)
    with pytest.raises(StreamCut):
        passing.end()


def test_nothing_passes_after_its_end() -> None:
    reading = stream()
    assert reading.feed(WHOLE + HELLO) == WHOLE
    assert reading.feed(HELLO + ENDED) == b""
    assert reading.end() == b""


def test_an_error_fails() -> None:
    passing = stream()
    with pytest.raises(StreamFailed) as failed:
        passing.feed(START + sent("error", error={"type": "rate_limit_error", "message": "slow"}))
    assert failed.value.status == 429
    assert passing.usage == Usage(input=7, cache_read=4)


def test_sees_what_a_whole_answer_used_and_said() -> None:
    seen = AnthropicPassing().look(
        orjson.dumps(
            {
                "type": "message",
                "content": [
                    {"type": "thinking", "thinking": "hm"},
                    {"type": "text", "text": "hello"},
                    {"type": "tool_use", "id": "t", "name": "now", "input": {"a": 1}},
                    {"type": "block_of_tomorrow"},
                ],
                "stop_reason": "tool_use",
                "usage": {"input_tokens": 3, "output_tokens": 2},
            }
        )
    )
    assert seen.usage == Usage(input=3, output=2)
    assert seen.said == 2 + 5 + 3 + len('{"a":1}')


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"<html>", b'{"content":[]}'])
def test_what_is_no_message_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableAnswer):
        AnthropicPassing().look(body)


json = st.recursive(
    st.none() | st.integers(-(2**63), 2**63) | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "signature", "delta", "usage"]), inner
        )
    ),
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["messages", "model", "stream"]), json))
def test_any_body_passes(body: dict[str, object]) -> None:
    sent_body = orjson.loads(AnthropicPassing().ask(body, "m").body)
    assert sent_body.keys() == body.keys() | {"model"}


kinds = st.sampled_from(["message_start", "message_delta", "content_block_delta", "error", "x"])
events = st.builds(
    lambda kind, name, value: sent(kind, **{name: value}),
    kinds,
    st.sampled_from(["delta", "message", "usage", "error", "content_block"]),
    json,
)


@settings(deadline=None)
@given(st.lists(st.binary() | events))
def test_any_stream_passes_or_fails_as_a_stream_may(chunks: list[bytes]) -> None:
    passing = stream()
    try:
        for chunk in chunks:
            passing.feed(chunk)
        passing.end()
    except (StreamCut, StreamFailed):
        return


async def test_a_providers_stream_passes_unchanged() -> None:
    body = {"model": "x", "max_tokens": 90, "stream": True, "messages": [{"role": "user"}]}
    call = AnthropicPassing().ask(body, "sim-thinking-cached-50-tools")
    passing = AnthropicPassing().stream(body)
    came = passed = b""
    async with (
        running_simulator(Behaviour(api_key=None, timing=SkippedTiming())) as url,
        aiohttp.ClientSession(headers={"anthropic-version": "2023-06-01"}) as session,
        session.post(url + call.path, data=call.body) as response,
    ):
        async for chunk in response.content.iter_any():
            came += chunk
            passed += passing.feed(chunk)
    assert passed + passing.end() == came
    assert passing.usage is not None
    assert passing.usage.cache_read > 0
    assert passing.begun
