"""What Anthropic is asked for a chat."""

from itertools import pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.gateway.conversation import (
    Conversation,
    Image,
    JsonObject,
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
from trunkline.gateway.dialects.anthropic import AnthropicDialect
from trunkline.gateway.protocols import CannotSay

BUDGETS = "claude-sonnet-4-5-20250929"
MIDDLE = "claude-opus-4-6"
NEWEST = "claude-opus-5-5"
HELLO = (Turn(Role.USER, (Text("hello"),)),)
WEATHER = Tool("weather", "Tells it.", {"type": "object", "properties": {}})


def ask(
    conversation: Conversation, wire_name: str = BUDGETS
) -> tuple[dict[str, object], tuple[str, ...]]:
    call = AnthropicDialect().ask(conversation, wire_name)
    assert call.path == "/v1/messages"
    body = orjson.loads(call.body)
    assert isinstance(body, dict)
    assert body.pop("model") == wire_name
    return body, call.dropped


def messages(*turns: Turn) -> object:
    return ask(Conversation(turns=turns))[0]["messages"]


def user(*parts: Part) -> Turn:
    return Turn(Role.USER, parts)


def assistant(*parts: Part) -> Turn:
    return Turn(Role.ASSISTANT, parts)


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def test_asks_with_a_bound_where_the_caller_sets_none() -> None:
    body, dropped = ask(Conversation(turns=HELLO))
    assert body == {
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": [text("hello")]}],
    }
    assert dropped == ()


def test_says_every_shared_parameter() -> None:
    body, dropped = ask(
        Conversation(
            system=(Text("Be brief."),),
            turns=HELLO,
            max_output_tokens=50,
            temperature=0.5,
            top_k=7,
            stop=("END",),
            user="u-1",
            stream=True,
        )
    )
    assert body == {
        "max_tokens": 50,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": [text("hello")]}],
        "stream": True,
        "temperature": 0.5,
        "top_k": 7,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u-1"},
    }
    assert dropped == ()


def test_several_instructions_stay_apart_and_blank_ones_are_left_out() -> None:
    body, _ = ask(Conversation(system=(Text("One."), Text(" "), Text("Two.")), turns=HELLO))
    assert body["system"] == [text("One."), text("Two.")]


@pytest.mark.parametrize(
    ("conversation", "dropped"),
    [
        (Conversation(turns=HELLO, temperature=1.3), ("temperature",)),
        (Conversation(turns=HELLO, seed=0), ("seed",)),
        (Conversation(turns=HELLO, presence_penalty=0.5), ("presence_penalty",)),
        (Conversation(turns=HELLO, frequency_penalty=-0.5), ("frequency_penalty",)),
        (Conversation(turns=HELLO, presence_penalty=0.0, frequency_penalty=0.0), ()),
        (Conversation(turns=HELLO, stop=("\n\n", "  ")), ("stop",)),
        (Conversation(turns=HELLO, user="u" * 257), ("user",)),
        (Conversation(turns=HELLO, reasoning_effort="enormous"), ("reasoning_effort",)),
    ],
)
def test_drops_by_name_what_the_api_does_not_have(
    conversation: Conversation, dropped: tuple[str, ...]
) -> None:
    body, said = ask(conversation)
    assert said == dropped
    assert body.keys() == {"max_tokens", "messages"}


def test_a_temperature_and_top_p_are_not_sent_together() -> None:
    body, dropped = ask(Conversation(turns=HELLO, temperature=0.2, top_p=0.9))
    assert body["temperature"] == 0.2
    assert "top_p" not in body
    assert dropped == ("top_p",)
    body, dropped = ask(Conversation(turns=HELLO, temperature=1.7, top_p=0.9))
    assert body["top_p"] == 0.9
    assert dropped == ("temperature",)


@pytest.mark.parametrize("wire_name", ["claude-opus-4-7", "claude-sonnet-5", "claude-haiku-5-5"])
def test_models_that_refuse_sampling_get_none(wire_name: str) -> None:
    conversation = Conversation(turns=HELLO, temperature=0.2, top_p=0.9, top_k=3)
    body, dropped = ask(conversation, wire_name)
    assert body.keys() == {"max_tokens", "messages"}
    assert dropped == ("temperature", "top_p", "top_k")


def test_results_of_tools_stand_first_after_their_calls() -> None:
    assert messages(
        user(Text("Weather in Rome and Oslo?")),
        assistant(
            Text("I look."),
            ToolCall("call_1", "weather", '{"city":"Rome"}'),
            ToolCall("call_2", "weather", ""),
        ),
        user(ToolResult("call_1", (Text("sun"),))),
        user(Text("And quickly."), ToolResult("call_2", (), is_error=True)),
    ) == [
        {"role": "user", "content": [text("Weather in Rome and Oslo?")]},
        {
            "role": "assistant",
            "content": [
                text("I look."),
                {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Rome"}},
                {"type": "tool_use", "id": "call_2", "name": "weather", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": [text("sun")]},
                {"type": "tool_result", "tool_use_id": "call_2", "is_error": True},
                text("And quickly."),
            ],
        },
    ]


def test_turns_of_one_side_are_one_message_and_empty_ones_none() -> None:
    assert messages(
        user(Text("a")),
        assistant(Text("  "), Reasoning("unproven")),
        user(Text("b"), Text("")),
        assistant(Refusal("No.")),
        assistant(Text("Really.")),
        user(Text("c")),
    ) == [
        {"role": "user", "content": [text("a"), text("b")]},
        {"role": "assistant", "content": [text("No."), text("Really.")]},
        {"role": "user", "content": [text("c")]},
    ]


def test_a_beginning_of_an_answer_ends_without_white_space() -> None:
    assert messages(*HELLO, assistant(Text("The answer is \n")))[-1] == {  # type: ignore[index]
        "role": "assistant",
        "content": [text("The answer is")],
    }


def test_proven_thoughts_go_back() -> None:
    assert messages(
        *HELLO,
        assistant(Reasoning("hm", "sig"), Reasoning(redacted="xyz"), Text("hi")),
        *HELLO,
    )[1] == {  # type: ignore[index]
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "redacted_thinking", "data": "xyz"},
            text("hi"),
        ],
    }


def test_shows_images_also_in_results() -> None:
    pixel = Image("image/png", "aGk=")
    base64 = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    assert messages(
        user(Image(url="https://example.com/cat.png"), pixel),
        assistant(ToolCall("c", "look", "{}")),
        user(ToolResult("c", (pixel,))),
    ) == [
        {
            "role": "user",
            "content": [
                {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}},
                {"type": "image", "source": base64},
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "c", "name": "look", "input": {}}],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "c",
                    "content": [{"type": "image", "source": base64}],
                }
            ],
        },
    ]


