"""What OpenAI and those who are compatible are asked, and how their whole answers are read."""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping

import aiohttp
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.simulated.app import running_simulator
from server.simulated.behaviour import Behaviour
from server.simulated.timing import SkippedTiming
from trunkline.gateway.answers import ChatAnswer, FinishReason, Usage
from trunkline.gateway.conversation import (
    Conversation,
    Image,
    OutputFormat,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from trunkline.gateway.dialects.openai import OpenAiDialect
from trunkline.gateway.dialects.openai_asking import effort_of
from trunkline.gateway.protocols import CannotSay, StreamFailed, UnreadableAnswer

OFFICIAL = OpenAiDialect(official=True)
COMPATIBLE = OpenAiDialect(official=False)
BOTH = pytest.mark.parametrize("dialect", [OFFICIAL, COMPATIBLE], ids=["official", "compatible"])
PNG = Image("image/png", "iVBORw0KGgo=")
WEATHER = Tool("get_weather", "The weather.", {"type": "object", "properties": {}}, strict=True)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def user(*parts: Part) -> Turn:
    return Turn(Role.USER, parts)


def assistant(*parts: Part) -> Turn:
    return Turn(Role.ASSISTANT, parts)


HELLO = (user(Text("hello")),)


def body(dialect: OpenAiDialect, conversation: Conversation) -> dict[str, object]:
    call = dialect.ask(conversation, "model-1")
    assert call.path == "/chat/completions"
    parsed: dict[str, object] = orjson.loads(call.body)
    return parsed


def messages(*turns: Turn) -> list[dict[str, object]]:
    sent = body(OFFICIAL, Conversation(turns=turns))["messages"]
    assert isinstance(sent, list)
    return sent


@BOTH
def test_asks_no_more_than_is_asked_for(dialect: OpenAiDialect) -> None:
    assert body(dialect, Conversation(turns=HELLO)) == {
        "model": "model-1",
        "messages": [{"role": "user", "content": "hello"}],
    }


def test_mistral_is_told_the_seed_by_its_own_name() -> None:
    asked = body(
        OpenAiDialect(official=False, known_provider="mistral"), Conversation(turns=HELLO, seed=7)
    )
    assert (asked["random_seed"], "seed" in asked) == (7, False)


@BOTH
def test_asks_for_usage_in_a_stream(dialect: OpenAiDialect) -> None:
    asked = body(dialect, Conversation(turns=HELLO, stream=True))
    assert asked["stream"] is True
    assert asked["stream_options"] == {"include_usage": True}


@BOTH
def test_passes_sampling_parameters(dialect: OpenAiDialect) -> None:
    said = {
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": -3,
        "presence_penalty": 1,
        "frequency_penalty": -1.5,
        "user": "u1",
        "reasoning_effort": "high",
    }
    conversation = Conversation(
        turns=HELLO,
        temperature=0.5,
        top_p=0.9,
        seed=-3,
        presence_penalty=1,
        frequency_penalty=-1.5,
        user="u1",
        reasoning_effort="high",
        stop=("a", "b"),
    )
    assert body(dialect, conversation).items() >= (said | {"stop": ["a", "b"]}).items()


def test_names_the_limit_of_tokens_as_each_knows_it() -> None:
    conversation = Conversation(turns=HELLO, max_output_tokens=7)
    official, compatible = body(OFFICIAL, conversation), body(COMPATIBLE, conversation)
    assert official["max_completion_tokens"] == 7
    assert "max_tokens" not in official
    assert compatible["max_tokens"] == 7
    assert "max_completion_tokens" not in compatible


def test_drops_top_k_where_it_is_unknown_and_says_so() -> None:
    conversation = Conversation(turns=HELLO, top_k=40)
    assert OFFICIAL.ask(conversation, "m").dropped == ("top_k",)
    assert "top_k" not in body(OFFICIAL, conversation)
    assert COMPATIBLE.ask(conversation, "m").dropped == ()
    assert body(COMPATIBLE, conversation)["top_k"] == 40


@pytest.mark.parametrize(
    ("tokens", "effort"),
    [
        (0, "none"), (1, "low"), (4_095, "low"), (4_096, "medium"), (16_383, "medium"),
        (16_384, "high"), (10**9, "high"),
    ],
)  # fmt: skip
def test_says_a_budget_of_reasoning_as_an_effort(tokens: int, effort: str) -> None:
    assert effort_of(tokens) == effort
    asked = body(OFFICIAL, Conversation(turns=HELLO, reasoning_tokens=tokens))
    assert asked["reasoning_effort"] == effort


def test_asks_compatible_providers_for_no_effort_of_none() -> None:
    conversation = Conversation(turns=HELLO, reasoning_tokens=0)
    assert "reasoning_effort" not in body(COMPATIBLE, conversation)
    assert COMPATIBLE.ask(conversation, "m").dropped == ("reasoning",)


REASONING = ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5-mini", "gpt-5-nano-2025-08-07"]
OTHERS = ["gpt-4o-mini", "ft:gpt-4o:acme::1", "gpt-5-chat-latest", "gpt-5.2", "gpt-7", "o", "mine"]


@pytest.mark.parametrize("name", [*REASONING, *OTHERS])
def test_says_no_sampling_to_models_that_refuse_it(name: str) -> None:
    sampling = {"temperature": 0.5, "top_p": 0.9, "presence_penalty": 1, "frequency_penalty": -1}
    call = OFFICIAL.ask(Conversation(turns=HELLO, **sampling), name)  # type: ignore[arg-type]
    said = {one: value for one, value in sampling.items() if one in orjson.loads(call.body)}
    assert said == ({} if name in REASONING else sampling)
    assert call.dropped == (tuple(sampling) if name in REASONING else ())
    # What it does anyway is not missed.
    as_ever = Conversation(turns=HELLO, temperature=1, top_p=1, presence_penalty=0)
    assert OFFICIAL.ask(as_ever, name).dropped == ()
    # Nothing is known of who is compatible.
    compatible = COMPATIBLE.ask(Conversation(turns=HELLO, **sampling), name)  # type: ignore[arg-type]
    assert orjson.loads(compatible.body).items() >= sampling.items()


@pytest.mark.parametrize("name", [*REASONING, *OTHERS])
def test_models_that_take_no_stop_sequences_are_passed_by(name: str) -> None:
    conversation = Conversation(turns=HELLO, stop=("END",))
    if name in REASONING:
        with pytest.raises(CannotSay, match="takes no stop sequences"):
            OFFICIAL.ask(conversation, name)
    else:
        assert orjson.loads(OFFICIAL.ask(conversation, name).body)["stop"] == ["END"]


@pytest.mark.parametrize(
    ("name", "asked", "said", "dropped"),
    [
        ("gpt-4.1", "high", None, ("reasoning",)),
        ("gpt-4.1", "none", None, ()),
        ("gpt-5-chat-latest", "low", None, ("reasoning",)),
        ("o3", "none", "low", ("reasoning",)),
        ("o3", "minimal", "low", ()),
        ("o3", "medium", "medium", ()),
        ("gpt-5", "none", "minimal", ("reasoning",)),
        ("gpt-5-mini", "max", "high", ()),
        ("gpt-5.2", "none", "none", ()),
        ("gpt-5.2", "xhigh", "xhigh", ()),
        ("gpt-7", "of tomorrow", "of tomorrow", ()),
        ("o3", "of tomorrow", "of tomorrow", ()),
    ],
)
def test_says_an_effort_that_the_model_takes(
    name: str, asked: str, said: str | None, dropped: tuple[str, ...]
) -> None:
    conversation = Conversation(turns=HELLO, reasoning_effort=asked)
    if asked == "none":
        conversation = Conversation(turns=HELLO, reasoning_tokens=0)
    call = OFFICIAL.ask(conversation, name)
    assert orjson.loads(call.body).get("reasoning_effort") == said
    assert call.dropped == dropped


def test_o_models_are_not_told_how_many_calls_at_once() -> None:
    for parallel, dropped in ((False, ("parallel_tool_calls",)), (True, ())):
        conversation = Conversation(turns=HELLO, tools=(WEATHER,), parallel_tool_calls=parallel)
        call = OFFICIAL.ask(conversation, "o4-mini")
        assert "parallel_tool_calls" not in orjson.loads(call.body)
        assert call.dropped == dropped
        assert orjson.loads(OFFICIAL.ask(conversation, "gpt-5").body)["parallel_tool_calls"] is (
            parallel
        )


def test_refuses_more_stop_sequences_than_openai_takes() -> None:
    conversation = Conversation(turns=HELLO, stop=("a", "b", "c", "d", "e"))
    with pytest.raises(CannotSay, match="at most 4 stop sequences, not 5"):
        OFFICIAL.ask(conversation, "m")
    assert body(COMPATIBLE, conversation)["stop"] == ["a", "b", "c", "d", "e"]


def test_joins_the_systems_instructions_in_one_message_at_the_beginning() -> None:
    asked = body(OFFICIAL, Conversation(system=(Text("one"), Text("two")), turns=HELLO))
    assert asked["messages"] == [
        {"role": "system", "content": "one\n\ntwo"},
        {"role": "user", "content": "hello"},
    ]


def test_shows_images_by_data_and_by_url() -> None:
    turn = user(Text("see"), PNG, Image(url="https://example.com/a.png"))
    assert messages(turn) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "see"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            ],
        }
    ]


