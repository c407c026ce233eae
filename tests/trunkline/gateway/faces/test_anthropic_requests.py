"""Requests of callers who speak Anthropic's protocol."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.gateway.conversation import (
    Conversation,
    Image,
    OutputFormat,
    Reasoning,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from trunkline.gateway.dialects.anthropic import AnthropicDialect
from trunkline.gateway.faces.anthropic import AnthropicFace
from trunkline.gateway.protocols import BadRequestBody

HELLO = [{"role": "user", "content": "hello"}]
TOOL = {"name": "now", "input_schema": {"type": "object"}}


def read(**more: object) -> Conversation:
    body = {"model": "chain/fast", "max_tokens": 50, "messages": HELLO, **more}
    return AnthropicFace().read(body)


def test_reads_the_smallest_request() -> None:
    assert read() == Conversation(
        turns=[Turn(Role.USER, (Text("hello"),))], max_output_tokens=50, ignored=()
    )


def test_reads_every_parameter() -> None:
    assert read(
        stream=True,
        system=[{"type": "text", "text": "Be brief."}],
        temperature=1,
        top_p=0.5,
        top_k=7,
        stop_sequences=["END"],
        metadata={"user_id": "u-1"},
        thinking={"type": "enabled", "budget_tokens": 2000},
        tools=[{**TOOL, "type": "custom", "description": "The time.", "strict": True}],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
    ) == Conversation(
        turns=[Turn(Role.USER, (Text("hello"),))],
        system=(Text("Be brief."),),
        tools=(Tool("now", "The time.", {"type": "object"}, strict=True),),
        tool_choice=ToolChoice("required"),
        parallel_tool_calls=False,
        output=OutputFormat(schema={"type": "object"}),
        max_output_tokens=50,
        temperature=1.0,
        top_p=0.5,
        top_k=7,
        stop=("END",),
        reasoning_tokens=2000,
        user="u-1",
        stream=True,
    )


def test_reads_a_loop_of_tools() -> None:
    conversation = read(
        messages=[
            *HELLO,
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "sig"},
                    {"type": "thinking", "thinking": "unproven", "signature": ""},
                    {"type": "redacted_thinking", "data": "xyz"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "cat"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t1",
                        "content": [
                            {"type": "text", "text": "seen"},
                            {
                                "type": "image",
                                "source": {
                                    "type": "base64",
                                    "media_type": "image/png",
                                    "data": "aGk=",
                                },
                            },
                        ],
                    },
                    {"type": "tool_result", "tool_use_id": "t9", "content": "?", "is_error": True},
                    {"type": "tool_result", "tool_use_id": "t1"},
                    {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
                ],
            },
        ]
    )
    assert conversation.turns == [
        Turn(Role.USER, (Text("hello"),)),
        Turn(
            Role.ASSISTANT,
            (
                Reasoning("hm", "sig"),
                Reasoning("unproven"),
                Reasoning(redacted="xyz"),
                Text("I look."),
                ToolCall("t1", "look", '{"at":"cat"}'),
            ),
        ),
        Turn(
            Role.USER,
            (
                ToolResult("t1", (Text("seen"), Image("image/png", "aGk=")), name="look"),
                ToolResult("t9", (Text("?"),), is_error=True),
                ToolResult("t1", (), name="look"),
                Image(url="https://x/y.png"),
            ),
        ),
    ]


def test_what_is_read_can_be_said_again() -> None:
    body = {
        "model": "claude-opus-4-5",
        "max_tokens": 3000,
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "now?"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "sig"},
                    {"type": "tool_use", "id": "t1", "name": "now", "input": {"zone": "UTC"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t1",
                        "content": [{"type": "text", "text": "noon"}],
                    }
                ],
            },
        ],
        "tools": [{"name": "now", "input_schema": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u-1"},
        "stream": True,
    }
    call = AnthropicDialect().ask(AnthropicFace().read(body), "claude-opus-4-5")
    assert orjson.loads(call.body) == body
    assert call.dropped == ()


def test_instructions_among_the_messages_are_the_systems() -> None:
    conversation = read(
        system="One.", messages=[*HELLO, {"role": "system", "content": "Two."}, *HELLO]
    )
    assert conversation.system == (Text("One."), Text("Two."))
    assert [turn.role for turn in conversation.turns] == [Role.USER, Role.USER]


@pytest.mark.parametrize(
    ("choice", "read_as", "parallel"),
    [
        (None, None, None),
        ({"type": "auto"}, ToolChoice("auto"), None),
        ({"type": "auto", "disable_parallel_tool_use": False}, ToolChoice("auto"), True),
        ({"type": "none"}, ToolChoice("none"), None),
        ({"type": "tool", "name": "now"}, ToolChoice("named", "now"), None),
    ],
)
def test_reads_the_choice_of_tools(
    choice: object, read_as: ToolChoice | None, parallel: bool | None
) -> None:
    conversation = read(tools=[TOOL], tool_choice=choice)
    assert (conversation.tool_choice, conversation.parallel_tool_calls) == (read_as, parallel)


@pytest.mark.parametrize(
    ("thinking", "effort", "read_as", "ignored"),
    [
        (None, None, (None, None), ()),
        (None, "low", ("low", None), ()),
        ({"type": "disabled"}, None, (None, 0), ()),
        ({"type": "disabled"}, "low", (None, 0), ("output_config.effort",)),
        (
            {"type": "enabled", "budget_tokens": 3000},
            "low",
            (None, 3000),
            ("output_config.effort",),
        ),
        ({"type": "adaptive"}, None, ("high", None), ()),
        ({"type": "adaptive", "display": "omitted"}, "xhigh", ("xhigh", None), ()),
        ({"type": "between_tools"}, None, (None, None), ("thinking",)),
    ],
)
def test_reads_how_much_to_think(
    thinking: object,
    effort: str | None,
    read_as: tuple[str | None, int | None],
    ignored: tuple[str, ...],
) -> None:
    conversation = read(thinking=thinking, output_config={"effort": effort})
    assert (conversation.reasoning_effort, conversation.reasoning_tokens) == read_as
    assert conversation.ignored == ignored


def test_reads_the_format_where_it_stood_before() -> None:
    schema = {"type": "object"}
    conversation = read(output_format={"type": "json_schema", "schema": schema})
    assert conversation.output == OutputFormat(schema=schema)


def test_names_what_it_leaves_out() -> None:
    mark = {"type": "ephemeral"}
    conversation = read(
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": mark}]}
        ],
        tools=[{**TOOL, "input_examples": [{}]}],
        output_config={"task_budget": {"total": 5}},
        service_tier="auto",
        parameter_of_tomorrow=1,
        inference_geo=None,
    )
    assert conversation.ignored == (
        "cache_control",
        "input_examples",
        "output_config.task_budget",
        "parameter_of_tomorrow",
        "service_tier",
    )


def test_names_no_more_than_fit_a_header() -> None:
    assert len(read(**{f"p{number}": 1 for number in range(1000)}).ignored) == 16


def content(block: object, role: str = "user") -> dict[str, object]:
    return {"messages": [{"role": role, "content": [block]}]}


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": 10.0}, "max_tokens"),
        ({"max_tokens": 10**10}, "max_tokens"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"role": "tool", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        (content(5), "messages[0].content[0]"),
        (content({"text": "hi"}), "messages[0].content[0].type"),
        (content({"type": "text", "text": None}), "messages[0].content[0].text"),
        (content({"type": "image"}), "messages[0].content[0].source"),
        (
            content({"type": "image", "source": {"type": "base64", "data": "x"}}),
            "messages[0].content[0].source.media_type",
        ),
        (
            content({"type": "tool_use", "id": "a", "name": "b", "input": "{}"}, "assistant"),
            "messages[0].content[0].input",
        ),
        (
            content({"type": "tool_use", "id": 5, "name": "b", "input": {}}, "assistant"),
            "messages[0].content[0].id",
        ),
        (content({"type": "tool_result"}), "messages[0].content[0].tool_use_id"),
        (
            content({"type": "tool_result", "tool_use_id": "a", "is_error": 1}),
            "messages[0].content[0].is_error",
        ),
        ({"system": 5}, "system"),
        ({"system": [{"type": "image"}]}, "system[0].type"),
        ({"temperature": 1.5}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"stop_sequences": "END"}, "stop_sequences"),
        ({"stop_sequences": [5]}, "stop_sequences"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"user_id": 5}}, "metadata.user_id"),
        ({"thinking": "yes"}, "thinking"),
        ({"thinking": {"type": "much"}}, "thinking.type"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"name": "now"}]}, "tools[0].input_schema"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tools": [{**TOOL, "strict": "yes"}]}, "tools[0].strict"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(more: dict[str, object], param: str) -> None:
    with pytest.raises(BadRequestBody) as refused:
        read(**more)
    assert refused.value.param == param
    assert param in str(refused.value)


def test_a_name_that_no_header_may_hold_is_refused() -> None:
    with pytest.raises(BadRequestBody, match="no parameter"):
        read(**{"in valid\n": 1})


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0]"),
        (content({"type": "document", "source": {}}), "messages[0].content[0]"),
        (content({"type": "search_result"}), "messages[0].content[0]"),
        (content({"type": "server_tool_use"}, "assistant"), "messages[0].content[0]"),
        (
            content({"type": "image", "source": {"type": "file", "file_id": "f"}}),
            "messages[0].content[0].source",
        ),
        (
            content({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "document"}]}),
            "messages[0].content[0].content[0]",
        ),
        ({"container": "c"}, "container"),
        ({"mcp_servers": [{}]}, "mcp_servers"),
    ],
)
def test_what_only_anthropic_has_is_refused(more: dict[str, object], param: str) -> None:
    with pytest.raises(BadRequestBody, match="only with a provider that speaks") as refused:
        read(**more)
    assert refused.value.param == param


def test_a_call_nested_too_deep_is_refused() -> None:
    deep: object = 1
    for _ in range(300):
        deep = [deep]
    block = {"type": "tool_use", "id": "a", "name": "b", "input": {"a": deep}}
    with pytest.raises(BadRequestBody, match=r"input can't be written"):
        read(**content(block, "assistant"))


words = st.sampled_from(
    [
        *("user", "assistant", "system", "text", "image", "tool_use", "tool_result", "thinking"),
        *("auto", "tool", "enabled", "adaptive", "json_schema", "base64", "custom"),
    ]
)
names = st.sampled_from(
    [
        *("role", "content", "type", "text", "source", "data", "id", "name", "input", "format"),
        *("tool_use_id", "media_type", "budget_tokens", "effort", "schema", "input_schema"),
    ]
)
json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
bodies = st.dictionaries(
    st.sampled_from(
        [
            *("messages", "system", "tools", "tool_choice", "thinking", "output_config"),
            *("output_format", "metadata", "stop_sequences", "temperature", "top_k", "max_tokens"),
        ]
    )
    | st.text(st.characters()),
    json,
    max_size=5,
)


@settings(deadline=None)
@given(bodies, st.booleans())
def test_any_body_is_read_or_refused(body: dict[str, object], usable: bool) -> None:
    if usable:
        body |= {"max_tokens": 5, "messages": HELLO}
    said = ""
    try:
        AnthropicFace().read(body)
    except BadRequestBody as refused:
        said = str(refused)
    assert orjson.dumps(said)
