"""Chats to ask with: by hand, and any at all."""

from hypothesis import strategies as st

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

HELLO = Conversation(turns=[Turn(Role.USER, (Text("hello"),))])
PIXEL = Image("image/png", "aGk=")


def user(*parts: Part) -> Turn:
    return Turn(Role.USER, parts)


def model(*parts: Part) -> Turn:
    return Turn(Role.ASSISTANT, parts)


TEXTS = st.text(st.characters(), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=3)
CONTENT = st.builds(Text, TEXTS) | st.builds(
    Image, st.none() | TEXTS, st.none() | TEXTS, st.none() | TEXTS
)
PARTS = (
    CONTENT
    | st.builds(Reasoning, TEXTS, st.none() | TEXTS, st.none() | TEXTS)
    | st.builds(Refusal, TEXTS)
    | st.builds(ToolCall, TEXTS, TEXTS, TEXTS | JSON.map(str), st.none() | TEXTS)
    | st.builds(
        ToolResult, TEXTS, st.lists(CONTENT, max_size=2).map(tuple), st.none() | TEXTS,
        st.booleans(),
    )
)  # fmt: skip
NUMBERS = st.none() | st.floats() | st.integers()
CONVERSATIONS = st.builds(
    Conversation,
    system=st.lists(st.builds(Text, TEXTS), max_size=2).map(tuple),
    turns=st.lists(
        st.builds(Turn, st.sampled_from(Role), st.lists(PARTS, max_size=3).map(tuple)), max_size=4
    ),
    tools=st.lists(st.builds(Tool, TEXTS, st.none() | TEXTS, st.none() | OBJECTS), max_size=2).map(
        tuple
    ),
    tool_choice=st.none()
    | st.builds(ToolChoice, st.sampled_from(["auto", "none", "required", "named"]), TEXTS),
    parallel_tool_calls=st.none() | st.booleans(),
    output=st.none() | st.builds(OutputFormat, st.none() | OBJECTS),
    max_output_tokens=st.none() | st.integers(),
    temperature=NUMBERS,
    seed=st.none() | st.integers(),
    stop=st.lists(TEXTS, max_size=2).map(tuple),
    reasoning_effort=st.none() | TEXTS,
    reasoning_tokens=st.none() | st.integers(),
    stream=st.booleans(),
)
