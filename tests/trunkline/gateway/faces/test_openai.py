"""What callers in OpenAI's protocol ask for, as it is read, and the errors that they get."""

import contextlib
import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.gateway.answers import AnswerHead
from trunkline.gateway.conversation import (
    Conversation,
    Image,
    OutputFormat,
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
from trunkline.gateway.faces.openai import OpenAiFace
from trunkline.gateway.protocols import BadRequestBody, CallerError

FACE = OpenAiFace()
HELLO: dict[str, object] = {"role": "user", "content": "hello"}
F: dict[str, object] = {"type": "function", "function": {"name": "f"}}
G: dict[str, object] = {"type": "function", "function": {"name": "g"}}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def read(**body: object) -> Conversation:
    return FACE.read({"model": "m", "messages": [HELLO], **body})


def turns(*messages: dict[str, object]) -> tuple[Turn, ...]:
    return tuple(read(messages=list(messages)).turns)


def user(*parts: Text | Image | ToolResult) -> Turn:
    return Turn(Role.USER, parts)


def image(url: object) -> dict[str, object]:
    part = {"type": "image_url", "image_url": {"url": url, "detail": "low"}}
    return {"role": "user", "content": [part]}


def call(call_id: str, name: str, arguments: object = "{}") -> dict[str, object]:
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def said(content: object = None, **more: object) -> dict[str, object]:
    return {"role": "assistant", "content": content, **more}


def result(call_id: object, content: object) -> dict[str, object]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def test_reads_a_plain_chat() -> None:
    assert read() == Conversation(turns=(user(Text("hello")),))


def test_reads_the_systems_and_the_developers_instructions() -> None:
    conversation = read(
        messages=[
            {"role": "system", "content": "one"},
            HELLO,
            {"role": "developer", "content": [{"type": "text", "text": "two"}]},
        ]
    )
    assert conversation.system == (Text("one"), Text("two"))
    assert conversation.turns == (user(Text("hello")),)


def test_reads_parts() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert turns({"role": "user", "content": parts}) == (user(Text("a"), Text("b")),)


@pytest.mark.parametrize(
    ("url", "read_as"),
    [
        ("https://example.com/a.png?b=1,2", Image(url="https://example.com/a.png?b=1,2")),
        ("HTTP://example.com", Image(url="HTTP://example.com")),
        ("data:image/png;base64,iVBO", Image("image/png", "iVBO")),
        ("data:image/JPEG;name=a;BASE64,iVBO", Image("image/jpeg", "iVBO")),
    ],
)
def test_reads_images(url: str, read_as: Image) -> None:
    assert turns(image(url)) == (user(read_as),)


@pytest.mark.parametrize(
    "url",
    ["", 7, None, "a.png", "file:///etc/passwd", "ftp://a/b", "http:a", "data:image/png,abc",
     "data:text/html;base64,abc", "data:image/png;base64,", "data:;base64,abc", "data:"],
)  # fmt: skip
def test_refuses_images_that_are_nowhere(url: object) -> None:
    with pytest.raises(BadRequestBody) as refused:
        turns(image(url))
    assert refused.value.param == "messages[0].content[0].image_url.url"


def test_reads_calls_and_gathers_their_results_in_one_turn() -> None:
    calls = [call("c1", "f", '{"a": 1}'), call("c2", "g", " ")]
    assert turns(
        HELLO,
        said("so", tool_calls=calls),
        result("c2", "two"),
        result("c1", [{"type": "text", "text": "one"}]),
        result("c9", "?"),
        HELLO,
    ) == (
        user(Text("hello")),
        Turn(
            Role.ASSISTANT, (Text("so"), ToolCall("c1", "f", '{"a": 1}'), ToolCall("c2", "g", "{}"))
        ),
        user(
            ToolResult("c2", (Text("two"),), "g"),
            ToolResult("c1", (Text("one"),), "f"),
            ToolResult("c9", (Text("?"),)),
        ),
        user(Text("hello")),
    )


def test_results_at_the_end_are_a_turn() -> None:
    last = turns(HELLO, said(tool_calls=[call("c", "f")]), result("c", "r"))[-1]
    assert last == user(ToolResult("c", (Text("r"),), "f"))


@pytest.mark.parametrize("content", [None, "", [{"type": "text", "text": ""}]])
def test_says_no_empty_words_beside_a_call(content: object) -> None:
    [turn] = turns(said(content, tool_calls=[call("c", "f")]))
    assert turn.parts == (ToolCall("c", "f", "{}"),)


def test_reads_what_an_assistant_said() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "no"}]
    assert turns(said(parts)) == (Turn(Role.ASSISTANT, (Text("a"), Refusal("no"))),)
    assert turns(said("a", refusal="no", reasoning_content="hm", annotations=[])) == (
        Turn(Role.ASSISTANT, (Reasoning("hm"), Text("a"), Refusal("no"))),
    )
    assert turns(said("")) == (Turn(Role.ASSISTANT, (Text(""),)),)