def test_ids_of_other_providers_are_made_such_as_are_taken_and_still_meet() -> None:
    sent = messages(
        *HELLO,
        assistant(ToolCall("functions.read:0", "read", "{}"), ToolCall("", "read", "{}")),
        user(ToolResult("functions.read:0", ()), ToolResult("", ())),
    )
    assert isinstance(sent, list)
    calls = [block["id"] for block in sent[1]["content"]]
    assert calls == [block["tool_use_id"] for block in sent[2]["content"]]
    assert len(set(calls)) == 2
    assert all(call_id.replace("_", "").isalnum() for call_id in calls)


@pytest.mark.parametrize("arguments", ["[1]", "{", "null", '"x"', "[" * 5000])
def test_arguments_that_are_no_object_are_refused_with_the_call(arguments: str) -> None:
    with pytest.raises(CannotSay, match="'weather' are no JSON object"):
        messages(*HELLO, assistant(ToolCall("c", "weather", arguments)))


@pytest.mark.parametrize(
    ("conversation", "words"),
    [
        (Conversation(turns=()), "need a message"),
        (Conversation(turns=(user(Text(" ")),)), "need a message"),
        (Conversation(turns=HELLO, output=OutputFormat()), "give a json_schema"),
        (Conversation(turns=HELLO, tool_choice=ToolChoice("required")), "no tools are given"),
        (Conversation(turns=(user(Image()),)), "neither data nor a URL"),
        (Conversation(turns=(user(Image(data="aGk=")),)), "media type"),
        (Conversation(turns=(*HELLO, assistant(Image(url="https://x/y")))), "from the user only"),
        (Conversation(turns=(assistant(ToolResult("c", ())),)), "assistant's turn"),
        (Conversation(turns=(user(ToolCall("c", "weather", "{}")),)), "user's turn"),
        (Conversation(turns=(user(Text("\ud800!")),)), "can't be written"),
    ],
)
def test_what_can_not_be_said_is_refused(conversation: Conversation, words: str) -> None:
    with pytest.raises(CannotSay, match=words):
        ask(conversation)


def test_gives_tools_with_a_schema_of_an_object() -> None:
    tools = (WEATHER, Tool("now"), Tool("add", parameters={"properties": {"a": {}}}, strict=True))
    body, _ = ask(Conversation(turns=HELLO, tools=tools))
    assert body["tools"] == [
        {
            "name": "weather",
            "input_schema": {"type": "object", "properties": {}},
            "description": "Tells it.",
        },
        {"name": "now", "input_schema": {"type": "object", "properties": {}}},
        {
            "name": "add",
            "input_schema": {
                "properties": {"a": {}},
                "type": "object",
                "additionalProperties": False,
            },
            "strict": True,
        },
    ]


