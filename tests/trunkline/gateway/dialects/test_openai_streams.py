"""Streams of chat completion chunks, as OpenAI sends them and as others do."""

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

import aiohttp
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.simulated.app import running_simulator
from server.simulated.behaviour import Behaviour
from server.simulated.timing import SkippedTiming
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
from trunkline.gateway.conversation import Conversation, Role, Text, Tool, Turn
from trunkline.gateway.dialects.openai import OpenAiDialect
from trunkline.gateway.framing import LARGEST_EVENT
from trunkline.gateway.protocols import StreamCut, StreamFailed

DIALECT = OpenAiDialect(official=False)
DONE = b"data: [DONE]\n\n"
STOPPED = Finished(FinishReason.STOP)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def event(said: object) -> bytes:
    return b"data: " + json.dumps(said).encode() + b"\n\n"


def chunk(delta: object = None, finish: object = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return event({"object": "chat.completion.chunk", "choices": [choice], **more})


def call(**said: object) -> bytes:
    return chunk({"tool_calls": [said]})


def read(*chunks: bytes) -> list[AnswerEvent]:
    reader = DIALECT.stream_reader()
    found = [one for chunk in chunks for one in reader.feed(chunk)]
    return [*found, *reader.end()]


FINISH = chunk(finish="stop")
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}


def test_reads_words_usage_and_the_end() -> None:
    assert read(
        chunk({"role": "assistant", "content": "", "refusal": None}),
        chunk({"content": "Hel"}),
        chunk({"role": "assistant", "content": "lo"}),
        FINISH,
        event({"choices": [], "usage": USAGE}),
        DONE,
    ) == [TextDelta("Hel"), TextDelta("lo"), UsageSeen(Usage(9, output=4)), STOPPED]


@pytest.mark.parametrize(
    ("delta", "events"),
    [
        ({"reasoning_content": "hm"}, [ReasoningDelta("hm")]),
        ({"reasoning": "hm", "content": ""}, [ReasoningDelta("hm")]),
        ({"reasoning": "hm", "reasoning_content": "hm"}, [ReasoningDelta("hm")]),
        ({"reasoning": None, "content": "a"}, [TextDelta("a")]),
        (
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]},
            [ReasoningDelta("hm")],
        ),
        ({"content": [{"type": "text", "text": "a"}]}, [TextDelta("a")]),
        ({"content": 7, "reasoning": {}, "refusal": [], "tool_calls": "x"}, []),
        ({"unknown": "x"}, []),
    ],
)
def test_reads_a_delta(delta: object, events: list[AnswerEvent]) -> None:
    assert read(chunk(delta), FINISH, DONE) == [*events, STOPPED]


def test_reads_a_refusal() -> None:
    assert read(chunk({"refusal": "I "}), chunk({"refusal": "won't"}), FINISH, DONE) == [
        RefusalDelta("I "),
        RefusalDelta("won't"),
        Finished(FinishReason.REFUSAL),
    ]


def test_reads_parallel_calls() -> None:
    assert read(
        call(index=0, id="c1", type="function", function={"name": "f", "arguments": ""}),
        call(index=0, function={"arguments": '{"a"'}),
        call(index=1, id="c2", type="function", function={"name": "g", "arguments": ""}),
        call(index=0, function={"arguments": ":1}"}),
        call(index=1, function={"arguments": "{}"}),
        chunk(finish="tool_calls"),
        DONE,
    ) == [
        ToolCallBegun(0, "c1", "f"),
        ToolArgumentsDelta(0, '{"a"'),
        ToolCallBegun(1, "c2", "g"),
        ToolArgumentsDelta(0, ":1}"),
        ToolArgumentsDelta(1, "{}"),
        Finished(FinishReason.TOOL_CALLS),
    ]


@pytest.mark.parametrize(
    "calls",
    [
        # All at once, and a number that begins at 1.
        [
            chunk(
                {
                    "tool_calls": [
                        {"index": 1, "id": "c1", "function": {"name": "f", "arguments": "{}"}},
                        {"index": 2, "id": "c2", "function": {"name": "g", "arguments": "{}"}},
                    ]
                }
            )
        ],
        # Every call has the index 0.
        [
            call(index=0, id="c1", function={"name": "f", "arguments": "{}"}),
            call(index=0, id="c2", function={"name": "g", "arguments": "{}"}),
        ],
        # No index, with and without pieces.
        [
            call(id="c1", function={"name": "f", "arguments": "{}"}),
            call(id="c2", function={"name": "g", "arguments": "{}"}),
        ],
        [
            call(id="c1", function={"name": "f"}),
            call(function={"arguments": "{}"}),
            call(id="c2", function={"name": "g"}),
            call(id="c2", function={"name": "g", "arguments": "{}"}),
        ],
        # Id and name with every piece; arguments as an object; none at all.
        [
            call(index=0, id="c1", function={"name": "f", "arguments": "{"}),
            call(index=0, id="c1", function={"name": "f", "arguments": "}"}),
            call(index=1, id="c2", function={"name": "g", "arguments": {}}),
        ],
        [
            call(index=0, id="c1", function={"name": "f", "arguments": None}),
            call(index=1, id="c2", function={"name": "g"}),
        ],
        # The name after the id.
        [
            call(index=0, id="c1", type="function"),
            call(index=0, function={"name": "f", "arguments": "{}"}),
            call(index=1, id="c2", function={"name": "", "arguments": ""}),
            call(index=1, id="c2", function={"name": "g", "arguments": "{}"}),
        ],
    ],
)
def test_reads_calls_as_compatible_providers_send_them(calls: list[bytes]) -> None:
    found = read(*calls, FINISH)
    begun = [one for one in found if isinstance(one, ToolCallBegun)]
    assert begun == [ToolCallBegun(0, "c1", "f"), ToolCallBegun(1, "c2", "g")]
    for index in (0, 1):
        pieces = [
            one.text for one in found if isinstance(one, ToolArgumentsDelta) and one.index == index
        ]
        assert "".join(pieces) == "{}"
    assert found[-1] == Finished(FinishReason.TOOL_CALLS)


