"""Whatever JSON stands in a request's fields, it is answered or refused, never a fault of ours."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.simulated.asked import InvalidAsk
from server.simulated.composing import compose
from server.simulated.protocols.anthropic import Anthropic
from server.simulated.protocols.google import Google
from server.simulated.protocols.ollama import Ollama
from server.simulated.protocols.openai import OpenAI
from server.simulated.protocols.protocol import Prompt, Protocol
from server.simulated.reaction import Reaction
from server.simulated.sampling import sample_of

PROTOCOLS: dict[str, Protocol] = {
    "openai": OpenAI(),
    "anthropic": Anthropic(),
    "google": Google(),
    "ollama": Ollama(),
}
WORDS = st.sampled_from(
    [
        "type", "text", "role", "content", "parts", "function", "name", "parameters", "properties",
        "object", "array", "integer", "number", "enum", "items", "anyOf", "$ref", "#/", "minimum",
        "maximum", "minItems", "minLength", "maxLength", "json_schema", "schema", "json_object",
        "functionDeclarations", "tool_result", "functionResponse", "input_schema", "required",
    ]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(), inner),
    max_leaves=12,
)
FIELDS = st.dictionaries(
    st.sampled_from(
        [
            "model", "messages", "max_tokens", "stream_options", "tools", "tool_choice", "stop",
            "response_format", "reasoning_effort", "system", "thinking", "output_config",
            "contents", "systemInstruction", "generationConfig", "toolConfig", "format", "options",
            "think",
        ]
    ),
    VALUES,
)  # fmt: skip
GOOD: dict[str, Any] = {
    "model": "m",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "hello"}],
    "contents": [{"parts": [{"text": "hello"}]}],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PROTOCOLS)
@given(fields=FIELDS)
def test_any_field_may_hold_anything(name: str, fields: dict[str, Any]) -> None:
    try:
        body = orjson.loads(orjson.dumps(GOOD | fields))
    except (orjson.JSONEncodeError, orjson.JSONDecodeError):
        return  # It wouldn't have been read.
    protocol = PROTOCOLS[name]
    headers = {"anthropic-version": "2023-06-01"}
    try:
        asked = protocol.read(Prompt(body, headers, {}, "/", "m"))
    except InvalidAsk:
        return
    answer = compose(asked, Reaction(), seed=1, lengths=(5, 9))
    assert orjson.dumps(protocol.whole(answer))
    assert [frame.data for frame in protocol.stream(answer)]


@given(schema=st.dictionaries(WORDS, VALUES, max_size=6))
def test_any_schema_gives_json(schema: dict[str, Any]) -> None:
    try:
        orjson.dumps(schema)
    except orjson.JSONEncodeError:
        return
    assert orjson.dumps(sample_of(schema))


@pytest.mark.parametrize("number", ["1e400", "-1e400", "123456789012345678901234567890", "1e308"])
def test_numbers_beyond_any_bound_are_survived(number: str) -> None:
    text = f'{{"type": "integer", "minimum": {number}, "minItems": {number}}}'
    try:
        schema = orjson.loads(text)
    except orjson.JSONDecodeError:
        return
    assert orjson.dumps(sample_of(schema))