@pytest.mark.parametrize(
    ("choice", "parallel", "said"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("auto"), True, {"type": "auto"}),
        (ToolChoice("none"), False, {"type": "none"}),
        (ToolChoice("required"), None, {"type": "any"}),
        (ToolChoice("required"), False, {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice("named", "weather"), None, {"type": "tool", "name": "weather"}),
    ],
)
def test_chooses_tools(
    choice: ToolChoice | None, parallel: bool | None, said: dict[str, object] | None
) -> None:
    body, _ = ask(
        Conversation(
            turns=HELLO, tools=(WEATHER,), tool_choice=choice, parallel_tool_calls=parallel
        )
    )
    assert body.get("tool_choice") == said


def test_a_choice_without_tools_is_nothing_to_say() -> None:
    body, dropped = ask(Conversation(turns=HELLO, tool_choice=ToolChoice("auto")))
    assert "tool_choice" not in body
    assert dropped == ()


@pytest.mark.parametrize(
    ("most", "effort", "tokens", "budget", "max_tokens"),
    [
        (None, "low", None, 2048, 4096 + 2048),
        (None, "max", None, 32768, 4096 + 32768),
        (None, None, 100, 1024, 4096 + 1024),
        (None, None, 10**9, 4096 + 32768 - 1, 4096 + 32768),
        (20_000, "medium", None, 8192, 20_000),
        (5_000, "high", None, 4_999, 5_000),
        (1_025, "minimal", None, 1_024, 1_025),
    ],
)
def test_thinks_within_a_budget_below_its_bound(
    most: int | None, effort: str | None, tokens: int | None, budget: int, max_tokens: int
) -> None:
    body, dropped = ask(
        Conversation(
            turns=HELLO,
            max_output_tokens=most,
            reasoning_effort=effort,
            reasoning_tokens=tokens,
        )
    )
    assert body["thinking"] == {"type": "enabled", "budget_tokens": budget}
    assert body["max_tokens"] == max_tokens
    assert "output_config" not in body
    assert dropped == ()


@pytest.mark.parametrize(
    ("wire_name", "effort", "tokens", "said"),
    [
        (NEWEST, "minimal", None, "low"),
        (NEWEST, "medium", None, "medium"),
        (NEWEST, "xhigh", None, "xhigh"),
        (MIDDLE, "xhigh", None, "high"),
        (MIDDLE, "max", None, "high"),
        (NEWEST, None, 500, "low"),
        (NEWEST, None, 10_000, "high"),
        (NEWEST, None, 30_000, "xhigh"),
        (NEWEST, None, 10**6, "xhigh"),
        ("anthropic.claude-opus-4-6-v1", "high", None, "high"),
        ("claude-mythos-preview", "high", None, "high"),
        ("claude-fable-5", "high", None, "high"),
    ],
)
def test_later_models_think_by_effort(
    wire_name: str, effort: str | None, tokens: int | None, said: str
) -> None:
    body, dropped = ask(
        Conversation(turns=HELLO, reasoning_effort=effort, reasoning_tokens=tokens), wire_name
    )
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert body["output_config"] == {"effort": said}
    assert dropped == ()


@pytest.mark.parametrize(
    "wire_name",
    ["claude-3-7-sonnet-20250219", "claude-sonnet-4-20250514", "claude-haiku-4-5", "other-5-1"],
)
def test_earlier_and_other_models_think_by_budget(wire_name: str) -> None:
    body, _ = ask(Conversation(turns=HELLO, reasoning_effort="low"), wire_name)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 2048}


def test_no_thinking_is_asked_for_where_it_can_be_turned_off() -> None:
    silent = Conversation(turns=HELLO, reasoning_tokens=0)
    for wire_name in (BUDGETS, NEWEST):
        body, dropped = ask(silent, wire_name)
        assert body["thinking"] == {"type": "disabled"}
        assert dropped == ()
    body, dropped = ask(Conversation(turns=HELLO, reasoning_effort="none"), "claude-fable-5-2")
    assert "thinking" not in body
    assert dropped == ("reasoning_effort",)