def test_tells_of_parallel_calls_and_their_results() -> None:
    calls = [ToolCall("c1", "f", '{"a":1}', signature="s"), ToolCall("c2", "g", "{}")]
    results = [
        ToolResult("c1", (Text("one"), Text("more")), "f"),
        ToolResult("c2", (Text("no such city"),), "g", is_error=True),
    ]
    assert messages(*HELLO, assistant(Text("so"), *calls), user(*results))[1:] == [
        {
            "role": "assistant",
            "content": "so",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
                {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "one\n\nmore"},
        {"role": "tool", "tool_call_id": "c2", "content": "Error: no such city"},
    ]


def test_shows_a_results_images_after_all_results() -> None:
    results = (ToolResult("c1", (Text("seen"), PNG)), ToolResult("c2", (Text("two"),)))
    assert messages(user(Text("and?"), *results)) == [
        {"role": "tool", "tool_call_id": "c1", "content": "seen"},
        {"role": "tool", "tool_call_id": "c2", "content": "two"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "From the result of the tool call c1:"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                {"type": "text", "text": "and?"},
            ],
        },
    ]


def test_says_calls_without_words_with_no_content() -> None:
    [message] = messages(assistant(ToolCall("c", "f", "{}")))
    assert message["content"] is None


def test_leaves_reasoning_out_and_keeps_refusals() -> None:
    turn = assistant(Reasoning("hm", signature="s"), Text("a"), Text("b"), Refusal("no"))
    assert messages(turn) == [{"role": "assistant", "content": "a\n\nb", "refusal": "no"}]
    assert messages(assistant(Reasoning("hm"))) == [{"role": "assistant", "content": ""}]


