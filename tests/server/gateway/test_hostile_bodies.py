"""Whatever stands in a body, and whatever a provider answers, the caller gets an answer or an error
of their protocol: never a fault of ours.
"""

import copy
import random
from typing import Any

import orjson
import pytest

from db.vocabulary import ProviderKind
from tests.server.gateway.world import CHAT, KINDS, MESSAGES, World, rest_of

ODD: tuple[Any, ...] = (
    None, True, 0, -1, 2**63, 1e308, "", "x", "\0", "data:image/png;base64,!", [], [None], [[]],
    [7], {}, {"type": "text"}, {"type": []}, {"text": None}, {"": ""},
)  # fmt: skip
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {
        "model": "chain/test",
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": [
                {"type": "text", "text": "hello"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
            ]},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "look_up", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "a", "content": "found"},
        ],
        "tools": [TOOL],
        "tool_choice": "auto",
        "response_format": {"type": "json_schema", "json_schema": {
            "name": "n", "schema": {"type": "object"},
        }},
        "temperature": 0.5, "top_p": 0.9, "stop": ["\n"], "max_tokens": 50, "stream": False,
        "stream_options": {"include_usage": True}, "metadata": {"agent": "a"}, "seed": 7,
        "reasoning_effort": "low", "logit_bias": {"1": 2}, "n": 1,
    },
    MESSAGES: {
        "model": "chain/test",
        "max_tokens": 50,
        "system": [{"type": "text", "text": "Be short."}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}},
                {"type": "image", "source": {
                    "type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo=",
                }},
            ]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "a", "name": "look_up", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "found"},
            ]},
        ],
        "tools": [{"name": "look_up", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "auto"}, "stop_sequences": ["x"], "temperature": 0.5,
        "thinking": {"type": "disabled"}, "metadata": {"user_id": "a"}, "stream": False,
    },
    "/v1/embeddings": {
        "model": "chain/test", "input": ["a", "b"], "dimensions": 8, "encoding_format": "float",
        "user": "a",
    },
}  # fmt: skip


@pytest.fixture
def world(sqlite_world: World) -> World:
    """No database has a say in it."""
    return sqlite_world


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in it with a key of its own."""
    found = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one))
        for key in keys:
            found.append((one, key))
            if isinstance(one[key], dict | list):
                waiting.append(one[key])
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", BODIES)
async def test_no_body_breaks_the_gateway(world: World, path: str, kind: ProviderKind) -> None:
    await world.chain("sim-ok", kind=kind, max_retries=0)
    dice = random.Random(f"{kind}{path}")
    for _ in range(40):
        body = copy.deepcopy(BODIES[path])
        for _ in range(dice.choice((1, 1, 2))):
            container, key = dice.choice(
                [place for place in places(body) if place != (body, "model")]
            )
            container[key] = copy.deepcopy(dice.choice(ODD))
        try:
            data = orjson.dumps(body)
        except TypeError:  # A choice that orjson can't write.
            continue
        async with world.session.post(
            world.url + path, data=data, headers=world.bearer
        ) as response:
            reply = await rest_of(response)
        assert reply.status < 500 or reply.status in {502, 504}, (reply.status, data)
        if reply.status != 200:
            assert reply.error["message"], data
            assert len(reply.error["message"]) < 2_000
        assert not reply.broken, data


@pytest.mark.parametrize("kind", KINDS)
async def test_what_json_can_not_carry_on_is_refused(world: World, kind: ProviderKind) -> None:
    await world.chain("sim-ok", kind=kind)
    for path in (CHAT, MESSAGES):
        for text in (b'"\\ud800"', b'"a\\u0000b"', b"[" * 300 + b"]" * 300, b"1" * 400):
            for place in (b"messages", b"metadata", b"tools", b"stop", b"temperature", b"unknown"):
                rest = b'"messages":[{"role":"user","content":"hello"}],'
                data = b'{"model":"chain/test","max_tokens":9,%b"%b":%b}' % (
                    b"" if place == b"messages" else rest, place,
                    b'[{"role":"user","content":%b}]' % text if place == b"messages" else text,
                )  # fmt: skip
                async with world.session.post(
                    world.url + path, data=data, headers=world.bearer
                ) as response:
                    reply = await rest_of(response)
                assert reply.status in {200, 400}, (reply.status, data[:200], reply.body)