def test_reads_calls_of_the_old_kind() -> None:
    old = {"name": "f", "arguments": "{}"}
    found = turns(
        said(function_call=old),
        {"role": "function", "name": "f", "content": "one"},
        said(function_call=old),
        {"role": "function", "name": "f", "content": "two"},
    )
    ids = []
    for asked, answered in zip(found[::2], found[1::2], strict=True):
        [asked_for], [given_back] = asked.parts, answered.parts
        assert isinstance(asked_for, ToolCall)
        assert isinstance(given_back, ToolResult)
        assert (asked_for.name, given_back.name) == ("f", "f")
        assert asked_for.id == given_back.call_id
        ids.append(asked_for.id)
    assert ids[0] != ids[1]


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        (None, "messages"),
        ("hello", "messages"),
        ([], "messages"),
        ([{"role": "system", "content": "one"}], "messages"),
        (["hello"], "messages[0]"),
        ([{}], "messages[0].role"),
        ([{"role": ["user"], "content": "a"}], "messages[0].role"),
        ([{"role": "robot", "content": "a"}], "messages[0].role"),
        ([HELLO, {"role": "user"}], "messages[1].content"),
        ([{"role": "user", "content": []}], "messages[0].content"),
        ([{"role": "user", "content": {}}], "messages[0].content"),
        ([{"role": "user", "content": ["a"]}], "messages[0].content[0]"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text"),
        ([{"role": "user", "content": [{"type": "odd"}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": ["text"]}]}], "messages[0].content[0].type"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": "a"}]}],
            "messages[0].content[0].image_url",
        ),
        ([{"role": "system", "content": None}, HELLO], "messages[0].content"),
        (
            [{"role": "system", "content": [{"type": "refusal", "refusal": "no"}]}, HELLO],
            "messages[0].content",
        ),
        ([said()], "messages[0].content"),
        ([said(7)], "messages[0].content"),
        ([said("a", refusal=7)], "messages[0].refusal"),
        ([said("a", audio={"id": "a"})], "messages[0].audio"),
        ([said(tool_calls={})], "messages[0].tool_calls"),
        ([said(tool_calls=[7])], "messages[0].tool_calls[0]"),
        ([said(tool_calls=[{"function": {}}])], "messages[0].tool_calls[0].id"),
        ([said(tool_calls=[{"id": "c"}])], "messages[0].tool_calls[0].function"),
        (
            [said(tool_calls=[{"id": "c", "type": "custom", "custom": {}}])],
            "messages[0].tool_calls[0].type",
        ),
        ([said(tool_calls=[call("c", "")])], "messages[0].tool_calls[0].function.name"),
        (
            [said(tool_calls=[call("c", "f", {})])],
            "messages[0].tool_calls[0].function.arguments",
        ),
        ([result(None, "a")], "messages[0].tool_call_id"),
        ([result("c", None)], "messages[0].content"),
        (
            [result("c", [{"type": "image_url", "image_url": {"url": "https://a/b"}}])],
            "messages[0].content[0]",
        ),
        ([{"role": "function", "name": "f", "content": "a"}], "messages[0].name"),
    ],
)
def test_refuses_messages_and_says_where(messages: object, param: str) -> None:
    with pytest.raises(BadRequestBody) as refused:
        read(messages=messages)
    assert refused.value.param == param


@pytest.mark.parametrize("kind", ["input_audio", "file"])
def test_says_what_other_providers_cannot_be_told(kind: str) -> None:
    with pytest.raises(BadRequestBody, match="only with a provider that speaks OpenAI's protocol"):
        read(messages=[{"role": "user", "content": [{"type": kind, kind: {}}]}])


def test_reads_tools() -> None:
    schema = {"type": "object", "properties": {}}
    function = {"name": "f", "description": "d", "parameters": schema, "strict": True}
    conversation = read(
        tools=[{"type": "function", "function": function}, G], parallel_tool_calls=False
    )
    assert conversation.tools == (Tool("f", "d", schema, strict=True), Tool("g"))
    assert conversation.parallel_tool_calls is False
    assert conversation.tool_choice is None