@pytest.mark.parametrize(
    "turn",
    [
        assistant(PNG),
        assistant(ToolResult("c", ())),
        user(ToolCall("c", "f", "{}")),
        user(Image()),
        user(Text("\ud800")),
    ],
)
@BOTH
def test_refuses_what_it_cannot_say(dialect: OpenAiDialect, turn: Turn) -> None:
    with pytest.raises(CannotSay):
        dialect.ask(Conversation(turns=(turn,)), "m")


def test_refuses_schemas_that_are_nested_too_deep() -> None:
    schema: dict[str, object] = {}
    for _ in range(300):
        schema = {"items": schema}
    with pytest.raises(CannotSay, match="less deeply"):
        OFFICIAL.ask(Conversation(turns=HELLO, output=OutputFormat(schema)), "m")


def test_offers_tools() -> None:
    conversation = Conversation(
        turns=HELLO, tools=(WEATHER, Tool("plain")), parallel_tool_calls=False
    )
    asked = body(OFFICIAL, conversation)
    assert asked["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "The weather.",
                "parameters": {"type": "object", "properties": {}},
                "strict": True,
            },
        },
        {"type": "function", "function": {"name": "plain"}},
    ]
    assert asked["parallel_tool_calls"] is False
    assert "tool_choice" not in asked


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (ToolChoice("auto"), "auto"),
        (ToolChoice("none"), "none"),
        (ToolChoice("required"), "required"),
        (
            ToolChoice("named", "get_weather"),
            {"type": "function", "function": {"name": "get_weather"}},
        ),
    ],
)
def test_chooses_among_tools(choice: ToolChoice, said: object) -> None:
    conversation = Conversation(turns=HELLO, tools=(WEATHER,), tool_choice=choice)
    assert body(OFFICIAL, conversation)["tool_choice"] == said