@pytest.mark.parametrize(
    "conversation",
    [
        Conversation(turns=HELLO, reasoning_effort="low", max_output_tokens=1024),
        Conversation(
            turns=HELLO,
            reasoning_effort="low",
            tools=(WEATHER,),
            tool_choice=ToolChoice("named", "weather"),
        ),
        Conversation(turns=(*HELLO, assistant(Text("So:"))), reasoning_effort="low"),
        Conversation(
            turns=(
                *HELLO,
                assistant(ToolCall("c", "weather", "{}")),
                user(ToolResult("c", (Text("sun"),))),
            ),
            tools=(WEATHER,),
            reasoning_effort="low",
        ),
    ],
)
def test_reasoning_is_dropped_where_the_api_refuses_it(conversation: Conversation) -> None:
    body, dropped = ask(conversation)
    assert "thinking" not in body
    assert dropped == ("reasoning_effort",)


def test_thinks_on_after_calls_whose_thoughts_were_kept() -> None:
    turns = (
        *HELLO,
        assistant(Reasoning("hm", "sig"), ToolCall("c", "weather", "{}")),
        user(ToolResult("c", (Text("sun"),))),
    )
    body, dropped = ask(Conversation(turns=turns, tools=(WEATHER,), reasoning_effort="low"))
    assert "thinking" in body
    assert dropped == ()


@pytest.mark.parametrize(
    ("sampling", "kept", "dropped"),
    [
        ({"temperature": 0.5}, {}, ("temperature",)),
        ({"temperature": 1.0}, {"temperature": 1.0}, ()),
        ({"top_p": 0.5}, {}, ("top_p",)),
        ({"top_p": 0.95}, {"top_p": 0.95}, ()),
        ({"top_k": 5}, {}, ("top_k",)),
    ],
)
def test_thinking_forbids_sampling(
    sampling: dict[str, float], kept: dict[str, float], dropped: tuple[str, ...]
) -> None:
    body, said = ask(
        Conversation(
            turns=HELLO,
            reasoning_effort="low",
            temperature=sampling.get("temperature"),
            top_p=sampling.get("top_p"),
            top_k=5 if "top_k" in sampling else None,
        )
    )
    assert {name: body[name] for name in sampling if name in body} == kept
    assert said == dropped


def test_asks_for_json_by_schema() -> None:
    schema: JsonObject = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}
    body, dropped = ask(Conversation(turns=HELLO, output=OutputFormat(schema, name="numbers")))
    assert body["output_config"] == {
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"n": {"type": "integer", "description": '{"minimum":1}'}},
                "additionalProperties": False,
            },
        }
    }
    assert dropped == ("schema.minimum",)


texts = st.text(st.characters(), max_size=8)
parts = st.one_of(
    st.builds(Text, texts),
    st.builds(Image, st.none() | texts, st.none() | texts, st.none() | texts),
    st.builds(Reasoning, texts, st.none() | texts, st.none() | texts),
    st.builds(Refusal, texts),
    st.builds(ToolCall, texts, texts, st.sampled_from(["{}", "", "[", '{"a":1}']) | texts),
    st.builds(ToolResult, texts, st.lists(st.builds(Text, texts)).map(tuple)),
)
json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "properties", "items", "anyOf", "minimum"]) | texts, inner
        )
    ),
    max_leaves=10,
)
schemas = st.none() | st.dictionaries(
    st.sampled_from(["type", "properties", "items", "additionalProperties", "$defs"]), json
)
conversations = st.builds(
    Conversation,
    turns=st.lists(st.builds(Turn, st.sampled_from(Role), st.lists(parts).map(tuple)), max_size=4),
    system=st.lists(st.builds(Text, texts), max_size=2).map(tuple),
    tools=st.lists(
        st.builds(Tool, texts, st.none() | texts, schemas, st.none() | st.booleans()), max_size=2
    ).map(tuple),
    tool_choice=st.none() | st.builds(ToolChoice, st.sampled_from(["auto", "none", "required"])),
    output=st.none() | st.builds(OutputFormat, schemas),
    max_output_tokens=st.none() | st.integers(1, 2**70),
    temperature=st.none() | st.floats(),
    top_p=st.none() | st.floats(),
    top_k=st.none() | st.integers(),
    stop=st.lists(texts, max_size=2).map(tuple),
    reasoning_tokens=st.none() | st.integers(),
    user=st.none() | texts,
)


@settings(deadline=None)
@given(conversations, st.sampled_from([BUDGETS, MIDDLE, NEWEST, "claude-mythos-preview", "x"]))
def test_any_chat_is_said_or_refused(conversation: Conversation, wire_name: str) -> None:
    try:
        body, _ = ask(conversation, wire_name)
    except CannotSay:
        return
    sent = body["messages"]
    assert isinstance(sent, list)
    assert all(message["content"] for message in sent)
    roles = [message["role"] for message in sent]
    assert all(role != after for role, after in pairwise(roles))