@pytest.mark.parametrize(
    ("choice", "read_as", "names"),
    [
        (None, None, "fg"),
        ("auto", ToolChoice("auto"), "fg"),
        ("none", ToolChoice("none"), "fg"),
        ("required", ToolChoice("required"), "fg"),
        (F, ToolChoice("named", "f"), "fg"),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [G]}},
            ToolChoice("required"),
            "g",
        ),
    ],
)
def test_reads_which_tools_are_to_be_called(
    choice: object, read_as: ToolChoice | None, names: str
) -> None:
    conversation = read(tools=[F, G], tool_choice=choice)
    assert conversation.tool_choice == read_as
    assert "".join(tool.name for tool in conversation.tools) == names


def test_says_nothing_of_calls_without_tools() -> None:
    conversation = read(tools=[], tool_choice="auto", parallel_tool_calls=True)
    assert conversation == read()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"tools": {}}, "tools"),
        ({"tools": [7]}, "tools[0]"),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]},
            "tools[0].function.parameters",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "strict": 1}}]},
            "tools[0].function.strict",
        ),
        ({"tools": [F, F]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": F}, "tool_choice"),
        ({"tools": [F], "tool_choice": G}, "tool_choice"),
        ({"tools": [F], "tool_choice": "f"}, "tool_choice"),
        ({"tools": [F], "tool_choice": ["auto"]}, "tool_choice"),
        ({"tools": [F], "tool_choice": {"type": "function"}}, "tool_choice"),
        (
            {"tools": [F], "tool_choice": {"type": "function", "function": {"name": 1}}},
            "tool_choice.function.name",
        ),
        ({"tools": [F], "tool_choice": {"type": "custom", "custom": {}}}, "tool_choice.type"),
        (
            {"tools": [F], "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}},
            "tool_choice.allowed_tools.tools",
        ),
        (
            {
                "tools": [F],
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "auto", "tools": []},
                },
            },
            "tool_choice.allowed_tools",
        ),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"parallel_tool_calls": "yes"}, "parallel_tool_calls"),
    ],
)
def test_refuses_tools_and_says_where(body: dict[str, object], param: str) -> None:
    with pytest.raises(BadRequestBody) as refused:
        read(**body)
    assert refused.value.param == param


def test_reads_sampling_parameters() -> None:
    said = {
        "temperature": 1.5,
        "top_p": 0,
        "top_k": 40,
        "seed": -(2**63),
        "presence_penalty": -2,
        "frequency_penalty": 2,
        "user": "u1",
        "stop": ["a", "b"],
        "stream": True,
    }
    assert read(**said) == Conversation(
        turns=(user(Text("hello")),),
        temperature=1.5,
        top_p=0,
        top_k=40,
        seed=-(2**63),
        presence_penalty=-2,
        frequency_penalty=2,
        user="u1",
        stop=("a", "b"),
        stream=True,
    )


def test_takes_null_for_what_is_not_there() -> None:
    names = [
        "temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "user", "stop",
        "stream", "stream_options", "n", "tools", "tool_choice", "functions", "function_call",
        "parallel_tool_calls", "response_format", "max_tokens", "max_completion_tokens", "audio",
        "reasoning_effort", "modalities", "logprobs", "metadata", "web_search_options",
    ]  # fmt: skip
    assert read(**dict.fromkeys(names)) == read()


@pytest.mark.parametrize(
    ("body", "most"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 5}, 5),
        ({"max_tokens": 9, "max_completion_tokens": 5}, 5),
        ({}, None),
    ],
)
def test_reads_the_limit_of_tokens(body: dict[str, object], most: int | None) -> None:
    assert read(**body).max_output_tokens == most


@pytest.mark.parametrize(("stop", "read_as"), [("a", ("a",)), ([], ()), (None, ())])
def test_reads_stop_sequences(stop: object, read_as: tuple[str, ...]) -> None:
    assert read(stop=stop).stop == read_as


@pytest.mark.parametrize("effort", ["minimal", "low", "medium", "high", "xhigh", "max"])
def test_reads_an_effort(effort: str) -> None:
    conversation = read(reasoning_effort=effort)
    assert (conversation.reasoning_effort, conversation.reasoning_tokens) == (effort, None)


def test_an_effort_of_none_is_no_reasoning() -> None:
    conversation = read(reasoning_effort="none")
    assert (conversation.reasoning_effort, conversation.reasoning_tokens) == (None, 0)


