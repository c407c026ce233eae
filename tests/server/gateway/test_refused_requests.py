"""Requests that are refused at the door, in the shape of the caller's protocol."""

from io import BytesIO
from typing import Any

import orjson
import pytest

from db.vocabulary import ProviderKind
from server.gateway_bodies import LARGEST_BODY
from tests.server.gateway.world import (
    CHAT,
    ENDPOINTS,
    HELLO,
    MESSAGES,
    TOKEN,
    Reply,
    World,
    rest_of,
)
from trunkline.providers.changes import ProviderUpdate, update_provider

EMBEDDINGS = "/v1/embeddings"


@pytest.fixture
def world(sqlite_world: World) -> World:
    """No database has a say in it."""
    return sqlite_world


async def send(
    world: World, path: str, data: bytes | BytesIO = b"", method: str = "POST", **headers: str
) -> Reply:
    """Whatever bytes; underscores in the names of headers stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with world.session.request(
        method, world.url + path, data=data, headers=named, skip_auto_headers=["Content-Type"]
    ) as response:
        return await rest_of(response)


def check_shape(reply: Reply, path: str) -> dict[str, Any]:
    """The error, which stands as the protocol has it."""
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-should-retry"] == "false"
    assert reply.headers["x-trunkline-request-id"]
    body = reply.json()
    if path == MESSAGES:
        assert body["type"] == "error"
        assert {"type", "message"} <= set(body["error"])
    else:
        assert set(body) == {"error"}
        assert set(body["error"]) == {"message", "type", "param", "code"}
    error: dict[str, Any] = body["error"]
    return error


@pytest.mark.parametrize("path", [*ENDPOINTS, EMBEDDINGS])
async def test_without_a_token_nobody_comes_in(world: World, path: str) -> None:
    body = orjson.dumps({"model": "chain/test"})
    tries: tuple[dict[str, str], ...] = (
        {}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"},
        {"x_api_key": "wrong"}, {"x_api_key": TOKEN, "Authorization": "Bearer wrong"},
        {"x_api_key": ""},
    )  # fmt: skip
    for headers in tries:
        reply = await send(world, path, body, **headers)
        error = check_shape(reply, path)
        assert reply.status == 401, headers
        assert reply.headers["www-authenticate"].startswith("Bearer")
        assert error["type"] == "authentication_error"
        assert TOKEN.encode() not in reply.body
    assert await world.stored() == []


async def test_the_token_may_come_as_an_api_key(world: World) -> None:
    await world.chain("sim-ok")
    body = orjson.dumps(
        {"model": "chain/test", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    )
    for path in ENDPOINTS:
        assert (await send(world, path, body, x_api_key=TOKEN)).status == 200
    # And it is not passed on.
    assert TOKEN not in repr([one.headers for one in world.seen])


@pytest.mark.parametrize("path", [*ENDPOINTS, EMBEDDINGS])
async def test_a_body_that_can_not_be_read_is_refused(world: World, path: str) -> None:
    await world.chain("sim-ok")
    for data in (b"", b"{", b"[]", b"null", b'"x"', b"7", b"\xff\xfe", b"[" * 100_000):
        reply = await send(world, path, data, **world.bearer)
        check_shape(reply, path)
        assert reply.status == 400, data[:20]
    for wrong in (
        {}, {"model": None}, {"model": 7}, {"model": ""}, {"model": ["chain/test"]},
        {"model": "chain/test", "messages": "hello", "stream": "yes", "input": 7},
        {"model": "chain/test", "stream": 1, "input": {}},
    ):  # fmt: skip
        reply = await send(world, path, orjson.dumps(wrong), **world.bearer)
        error = check_shape(reply, path)
        assert reply.status == 400, wrong
        assert error["type"] == "invalid_request_error"
    assert world.seen == []


@pytest.mark.parametrize("path", [*ENDPOINTS, EMBEDDINGS])
async def test_an_unknown_model_is_not_found(world: World, path: str) -> None:
    await world.chain("sim-ok")
    provider = await world.provider(ProviderKind.OLLAMA)
    await world.model("sleeping", ProviderKind.OLLAMA)
    await update_provider(world.services, ProviderUpdate(id=provider, enabled=False))
    for name in (
        "gpt-5", "chain/", "chain/nothing", "/", "a/b", "ollama/sleeping", "x" * 5_000,
        "chain/\0", "openai-compatible/ÿ", "openai-compatible/sim-ok/",
    ):  # fmt: skip
        data = orjson.dumps({"model": name, "input": "x", "max_tokens": 9, "messages": HELLO})
        reply = await send(world, path, data, **world.bearer)
        error = check_shape(reply, path)
        assert reply.status == 404, name
        assert len(error["message"]) < 500
        assert error["type"] == ("not_found_error" if path == MESSAGES else "invalid_request_error")
        if path != MESSAGES:
            assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert world.seen == []


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_a_body_that_is_too_large_or_compressed_is_refused(world: World, path: str) -> None:
    large = await send(world, path, BytesIO(b" " * (LARGEST_BODY + 1)), **world.bearer)
    check_shape(large, path)
    assert large.status == 413
    assert "32 MiB" in large.error["message"]
    compressed = await send(world, path, b"x", **world.bearer, content_encoding="gzip")
    check_shape(compressed, path)
    assert compressed.status == 415


async def test_a_large_body_in_parts_is_refused_as_well(world: World) -> None:
    async def parts() -> Any:
        for _ in range(LARGEST_BODY // 2**20 + 1):
            yield b" " * 2**20

    async with world.session.post(world.url + CHAT, data=parts(), headers=world.bearer) as response:
        assert response.status == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", CHAT, 405), ("PUT", MESSAGES, 405), ("POST", "/v1/models", 405),
        ("DELETE", "/v1/models/chain/test", 405), ("POST", "/v1/responses", 404),
        ("GET", "/v1/", 404), ("POST", "/v1/chat/completions/", 404), ("GET", "/v1/modelsx", 404),
    ],
)  # fmt: skip
async def test_another_path_or_method_is_refused(
    world: World, method: str, path: str, status: int
) -> None:
    reply = await send(world, path, b"{}", method, **world.bearer)
    assert reply.status == status
    assert check_shape(reply, path)["message"]
    assert (await send(world, path, b"{}", method)).status == 401


async def test_another_path_is_told_in_the_callers_protocol(world: World) -> None:
    """As for SDKs that ask for what the gateway has no counterpart of, or at `/v1/v1/messages`."""
    for path in (f"{MESSAGES}/count_tokens", "/v1/v1/messages"):
        reply = await send(world, path, b"{}", anthropic_version="2023-06-01", **world.bearer)
        assert reply.status == 404
        message = check_shape(reply, MESSAGES)["message"]
        assert message.startswith("there is nothing at this path: the gateway has /v1/chat/")