def test_makes_up_ids_where_there_are_none() -> None:
    found = read(
        call(index=0, function={"name": "f", "arguments": "{}"}),
        call(index=1, id="", function={"name": "g", "arguments": "{}"}),
        FINISH,
    )
    first, second = [one for one in found if isinstance(one, ToolCallBegun)]
    assert (first.name, second.name) == ("f", "g")
    assert first.id.startswith("call_")
    assert first.id != second.id


def test_a_finish_reason_with_every_chunk_ends_nothing() -> None:
    assert read(
        chunk({"content": "a"}, "stop"), chunk({"content": "b"}, "stop"), chunk({}, "length")
    ) == [TextDelta("a"), TextDelta("b"), Finished(FinishReason.LENGTH)]


@pytest.mark.parametrize(
    "ending",
    [
        [FINISH],
        [DONE],
        [FINISH, DONE],
        [FINISH, b"data: [DONE]\n"],
        [FINISH, b"data: [DO"],
        [b"data: [DONE]"],
        [FINISH.removesuffix(b"\n\n")],
        [FINISH, b'data: {"choices": [], "usa'],
        [FINISH, DONE, chunk({"content": "more"}), event({"error": {"message": "m"}})],
    ],
)
def test_ends_whole(ending: list[bytes]) -> None:
    assert read(chunk({"content": "a"}), *ending) == [TextDelta("a"), STOPPED]


@pytest.mark.parametrize(
    "ending", [[], [b": comment\n\n"], [FINISH[:-9]], [b"data: [DO"], [chunk({}, "")]]
)
def test_ends_cut(ending: list[bytes]) -> None:
    with pytest.raises(StreamCut):
        read(chunk({"content": "a"}), *ending)


def test_nothing_at_all_is_cut() -> None:
    with pytest.raises(StreamCut):
        read()


def test_an_event_too_large_is_cut() -> None:
    reader = DIALECT.stream_reader()
    with pytest.raises(StreamCut, match="8 MiB"):
        reader.feed(b"x" * (LARGEST_EVENT + 1))


def test_the_last_usage_counts_wherever_it_stands() -> None:
    found = read(
        chunk({"content": "a"}, usage={"prompt_tokens": 9, "completion_tokens": 1}),
        chunk({}, "stop", usage=USAGE),
        event({"choices": [], "usage": None}),
        event({"choices": [], "usage": {"prompt_tokens": -1}}),
    )
    used = [one.usage for one in found if isinstance(one, UsageSeen)]
    assert used == [Usage(9, output=1), Usage(9, output=4)]


@pytest.mark.parametrize(
    "malformed",
    [
        b'data: {"choices": [{"delta": {"content": "br\n\n', b"data: 7\n\n", b"data: []\n\n",
        b'data: {"choices": 7}\n\n', b'data: {"choices": [7]}\n\n', b"nonsense\n\n",
        b'data: {"choices": [{"delta": 7}]}\n\n', b": ping\n\n", b"event: ping\n\n", b"\n\n",
        b'data: {"choices": [{"delta": {"tool_calls": [7, {}, {"function": 7}]}}]}\n\n',
        b'data: {"choices": [], "usage": 7, "error": null}\n\n', b"data: \xff\n\n",
        b'data: {"choices": [{"delta": {"content": "\\ud800"}}]}\n\n',
    ],
)  # fmt: skip
def test_skips_what_is_malformed(malformed: bytes) -> None:
    assert read(chunk({"content": "a"}), malformed, chunk({"content": "b"}), FINISH) == [
        TextDelta("a"),
        TextDelta("b"),
        STOPPED,
    ]


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        ({"error": {"message": "m", "code": 502}, "choices": []}, 502),
        ({"error": {"message": "m", "type": "rate_limit_error"}}, 429),
        ({"error": {"message": "m"}}, 500),
        ({"error": "m"}, 500),
        ({"object": "error", "message": "m", "code": 400}, 400),
        ({"choices": [{"delta": {}, "finish_reason": "error"}]}, 500),
    ],
)
def test_tells_that_it_failed(failure: dict[str, object], status: int) -> None:
    reader = DIALECT.stream_reader()
    reader.feed(chunk({"content": "a"}))
    with pytest.raises(StreamFailed) as failed:
        reader.feed(event(failure))
    assert failed.value.status == status
    assert orjson.loads(failed.value.body) == failure