@pytest.mark.parametrize(
    ("given", "read_as"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, OutputFormat()),
        (
            {
                "type": "json_schema",
                "json_schema": {
                    "name": "n",
                    "schema": {"a": 1},
                    "strict": True,
                    "description": "d",
                },
            },
            OutputFormat({"a": 1}, "n", "d", strict=True),
        ),
        ({"type": "json_schema", "json_schema": {"name": "n"}}, OutputFormat(name="n")),
    ],
)
def test_reads_which_output_is_wanted(given: object, read_as: OutputFormat | None) -> None:
    assert read(response_format=given).output == read_as


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"temperature": "1"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": 10**400}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"max_completion_tokens": 10**30}, "max_completion_tokens"),
        ({"seed": 2**63}, "seed"),
        ({"stop": 7}, "stop"),
        ({"stop": ["a", 7]}, "stop[1]"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"n": 2}, "n"),
        ({"n": True}, "n"),
        ({"n": "1"}, "n"),
        ({"user": 7}, "user"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"reasoning_effort": ["low"]}, "reasoning_effort"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": ["text"]}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": 7}}},
            "response_format.json_schema.schema",
        ),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "a"}}, "audio"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"moderation": {"model": "m"}}, "moderation"),
        ({"stream_options": True}, "stream_options"),
    ],
)
def test_refuses_parameters_and_says_which(body: dict[str, object], param: str) -> None:
    with pytest.raises(BadRequestBody) as refused:
        read(**body)
    assert refused.value.param == param


def test_names_what_it_leaves_out() -> None:
    conversation = read(
        messages=[{**HELLO, "name": "ann"}],
        logprobs=True,
        logit_bias={"1": 2},
        store=False,
        service_tier="flex",
        prediction={"type": "content"},
        verbosity="low",
        metadata={"agent": "a"},
        user="u",
        modalities=["text"],
        brand_new=1,
    )
    assert conversation.ignored == (
        "messages.name",
        "logprobs",
        "logit_bias",
        "service_tier",
        "prediction",
        "verbosity",
        "brand_new",
    )


@pytest.mark.parametrize("name", ["a\r\nx-evil: 1", "", "é", "a b", "x" * 65])
def test_refuses_names_that_are_no_words(name: str) -> None:
    with pytest.raises(BadRequestBody, match="no plain word"):
        read(**{name: 1})


def test_refuses_to_leave_out_a_crowd() -> None:
    with pytest.raises(BadRequestBody, match="more than 20"):
        read(**{f"p{number}": 1 for number in range(21)})


PARAMETERS = [
    "messages", "tools", "tool_choice", "functions", "function_call", "parallel_tool_calls", "n",
    "response_format", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k",
    "stop", "seed", "presence_penalty", "reasoning_effort", "modalities", "user", "stream_options",
]  # fmt: skip
MESSAGES = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "tool", "system", "function"]) | JSON,
        "content": st.lists(
            st.fixed_dictionaries(
                {"type": st.sampled_from(["text", "image_url", "refusal"]) | JSON},
                optional={"text": JSON, "image_url": JSON, "refusal": JSON},
            )
        )
        | JSON,
    },
    optional={"tool_calls": JSON, "tool_call_id": JSON, "name": JSON, "function_call": JSON},
)


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(PARAMETERS, JSON))
    | st.fixed_dictionaries(
        {"messages": st.lists(MESSAGES, max_size=4)},
        optional={"tools": JSON, "tool_choice": JSON, "anything": JSON},
    )
    | st.dictionaries(st.text(), JSON, max_size=4)
)
def test_any_body_is_read_or_refused(body: dict[str, object]) -> None:
    with contextlib.suppress(BadRequestBody):
        assert FACE.read(body).turns


@given(JSON)
def test_any_stream_options_give_a_writer(options: object) -> None:
    head = AnswerHead(id="i", model="m", created=1)
    writer = FACE.stream_writer(head, {"stream_options": options})
    assert writer.end() == b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, None, "invalid_request_error"),
        (401, "invalid_api_key", "authentication_error"),
        (403, None, "invalid_request_error"),
        (404, "model_not_found", "invalid_request_error"),
        (413, None, "invalid_request_error"),
        (429, None, "rate_limit_error"),
        (429, "budget_exhausted", "insufficient_quota"),
        (500, None, "server_error"),
        (502, "chain_exhausted", "server_error"),
        (504, None, "server_error"),
    ],
)
def test_writes_an_error(status: int, code: str | None, kind: str) -> None:
    error = CallerError(status=status, message="größer", code=code, param="n")
    said = {"error": {"message": "größer", "type": kind, "param": "n", "code": code}}
    assert json.loads(FACE.error(error)) == said
    event = FACE.stream_error(error)
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    assert orjson.loads(event[6:]) == said
