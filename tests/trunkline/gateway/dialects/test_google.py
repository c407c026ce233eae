"""What Gemini is asked, for each thing that a chat can hold."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from trunkline.gateway.dialects.google import GoogleDialect
from trunkline.gateway.protocols import CannotSay, ProviderCall

WEATHER = Tool("get_weather", "The weather", {"type": "object", "properties": {"city": {}}})


def call_of(conversation: Conversation, name: str = "gemini-2.5-flash") -> ProviderCall:
    return GoogleDialect().ask(conversation, name)


def asked(conversation: Conversation, name: str = "gemini-2.5-flash") -> Any:
    return orjson.loads(call_of(conversation, name).body)


def contents_of(*turns: Turn, name: str = "gemini-2.5-flash") -> Any:
    return asked(Conversation(turns=turns), name)["contents"]


@pytest.mark.parametrize(
    ("name", "stream", "path"),
    [
        ("gemini-2.5-pro", False, "/v1beta/models/gemini-2.5-pro:generateContent"),
        ("gemini-2.5-pro", True, "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"),
        ("tunedModels/my-tune", False, "/v1beta/tunedModels/my-tune:generateContent"),
        ("a?b#c d", False, "/v1beta/models/a%3Fb%23c%20d:generateContent"),
    ],
)
def test_path_names_the_model_and_whether_it_streams(name: str, stream: bool, path: str) -> None:
    assert call_of(replace(HELLO, stream=stream), name).path == path


def test_plain_chat_holds_nothing_that_was_not_asked() -> None:
    assert asked(HELLO) == {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
    assert call_of(HELLO).dropped == ()


def test_system_prompt_is_the_system_instruction() -> None:
    body = asked(replace(HELLO, system=(Text("be brief"), Text(""), Text("be kind"))))
    assert body["systemInstruction"] == {"parts": [{"text": "be brief"}, {"text": "be kind"}]}


def test_turns_of_one_side_become_one_and_empty_ones_none() -> None:
    contents = contents_of(
        user(Text("a")), user(Text("b")), model(Text("")), model(Text("c"), Refusal("no")),
        user(Text("d")),
    )  # fmt: skip
    assert contents == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        {"role": "model", "parts": [{"text": "c"}, {"text": "no"}]},
        {"role": "user", "parts": [{"text": "d"}]},
    ]


def test_image_goes_as_data_in_its_place() -> None:
    [content] = contents_of(user(Text("what"), PIXEL, Text("is it?")))
    assert content["parts"][1] == {"inlineData": {"mimeType": "image/png", "data": "aGk="}}


def test_file_of_the_provider_goes_by_its_uri() -> None:
    uri = "https://generativelanguage.googleapis.com/v1beta/files/abc"
    [content] = contents_of(user(Image(url=uri)))
    assert content["parts"] == [{"fileData": {"fileUri": uri}}]


@pytest.mark.parametrize(
    "image",
    [
        Image(url="https://example.com/cat.png"),
        Image(url="https://[broken"),
        Image(data="aGk="),
        Image(),
    ],
)
def test_image_that_cannot_be_sent_is_refused_with_what_to_do(image: Image) -> None:
    with pytest.raises(CannotSay, match=r"send its data|give its media type"):
        contents_of(user(image))


@pytest.mark.parametrize("output", [OutputFormat(), OutputFormat({"type": "object"})])
def test_json_beside_tools_is_refused_where_the_model_would(output: OutputFormat) -> None:
    both = replace(HELLO, tools=(WEATHER,), output=output)
    for name in ("gemini-2.5-pro", "gemini-2.0-flash", "gemini-1.5-pro-002"):
        with pytest.raises(CannotSay, match="JSON beside tools"):
            asked(both, name)
        assert asked(replace(both, tools=()), name)["generationConfig"]
        assert asked(replace(both, output=None), name)["tools"]
    for name in ("gemini-3-pro", "gemini-flash-latest", "of-another-maker"):
        body = asked(both, name)
        assert body["tools"]
        assert body["generationConfig"]["responseMimeType"]


def test_more_stop_sequences_than_it_takes_are_refused() -> None:
    stops = ("a", "b", "c", "d", "e")
    assert asked(replace(HELLO, stop=stops))["generationConfig"]["stopSequences"] == [*stops]
    with pytest.raises(CannotSay, match="at most 5 stop sequences"):
        asked(replace(HELLO, stop=(*stops, "f")))


def test_tools_are_declared_with_standard_json_schema() -> None:
    body = asked(replace(HELLO, tools=(WEATHER, Tool("now"))))
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "get_weather",
                    "description": "The weather",
                    "parametersJsonSchema": {"type": "object", "properties": {"city": {}}},
                },
                {"name": "now"},
            ]
        }
    ]
    assert "toolConfig" not in body


@pytest.mark.parametrize(
    ("choice", "calling"),
    [
        (ToolChoice("auto"), {"mode": "AUTO"}),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("required"), {"mode": "ANY"}),
        (ToolChoice("named", "now"), {"mode": "ANY", "allowedFunctionNames": ["now"]}),
    ],
)
def test_tool_choice(choice: ToolChoice, calling: dict[str, object]) -> None:
    body = asked(replace(HELLO, tools=(Tool("now"),), tool_choice=choice))
    assert body["toolConfig"] == {"functionCallingConfig": calling}


def test_calls_and_results_go_with_ids_names_and_objects() -> None:
    contents = contents_of(
        user(Text("weather?")),
        model(ToolCall("c1", "get_weather", '{"city":"Rome"}'), ToolCall("c2", "now", "")),
        user(
            ToolResult("c1", (Text("sunny"), Text("hot"))),
            ToolResult("c2", (Text("no clock"),), name="now", is_error=True),
            Text("so?"),
        ),
    )
    assert contents[1]["parts"] == [
        {"functionCall": {"id": "c1", "name": "get_weather", "args": {"city": "Rome"}}},
        {"functionCall": {"id": "c2", "name": "now", "args": {}}},
    ]
    assert contents[2]["parts"] == [
        {
            "functionResponse": {
                "id": "c1", "name": "get_weather", "response": {"output": "sunny\nhot"},
            }
        },
        {"functionResponse": {"id": "c2", "name": "now", "response": {"error": "no clock"}}},
        {"text": "so?"},
    ]  # fmt: skip


@pytest.mark.parametrize("arguments", ["[1]", "{", '"x"', "null", "1" * 30 + "{", "\ud800"])
def test_arguments_that_are_no_object_are_refused_by_the_name_of_the_call(arguments: str) -> None:
    with pytest.raises(CannotSay, match="'now' are no JSON object"):
        contents_of(model(ToolCall("c1", "now", arguments)))


def test_result_of_an_unknown_call_is_refused() -> None:
    with pytest.raises(CannotSay, match="the call 'c9'"):
        contents_of(user(ToolResult("c9", (Text("x"),))))


def test_signature_comes_back_with_its_call() -> None:
    for name in ("gemini-2.5-pro", "gemini-3-pro-preview"):
        [content] = contents_of(model(ToolCall("c1", "now", "{}", "c2ln")), name=name)
        assert content["parts"][0]["thoughtSignature"] == "c2ln"


@pytest.mark.parametrize(
    ("name", "signatures"),
    [
        ("gemini-2.5-pro", [None, None]),
        ("gemini-3-flash-preview", ["skip_thought_signature_validator", None]),
        ("gemini-3.5-flash", ["skip_thought_signature_validator", None]),
        ("gemini-flash-latest", ["skip_thought_signature_validator", None]),
    ],
)
def test_first_call_that_another_model_made_is_marked_where_the_model_checks(
    name: str, signatures: list[str | None]
) -> None:
    calls = model(ToolCall("c1", "now", "{}"), ToolCall("c2", "now", "{}"))
    [content] = contents_of(calls, name=name)
    assert [part.get("thoughtSignature") for part in content["parts"]] == signatures


def test_reasoning_goes_back_only_where_gemini_signed_it() -> None:
    [content] = contents_of(
        model(
            Reasoning("hm", "EqQBCkYIBBgCKkAf"),
            Reasoning(redacted="xyz"),
            Reasoning("plain"),
            Text("yes"),
            Reasoning("", "gemini.c2ln"),
        )
    )
    assert content["parts"] == [{"text": "yes"}, {"text": "", "thoughtSignature": "c2ln"}]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("gemini-3-pro-preview", [True]),
        ("gemini-2.5-flash", [False, {"inlineData": {"mimeType": "image/png", "data": "aGk="}}]),
    ],
)
def test_image_in_a_tool_result(name: str, parts: list[object]) -> None:
    turn = user(ToolResult("c1", (Text("see"), PIXEL), name="look"))
    [content] = contents_of(turn, name=name)
    response, *behind = content["parts"]
    assert ("parts" in response["functionResponse"]) is parts[0]
    assert behind == parts[1:]


def test_sampling_and_output() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    body = asked(
        replace(
            HELLO, max_output_tokens=99, temperature=0.5, top_p=0.9, top_k=40, stop=("END", "X"),
            seed=7, presence_penalty=0.1, frequency_penalty=-0.2, output=OutputFormat(schema),
            user="someone",
        )
    )  # fmt: skip
    assert body["generationConfig"] == {
        "maxOutputTokens": 99, "temperature": 0.5, "topP": 0.9, "topK": 40,
        "stopSequences": ["END", "X"], "seed": 7, "presencePenalty": 0.1, "frequencyPenalty": -0.2,
        "responseMimeType": "application/json", "responseJsonSchema": schema,
    }  # fmt: skip
    assert "someone" not in str(body)


def test_json_without_a_schema() -> None:
    body = asked(replace(HELLO, output=OutputFormat()))
    assert body["generationConfig"] == {"responseMimeType": "application/json"}


def test_seed_of_64_bits_stays_one_seed_within_32() -> None:
    seeds = [
        asked(replace(HELLO, seed=seed))["generationConfig"]["seed"] for seed in (2**40 + 5, -1)
    ]
    assert seeds == [5, 2**31 - 1]


def test_one_call_at_a_time_has_no_counterpart() -> None:
    assert call_of(replace(HELLO, parallel_tool_calls=False)).dropped == ("parallel_tool_calls",)
    assert call_of(replace(HELLO, parallel_tool_calls=True)).dropped == ()


@pytest.mark.parametrize(
    ("name", "effort", "config"),
    [
        ("gemini-2.5-flash", "minimal", {"thinkingBudget": 1_024}),
        ("gemini-2.5-flash", "low", {"thinkingBudget": 1_024}),
        ("gemini-2.5-flash", "medium", {"thinkingBudget": 8_192}),
        ("gemini-2.5-pro", "high", {"thinkingBudget": 24_576}),
        ("gemini-2.5-pro", "xhigh", {"thinkingBudget": 24_576}),
        ("gemini-3-flash-preview", "minimal", {"thinkingLevel": "minimal"}),
        ("gemini-3.1-pro-preview", "minimal", {"thinkingLevel": "low"}),
        ("gemini-3.1-pro-preview", "medium", {"thinkingLevel": "medium"}),
        ("gemini-3-pro-preview", "medium", {"thinkingLevel": "high"}),
        ("gemini-3.8-flash", "minimal", {"thinkingLevel": "low"}),
        ("gemini-3.8-flash", "max", {"thinkingLevel": "high"}),
        ("gemini-10-flash", "low", {"thinkingLevel": "low"}),
        ("gemini-flash-latest", "low", {"thinkingBudget": 1_024}),
    ],
)
def test_effort(name: str, effort: str, config: dict[str, object]) -> None:
    conversation = replace(HELLO, reasoning_effort=effort)
    thinking = asked(conversation, name)["generationConfig"]["thinkingConfig"]
    assert thinking == {"includeThoughts": True} | config
    assert call_of(conversation, name).dropped == ()


@pytest.mark.parametrize(
    ("name", "tokens", "budget"),
    [
        ("gemini-2.5-flash", 5_000, 5_000),
        ("gemini-2.5-flash", 100_000, 24_576),
        ("gemini-2.5-flash-lite", 100, 512),
        ("gemini-2.5-pro", 1, 128),
        ("gemini-2.5-pro", 32_000, 32_000),
        ("gemini-3-pro-preview", 32_000, 32_000),
        ("gemini-3-pro-preview", 9, 128),
        ("gemini-flash-lite-latest", 9, 512),
    ],
)
def test_budget_stays_within_what_the_model_takes(name: str, tokens: int, budget: int) -> None:
    thinking = asked(replace(HELLO, reasoning_tokens=tokens), name)["generationConfig"]
    assert thinking["thinkingConfig"] == {"includeThoughts": True, "thinkingBudget": budget}


@pytest.mark.parametrize(
    ("name", "config", "dropped"),
    [
        ("gemini-2.5-flash", {"thinkingBudget": 0}, ()),
        ("gemini-2.5-pro", {"thinkingBudget": 128}, ("reasoning_effort",)),
        ("gemini-3-flash-preview", {"thinkingLevel": "minimal"}, ("reasoning_effort",)),
        ("gemini-3.8-flash", {"thinkingLevel": "low"}, ("reasoning_effort",)),
        ("gemini-pro-latest", {"thinkingBudget": 512}, ("reasoning_effort",)),
        ("gemini-2.0-flash", None, ()),
    ],
)
def test_no_thinking_is_as_little_as_the_model_can(
    name: str, config: object, dropped: tuple[str, ...]
) -> None:
    conversation = replace(HELLO, reasoning_tokens=0)
    body = asked(conversation, name)
    assert body.get("generationConfig", {}).get("thinkingConfig") == config
    assert call_of(conversation, name).dropped == dropped


@pytest.mark.parametrize("name", ["gemini-2.0-flash", "gemini-1.5-pro", "gemma-3-27b-it", "x/y"])
def test_thinking_is_dropped_where_the_model_has_none(name: str) -> None:
    conversation = replace(HELLO, reasoning_effort="high")
    assert "generationConfig" not in asked(conversation, name)
    assert call_of(conversation, name).dropped == ("reasoning_effort",)


def test_chat_without_a_message_is_refused_with_what_to_do() -> None:
    with pytest.raises(CannotSay, match="add one with the role 'user'"):
        asked(Conversation(system=(Text("be brief"),), turns=[]))


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_text_that_json_cannot_carry_is_refused(text: str) -> None:
    with pytest.raises(CannotSay, match="surrogate"):
        asked(Conversation(turns=[user(Text(text))]))


@UNTIMED
@given(CONVERSATIONS, st.sampled_from(["gemini-2.5-pro", "gemini-3-flash", "gemma-3"]))
def test_any_chat_is_asked_or_refused(conversation: Conversation, name: str) -> None:
    try:
        call = GoogleDialect().ask(conversation, name)
    except CannotSay:
        return
    assert orjson.loads(call.body)["contents"]