def test_does_not_choose_among_no_tools() -> None:
    asked = body(OFFICIAL, Conversation(turns=HELLO, tool_choice=ToolChoice("auto")))
    assert "tool_choice" not in asked
    with pytest.raises(CannotSay, match="there are none"):
        OFFICIAL.ask(Conversation(turns=HELLO, tool_choice=ToolChoice("required")), "m")


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (OutputFormat(), {"type": "json_object"}),
        (
            OutputFormat({"type": "object"}),
            {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": {"type": "object"}},
            },
        ),
        (
            OutputFormat({}, "n", "d", strict=True),
            {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {}, "description": "d", "strict": True},
            },
        ),
    ],
)
def test_asks_for_json(output: OutputFormat, said: object) -> None:
    assert body(OFFICIAL, Conversation(turns=HELLO, output=output))["response_format"] == said


def read(message: Mapping[str, object], finish: object = "stop", **more: object) -> ChatAnswer:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return OFFICIAL.read(orjson.dumps({"choices": [choice], **more}))


def function(name: str, arguments: object, **more: object) -> dict[str, object]:
    return {"function": {"name": name, "arguments": arguments}, **more}


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ({"content": "hi"}, (Text("hi"),)),
        ({"content": None}, ()),
        ({"content": "hi", "reasoning_content": "hm"}, (Reasoning("hm"), Text("hi"))),
        ({"content": "hi", "reasoning": "hm"}, (Reasoning("hm"), Text("hi"))),
        (
            {"content": "hi", "reasoning": "hm", "reasoning_content": "hm"},
            (Reasoning("hm"), Text("hi")),
        ),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                    {"type": "text", "text": "h"},
                    {"type": "text", "text": "i"},
                    7,
                ]
            },
            (Reasoning("hm"), Text("hi")),
        ),
        (
            {"tool_calls": [function("f", '{"a": 1}', id="c1"), function("g", "", id="c2")]},
            (ToolCall("c1", "f", '{"a": 1}'), ToolCall("c2", "g", "{}")),
        ),
        ({"tool_calls": [function("f", {"a": 1}, id="c1")]}, (ToolCall("c1", "f", '{"a":1}'),)),
        ({"content": 7, "refusal": 8, "tool_calls": {"a": 1}}, ()),
    ],
)  # fmt: skip
def test_reads_an_answer(message: dict[str, object], parts: tuple[object, ...]) -> None:
    assert read(message).parts == parts


def test_makes_up_an_id_for_a_call_without_one() -> None:
    calls = [function("f", "{}"), function("f", "{}", id="")]
    first, second = read({"tool_calls": calls}).parts
    assert isinstance(first, ToolCall)
    assert isinstance(second, ToolCall)
    assert first.id.startswith("call_")
    assert first.id != second.id