@given(
    st.lists(
        st.one_of(
            JSON.map(chunk),
            JSON.map(lambda value: call(index=0, id=value, function={"name": "f"})),
            JSON.map(lambda value: chunk({"tool_calls": [value, {"function": value}]})),
            JSON.map(lambda value: event({"choices": value, "usage": value})),
            JSON.map(lambda value: event({"choices": [{"finish_reason": value}]})),
            JSON.map(lambda value: event({"error": value})),
            st.binary(max_size=20),
        ).filter(lambda written: len(written) < 10_000),
        max_size=6,
    )
)
def test_any_stream_is_read_failed_or_cut(chunks: list[bytes]) -> None:
    with contextlib.suppress(StreamFailed, StreamCut):
        read(*chunks)


STREAM = b"".join(
    [
        chunk({"role": "assistant", "content": ""}),
        b": ping\r\n\r\n",
        chunk({"content": "größer"}),
        chunk({"reasoning": "€"}).replace(b"\n", b"\r\n"),
        b"data: broken\n\n",
        call(index=0, id="c1", function={"name": "f", "arguments": '{"a"'}),
        call(index=0, function={"arguments": ":1}"}),
        chunk({}, "tool_calls"),
        event({"choices": [], "usage": USAGE}),
        DONE,
    ]
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=60))
def test_events_are_the_same_however_they_are_cut(places: list[int]) -> None:
    ends = sorted({0, len(STREAM), *places})
    assert read(*(STREAM[start:end] for start, end in pairwise(ends))) == read(STREAM)


@pytest.fixture
async def simulator() -> AsyncIterator[str]:
    behaviour = Behaviour(api_key=None, timing=SkippedTiming())
    async with running_simulator(behaviour) as url:
        yield url


HELLO = Conversation(turns=(Turn(Role.USER, (Text("hello"),)),), stream=True)
TOOLS = Conversation(
    turns=HELLO.turns,
    stream=True,
    tools=(Tool("f", None, {"type": "object", "properties": {"a": {"type": "string"}}}),),
)


async def stream(
    url: str, model: str, conversation: Conversation = HELLO
) -> tuple[Sequence[AnswerEvent], Exception | None]:
    """The events that came, and what ended them where it wasn't the end."""
    request = DIALECT.ask(conversation, model)
    reader = DIALECT.stream_reader()
    found: list[AnswerEvent] = []
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/v1{request.path}", data=request.body) as response,
    ):
        assert response.status == 200
        try:
            async for some in response.content.iter_any():
                found += reader.feed(some)
            found += reader.end()
        except (StreamFailed, StreamCut, aiohttp.ClientPayloadError) as error:
            return found, error
    return found, None


async def test_reads_a_real_stream(simulator: str) -> None:
    found, error = await stream(simulator, "tokens-9-thinking-3-slow-bytes")
    assert error is None
    said = "".join(one.text for one in found if isinstance(one, TextDelta))
    assert said.startswith("A simulated answer.")
    assert sum(isinstance(one, ReasoningDelta) for one in found) == 3
    [used] = [one.usage for one in found if isinstance(one, UsageSeen)]
    assert (used.output, used.reasoning) == (12, 3)
    assert found[-1] == STOPPED


async def test_reads_real_calls(simulator: str) -> None:
    found, error = await stream(simulator, "tools-2", TOOLS)
    assert error is None
    assert [one.index for one in found if isinstance(one, ToolCallBegun)] == [0, 1]
    for index in (0, 1):
        pieces = [
            one.text for one in found if isinstance(one, ToolArgumentsDelta) and one.index == index
        ]
        assert orjson.loads("".join(pieces)) == {"a": "simulated"}
    assert found[-1] == Finished(FinishReason.TOOL_CALLS)


@pytest.mark.parametrize("model", ["no-done", "malformed-after-3", "pings-slow-first-token-3s"])
async def test_reads_real_streams_that_are_odd_but_whole(simulator: str, model: str) -> None:
    found, error = await stream(simulator, model)
    assert error is None
    assert found[-1] == STOPPED


@pytest.mark.parametrize(
    ("model", "ends_with"),
    [
        ("no-finish", StreamCut),
        ("end-after-3", StreamCut),
        ("error-after-3", StreamFailed),
        ("cut-after-3", aiohttp.ClientPayloadError),
    ],
)
async def test_tells_real_streams_that_are_not_whole(
    simulator: str, model: str, ends_with: type[Exception]
) -> None:
    found, error = await stream(simulator, model)
    assert isinstance(error, ends_with)
    assert not any(isinstance(one, Finished) for one in found)
