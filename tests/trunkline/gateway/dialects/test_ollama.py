"""What Ollama is asked, for each thing that a chat can hold."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given

from tests.trunkline.gateway.dialects.conversations import CONVERSATIONS, HELLO, PIXEL, model, user
from tests.trunkline.gateway.dialects.reading import UNTIMED
from trunkline.gateway.conversation import (
    Conversation,
    Image,
    OutputFormat,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from trunkline.gateway.dialects.ollama import OllamaDialect
from trunkline.gateway.protocols import CannotSay, ProviderCall


def call_of(conversation: Conversation, name: str = "llama3.2:3b") -> ProviderCall:
    return OllamaDialect().ask(conversation, name)


def asked(conversation: Conversation, name: str = "llama3.2:3b") -> Any:
    return orjson.loads(call_of(conversation, name).body)


def messages_of(*turns: Turn) -> Any:
    return asked(Conversation(turns=turns))["messages"]


def test_plain_chat_refuses_to_be_cut_and_says_whether_it_streams() -> None:
    assert call_of(HELLO).path == "/api/chat"
    assert asked(HELLO) == {
        "model": "llama3.2:3b",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": False,
        "truncate": False,
        "shift": False,
    }
    assert asked(replace(HELLO, stream=True))["stream"] is True


def test_messages_with_system_images_thoughts_and_refusals() -> None:
    body = asked(
        Conversation(
            system=(Text("be brief"), Text("be kind")),
            turns=[
                user(Text("what"), PIXEL, Text("is it?"), PIXEL),
                model(Reasoning("hm", "sig"), Text("a cat"), Refusal("no more")),
                model(),
                user(PIXEL),
            ],
        )
    )
    assert body["messages"] == [
        {"role": "system", "content": "be brief\nbe kind"},
        {"role": "user", "content": "what\nis it?", "images": ["aGk=", "aGk="]},
        {"role": "assistant", "content": "a cat\nno more", "thinking": "hm"},
        {"role": "user", "content": "", "images": ["aGk="]},
    ]


def test_calls_and_results_go_with_names_and_objects() -> None:
    messages = messages_of(
        user(Text("weather?")),
        model(ToolCall("c1", "get_weather", '{"city":"Rome"}'), ToolCall("c2", "now", "")),
        user(
            ToolResult("c1", (Text("sunny"), PIXEL)),
            ToolResult("c2", (Text("no clock"),), is_error=True),
            Text("so?"),
        ),
    )
    assert messages[1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "c1", "function": {"name": "get_weather", "arguments": {"city": "Rome"}}},
                {"id": "c2", "function": {"name": "now", "arguments": {}}},
            ],
        },
        {
            "role": "tool", "content": "sunny", "tool_call_id": "c1", "tool_name": "get_weather",
            "images": ["aGk="],
        },
        {
            "role": "tool", "content": "Error: no clock", "tool_call_id": "c2", "tool_name": "now",
        },
        {"role": "user", "content": "so?"},
    ]  # fmt: skip


def test_what_is_said_before_a_result_is_said_once() -> None:
    said = [
        message["content"]
        for message in messages_of(
            user(Text("look:"), ToolResult("c1", (Text("sunny"),)), Text("so?"))
        )
    ]
    assert said == ["look:", "sunny", "so?"]


def test_result_keeps_the_name_that_it_came_with() -> None:
    [message] = messages_of(user(ToolResult("c9", (Text("x"),), name="look")))
    assert message["tool_name"] == "look"


def test_arguments_that_are_no_object_are_refused() -> None:
    with pytest.raises(CannotSay, match="'now' are no JSON object"):
        messages_of(model(ToolCall("c1", "now", "[]")))


def test_image_by_its_url_is_refused_with_what_to_do() -> None:
    for part in (Image(url="https://a.b/c.png"), ToolResult("c", (Image(url="https://a.b"),))):
        with pytest.raises(CannotSay, match="send its data"):
            messages_of(user(part))


@pytest.mark.parametrize("turns", [[], [user()], [user(Text(""))], [model(Text(""))]])
def test_chat_that_says_nothing_is_refused(turns: list[Turn]) -> None:
    with pytest.raises(CannotSay, match="at least one message"):
        messages_of(*turns)


TOOLS = (Tool("now"), Tool("sum", "Adds", {"type": "object", "properties": {"a": {}}}))


@pytest.mark.parametrize("choice", [None, ToolChoice("auto")])
def test_tools_that_may_be_called(choice: ToolChoice | None) -> None:
    nothing = {"type": "object", "properties": {}}
    assert asked(replace(HELLO, tools=TOOLS, tool_choice=choice))["tools"] == [
        {"type": "function", "function": {"name": "now", "parameters": nothing}},
        {
            "type": "function",
            "function": {
                "name": "sum", "description": "Adds",
                "parameters": {"type": "object", "properties": {"a": {}}},
            },
        },
    ]  # fmt: skip


def test_tools_that_may_not_be_called_are_left_out() -> None:
    assert "tools" not in asked(replace(HELLO, tools=TOOLS, tool_choice=ToolChoice("none")))


@pytest.mark.parametrize("choice", [ToolChoice("required"), ToolChoice("named", "now")])
def test_tools_that_must_be_called_are_refused(choice: ToolChoice) -> None:
    with pytest.raises(CannotSay, match="leave tool_choice at 'auto'"):
        call_of(replace(HELLO, tools=TOOLS, tool_choice=choice))


def test_options_and_format() -> None:
    schema = {"type": "object"}
    body = asked(
        replace(
            HELLO, max_output_tokens=99, temperature=0.0, top_p=0.9, top_k=40, stop=("END",),
            seed=7, presence_penalty=0.1, frequency_penalty=-0.2, output=OutputFormat(schema),
            user="someone",
        )
    )  # fmt: skip
    assert body["options"] == {
        "num_predict": 99, "temperature": 0.0, "top_p": 0.9, "top_k": 40, "stop": ["END"],
        "seed": 7, "presence_penalty": 0.1, "frequency_penalty": -0.2,
    }  # fmt: skip
    assert body["format"] == schema
    assert asked(replace(HELLO, output=OutputFormat()))["format"] == "json"
    assert "someone" not in str(body)


@pytest.mark.parametrize(
    ("name", "effort", "think"),
    [
        ("gpt-oss:20b", "minimal", "low"),
        ("gpt-oss:20b", "medium", "medium"),
        ("someone/gpt-oss", "xhigh", "high"),
        ("qwen3:8b", "low", True),
        ("qwen3:8b", "none", False),
    ],
)
def test_effort_is_a_level_where_the_model_has_them(
    name: str, effort: str, think: bool | str
) -> None:
    assert asked(replace(HELLO, reasoning_effort=effort), name)["think"] == think


def test_budget_of_thinking_says_only_that_there_is_one() -> None:
    call = call_of(replace(HELLO, reasoning_tokens=2_000))
    assert orjson.loads(call.body)["think"] is True
    assert call.dropped == ("thinking.budget_tokens",)
    call = call_of(replace(HELLO, reasoning_tokens=0))
    assert orjson.loads(call.body)["think"] is False
    assert call.dropped == ()


def test_one_call_at_a_time_has_no_counterpart() -> None:
    assert call_of(replace(HELLO, parallel_tool_calls=False)).dropped == ("parallel_tool_calls",)


@UNTIMED
@given(CONVERSATIONS)
def test_any_chat_is_asked_or_refused(conversation: Conversation) -> None:
    try:
        call = call_of(conversation)
    except CannotSay:
        return
    assert orjson.loads(call.body)["messages"]
