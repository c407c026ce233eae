"""Calls of tools, and answers that fit a schema."""

import json
from typing import Any

import pytest

from tests.server.simulated.asking import PROTOCOLS, TOOL, Client

Calls = list[tuple[str, Any]]


def calls_of(protocol: str, answer: dict[str, Any]) -> Calls:
    match protocol:
        case "openai":
            message = answer["choices"][0]["message"]
            functions = [one["function"] for one in message.get("tool_calls", [])]
            return [(one["name"], json.loads(one["arguments"])) for one in functions]
        case "anthropic":
            blocks = [one for one in answer["content"] if one["type"] == "tool_use"]
            return [(one["name"], one["input"]) for one in blocks]
        case "google":
            parts = answer["candidates"][0]["content"]["parts"]
            called = [one["functionCall"] for one in parts if "functionCall" in one]
            return [(one["name"], one["args"]) for one in called]
        case _:
            functions = [one["function"] for one in answer["message"].get("tool_calls", [])]
            return [(one["name"], one["arguments"]) for one in functions]


WEATHER = ("get_weather", {"city": "simulated", "days": 5, "unit": "celsius"})


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_tool_is_called_when_the_prompt_names_it(client: Client, protocol: str) -> None:
    assert calls_of(protocol, (await client.ask(protocol, "m", tools=True)).json) == []
    asked = await client.ask(protocol, "m", tools=True, text="please get_weather")
    assert calls_of(protocol, asked.json) == [WEATHER]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_name_asks_for_parallel_calls(client: Client, protocol: str) -> None:
    called = calls_of(protocol, (await client.ask(protocol, "tools-3", tools=True)).json)
    assert called == [WEATHER, ("get_time", {}), WEATHER]
    assert calls_of(protocol, (await client.ask(protocol, "tools-3")).json) == []


@pytest.mark.parametrize(
    ("protocol", "choice", "names"),
    [
        ("openai", {"tool_choice": "required"}, ["get_weather"]),
        ("openai", {"tool_choice": "none"}, []),
        (
            "openai",
            {"tool_choice": {"type": "function", "function": {"name": "get_time"}}},
            ["get_time"],
        ),
        ("anthropic", {"tool_choice": {"type": "any"}}, ["get_weather"]),
        ("anthropic", {"tool_choice": {"type": "tool", "name": "get_time"}}, ["get_time"]),
        ("anthropic", {"tool_choice": {"type": "none"}}, []),
        ("google", {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}, ["get_weather"]),
    ],
)
async def test_the_choice_of_tools_is_kept(
    client: Client, protocol: str, choice: dict[str, Any], names: list[str]
) -> None:
    answer = (await client.ask(protocol, "m", tools=True, **choice)).json
    assert [name for name, _ in calls_of(protocol, answer)] == names


async def test_parallel_calls_can_be_switched_off(client: Client) -> None:
    one = await client.ask("openai", "tools-2", tools=True, parallel_tool_calls=False)
    assert len(calls_of("openai", one.json)) == 1
    auto = {"type": "auto", "disable_parallel_tool_use": True}
    one = await client.ask("anthropic", "tools-2", tools=True, tool_choice=auto)
    assert len(calls_of("anthropic", one.json)) == 1


async def test_a_tools_result_is_answered_in_words(client: Client) -> None:
    call = (await client.ask("openai", "tools", tools=True)).json["choices"][0]
    assert call["finish_reason"] == "tool_calls"
    assert call["message"]["content"] is None
    messages = [
        {"role": "user", "content": "get_weather"},
        call["message"],
        {"role": "tool", "tool_call_id": "call_1", "content": "get_weather: sunny"},
    ]
    after = (await client.ask("openai", "tools", tools=True, messages=messages)).json
    assert after["choices"][0]["finish_reason"] == "stop"
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
    said = [{"role": "user", "content": [result]}]
    after = (await client.ask("anthropic", "tools", tools=True, messages=said)).json
    assert after["stop_reason"] == "end_turn"


async def test_openai_streams_calls_in_pieces(client: Client) -> None:
    streamed = await client.ask("openai", "tools-2", stream=True, tools=True)
    deltas = [one["choices"][0]["delta"] for one in streamed.events[:-2]]
    pieces = [one["tool_calls"][0] for one in deltas if "tool_calls" in one]
    begun = [one for one in pieces if "id" in one]
    assert [(one["index"], one["function"]["name"]) for one in begun] == [
        (0, "get_weather"),
        (1, "get_time"),
    ]
    assert len({one["id"] for one in begun}) == 2
    first = [one["function"]["arguments"] for one in pieces if one["index"] == 0]
    assert len(first) > 3
    assert json.loads("".join(first)) == WEATHER[1]
    assert streamed.events[-3]["choices"][0]["finish_reason"] == "tool_calls"


async def test_anthropic_streams_calls_as_blocks(client: Client) -> None:
    streamed = await client.ask("anthropic", "tools-2", stream=True, tools=True)
    begun = [one for one in streamed.events if one["type"] == "content_block_start"]
    assert [one["content_block"]["name"] for one in begun] == ["get_weather", "get_time"]
    assert all(one["content_block"]["input"] == {} for one in begun)
    deltas = [one for one in streamed.events if one["type"] == "content_block_delta"]
    first = [one["delta"]["partial_json"] for one in deltas if one["index"] == 0]
    assert json.loads("".join(first)) == WEATHER[1]
    assert streamed.events[-2]["delta"]["stop_reason"] == "tool_use"


SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 5},
        "count": {"type": "integer", "minimum": 10},
        "score": {"type": ["number", "null"]},
        "good": {"type": "boolean"},
        "kind": {"enum": ["b", "a"]},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2},
        "inner": {"$ref": "#/$defs/inner"},
        "either": {"anyOf": [{"type": "null"}, {"type": "string"}]},
    },
    "$defs": {"inner": {"type": "object", "properties": {"on": {"format": "date"}}}},
}
FITTING = {
    "title": "simul", "count": 10, "score": 7, "good": True, "kind": "b",
    "tags": ["simulated", "simulated"], "inner": {"on": "2026-01-02"}, "either": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("protocol", "wanted"),
    [
        (
            "openai",
            {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}},
        ),
        (
            "anthropic",
            {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        ),
        (
            "google",
            {
                "generationConfig": {
                    "responseMimeType": "application/json",
                    "responseJsonSchema": SCHEMA,
                }
            },
        ),
        ("ollama", {"format": SCHEMA}),
    ],
)
async def test_an_answer_fits_its_schema(
    client: Client, protocol: str, wanted: dict[str, Any]
) -> None:
    answer = (await client.ask(protocol, "m", **wanted)).json
    text = {
        "openai": lambda: answer["choices"][0]["message"]["content"],
        "anthropic": lambda: answer["content"][0]["text"],
        "google": lambda: answer["candidates"][0]["content"]["parts"][0]["text"],
        "ollama": lambda: answer["message"]["content"],
    }[protocol]()
    assert json.loads(text) == FITTING


async def test_json_without_a_schema_is_an_object(client: Client) -> None:
    answer = (await client.ask("openai", "m", response_format={"type": "json_object"})).json
    assert json.loads(answer["choices"][0]["message"]["content"]) == {"answer": "simulated"}


async def test_a_schema_that_nests_without_end_is_answered(client: Client) -> None:
    properties = {str(number): {"$ref": "#"} for number in range(50)}
    endless = {"type": "object", "properties": properties}
    assert (await client.ask("ollama", "m", format=endless)).status == 200
    circle = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
    assert (await client.ask("ollama", "m", format=circle)).status == 200
    assert TOOL["type"] == "object"