@pytest.mark.parametrize(
    ("word", "message", "reason"),
    [
        ("stop", {"content": "hi"}, FinishReason.STOP),
        ("length", {"content": "hi"}, FinishReason.LENGTH),
        ("content_filter", {"content": "hi"}, FinishReason.CONTENT_FILTER),
        ("tool_calls", {"tool_calls": [function("f", "{}")]}, FinishReason.TOOL_CALLS),
        ("stop", {"tool_calls": [function("f", "{}")]}, FinishReason.TOOL_CALLS),
        ("length", {"tool_calls": [function("f", "{}")]}, FinishReason.LENGTH),
        ("stop", {"refusal": "no"}, FinishReason.REFUSAL),
        ("model_length", {"content": "hi"}, FinishReason.LENGTH),
        ("eos", {"content": "hi"}, FinishReason.STOP),
        (None, {"content": "hi"}, FinishReason.STOP),
        (7, {"content": "hi"}, FinishReason.STOP),
    ],
)
def test_reads_why_it_ended(word: object, message: dict[str, object], reason: FinishReason) -> None:
    assert read(message, word).finish is reason


@pytest.mark.parametrize(
    ("usage", "read_as"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}, Usage(9, 0, 0, 4, 0)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 4,
                "total_tokens": 13,
                "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 2},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            Usage(9, 5, 2, 4, 3),
        ),
        # DeepSeek's, and Moonshot's.
        (
            {"prompt_tokens": 9, "completion_tokens": 4, "prompt_cache_hit_tokens": 5},
            Usage(9, 5, 0, 4, 0),
        ),
        ({"prompt_tokens": 9, "completion_tokens": 4, "cached_tokens": 5}, Usage(9, 5, 0, 4, 0)),
        # xAI's, where thoughts are no part of the completion, and Gemini's, who doesn't name them.
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 4,
                "total_tokens": 33,
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Usage(9, 0, 0, 24, 20),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 33},
            Usage(9, 0, 0, 24, 20),
        ),
        # What can't be true.
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 4,
                "prompt_tokens_details": {"cached_tokens": 50, "cache_write_tokens": 50},
                "completion_tokens_details": {"reasoning_tokens": 50},
            },
            Usage(9, 9, 0, 4, 4),
        ),
        ({"prompt_tokens": -1, "completion_tokens": 10**9 + 1}, None),
        ({"prompt_tokens": -1, "completion_tokens": 4}, Usage(output=4)),
        ({"prompt_tokens": True, "completion_tokens": "4"}, None),
        ({"prompt_tokens": 0, "completion_tokens": 0}, None),
        ({"prompt_tokens": 9, "prompt_tokens_details": 7}, Usage(9)),
        ({}, None),
        (None, None),
        ([], None),
    ],
)
def test_reads_usage_inclusively(usage: object, read_as: Usage | None) -> None:
    assert read({"content": "hi"}, usage=usage).usage == read_as


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"<html>", b"[]", b"null", b"{}", b'{"choices": []}', b'{"choices": [7]}',
        b'{"choices": [{}]}', b'{"choices": [{"message": null}]}', b'{"choices": {"0": 1}}',
        b'{"choices": [{"message": {"tool_calls": [{"function": {"name": 3}}]}}]}',
        b'{"choices": [{"message": {"tool_calls": [{"function": {"name": "f", "arguments": '
        + b'{"a":' * 500 + b"1" + b"}" * 500 + b"}}]}}]}",
        b"[" * 100_000,
    ],
)  # fmt: skip
def test_refuses_what_is_no_answer(answer: bytes) -> None:
    with pytest.raises(UnreadableAnswer):
        OFFICIAL.read(answer)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"error": {"message": "m", "code": 503}}, 503),
        ({"error": {"message": "m", "code": "429"}}, 429),
        ({"error": {"message": "m", "code": "insufficient_quota"}}, 429),
        ({"error": {"message": "m", "type": "invalid_request_error"}}, 400),
        (
            {"error": {"type": "invalid_request_error", "code": "invalid_api_key"}},
            401,
        ),
        ({"error": {"message": "m", "code": 7}}, 500),
        ({"error": {"message": "m", "code": True}}, 500),
        ({"error": "overloaded"}, 500),
        ({"object": "error", "message": "m", "code": 404}, 404),
        ({"choices": [{"message": {"content": "hi"}, "finish_reason": "error"}]}, 500),
        (
            {
                "choices": [
                    {"message": {"content": "h"}, "finish_reason": "insufficient_system_resource"}
                ]
            },
            503,
        ),
    ],
)
def test_tells_an_error_within_a_200(answer: dict[str, object], status: int) -> None:
    body = orjson.dumps(answer)
    with pytest.raises(StreamFailed) as failed:
        OFFICIAL.read(body)
    assert failed.value.status == status
    assert failed.value.body == body


@given(JSON)
def test_any_json_is_read_or_refused(value: object) -> None:
    for answer in (
        value,
        {"choices": value},
        {"choices": [{"message": value}]},
        {
            "choices": [
                {"message": {"content": value, "tool_calls": [{"function": value}, value]}}
            ],
            "usage": value,
        },
        {"error": value, "usage": {"prompt_tokens": value, "prompt_tokens_details": value}},
        {"error": {"code": value, "type": value}},
    ):
        with contextlib.suppress(UnreadableAnswer, StreamFailed):
            OFFICIAL.read(json.dumps(answer).encode())


@pytest.fixture
async def simulator() -> AsyncIterator[str]:
    behaviour = Behaviour(api_key=None, timing=SkippedTiming())
    async with running_simulator(behaviour) as url:
        yield url


async def ask(url: str, model: str, conversation: Conversation) -> ChatAnswer:
    call = OFFICIAL.ask(conversation, model)
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/v1{call.path}", data=call.body) as response,
    ):
        assert response.status == 200
        return OFFICIAL.read(await response.read())


async def test_reads_a_real_answer(simulator: str) -> None:
    conversation = Conversation(system=(Text("be short"),), turns=HELLO, max_output_tokens=9)
    answer = await ask(simulator, "gpt-5", conversation)
    [said] = answer.parts
    assert isinstance(said, Text)
    assert said.text.startswith("A simulated answer.")
    assert answer.finish is FinishReason.LENGTH
    assert answer.usage is not None
    assert answer.usage.output == 9


async def test_reads_real_calls_and_answers_them(simulator: str) -> None:
    asked = Conversation(turns=HELLO, tools=(WEATHER,))
    answer = await ask(simulator, "tools-2", asked)
    assert answer.finish is FinishReason.TOOL_CALLS
    calls = [part for part in answer.parts if isinstance(part, ToolCall)]
    assert [call.name for call in calls] == ["get_weather", "get_weather"]
    results = tuple(ToolResult(call.id, (Text("sunny"),), call.name) for call in calls)
    turns = (*HELLO, assistant(*calls), user(*results))
    answer = await ask(simulator, "tools-2", Conversation(turns=turns, tools=(WEATHER,)))
    assert answer.finish is FinishReason.STOP


async def test_reads_real_thoughts_refusals_and_caches(simulator: str) -> None:
    answer = await ask(simulator, "thinking-5-cached-50", Conversation(turns=HELLO))
    assert isinstance(answer.parts[0], Reasoning)
    assert answer.usage is not None
    assert answer.usage.reasoning == 5
    assert 0 < answer.usage.cache_read < answer.usage.input
    refused = await ask(simulator, "refusal", Conversation(turns=HELLO))
    assert refused.finish is FinishReason.REFUSAL
    assert isinstance(refused.parts[0], Refusal)
    filtered = await ask(simulator, "filtered", Conversation(turns=HELLO))
    assert filtered.finish is FinishReason.CONTENT_FILTER


async def test_reads_real_json_by_a_schema(simulator: str) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    }
    conversation = Conversation(turns=HELLO, output=OutputFormat(schema, strict=True))
    [said] = (await ask(simulator, "gpt-5", conversation)).parts
    assert isinstance(said, Text)
    assert orjson.loads(said.text).keys() == {"city"}


@pytest.mark.parametrize("model", ["web-page", "not-json", "other-json", "empty"])
async def test_refuses_what_no_provider_should_answer(simulator: str, model: str) -> None:
    with pytest.raises(UnreadableAnswer):
        await ask(simulator, model, Conversation(turns=HELLO))
