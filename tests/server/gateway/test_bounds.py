"""What bounds a caller of the gateway: a body in time, a rate, and an access that still stands."""

import asyncio
import contextlib
import json
from datetime import timedelta

import pytest

from db.engine import Database
from server.quotas import Quotas
from tests.conftest import SECRET_KEY
from tests.server.gateway.test_access_tokens import get, says, token
from tests.server.gateway.world import CHAT, ENDPOINTS, MESSAGES, TOKEN, World, open_world
from trunkline.access.changes import revoke_token
from trunkline.secrets import Secrets


@pytest.fixture
def world(sqlite_world: World) -> World:
    """No database has a say in it."""
    return sqlite_world


async def test_a_body_that_trickles_in_gets_408_in_the_callers_protocol(
    sqlite_database: Database,
) -> None:
    """However soon each byte follows the last; and the connection is closed."""
    secrets = Secrets([SECRET_KEY])
    async with open_world(sqlite_database, secrets, body_seconds=0.1) as world:
        await world.chain("sim-ok")
        port = int(world.url.rpartition(":")[2])
        for path in (*ENDPOINTS, "/v1/embeddings"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
            writer.write(f"{head}Content-Length: 10000\r\n\r\n".encode())
            answering = asyncio.ensure_future(everything(reader))
            for _ in range(5_000):
                writer.write(b" ")
                await asyncio.wait([answering], timeout=0.01)
                if answering.done():
                    break
            answer = await answering
            writer.close()
            head, _, body = answer.decode().partition("\r\n\r\n")
            assert head.startswith("HTTP/1.1 408 ")
            assert "connection: close" in head
            said = json.loads(body)
            assert said["error"]["message"] == "the body did not come within 0.1 s: send it again"
            if path == MESSAGES:
                assert said["type"] == "error"
            else:
                assert said["error"]["code"] == "request_timeout"
        assert world.seen == []
        assert (await world.ask()).status == 200


async def everything(reader: asyncio.StreamReader) -> bytes:
    """What comes until the server closes; what it did not read by then makes that a reset."""
    parts = b""
    with contextlib.suppress(ConnectionResetError):
        while part := await reader.read(65_536):
            parts += part
    return parts


async def test_a_token_has_a_rate_and_is_told_when_to_come_back(sqlite_database: Database) -> None:
    quotas = Quotas(gateway_requests_per_second=0.1)
    async with open_world(sqlite_database, Secrets([SECRET_KEY]), quotas=quotas) as world:
        await world.chain("sim-ok")
        for endpoint in ENDPOINTS:
            for stream in (False, True):
                _, sent = await token(world, name=f"{endpoint}-{stream}")
                assert (await world.ask(endpoint, headers=sent, stream=stream)).status == 200
                # Whatever is asked for, and before its body is looked at.
                refused = await world.ask(endpoint, headers=sent, stream=stream, model=7)
                assert refused.status == 429
                assert 5 < int(refused.headers["retry-after"]) <= 10
                assert "0.1 requests to the gateway a second came from you" in says(refused)
                if endpoint == CHAT:
                    assert refused.error["code"] == "rate_limit_exceeded"
                else:
                    assert refused.error["type"] == "rate_limit_error"
                assert (await get(world, "/v1/models", sent)).status == 429
        # Others have theirs.
        assert (await world.ask()).status == 200
        assert len(world.seen) == 5


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_a_request_ends_with_the_access_that_it_came_with(
    world: World, endpoint: str
) -> None:
    """The provider is let go, the caller is told, and what was used is counted."""
    await world.chain("first", "second")
    for number, (fault, stream) in enumerate(
        (("silent", False), ("silent", True), ("stall-after-3", True)), 1
    ):
        token_id, sent = await token(world, name=f"agent-{number}")
        world.script(first=[fault], second=["ok"])
        asking = asyncio.ensure_future(world.ask(endpoint, headers=sent, stream=stream))
        seen = await world.until_seen(number)
        await revoke_token(world.services, token_id)
        async with asyncio.timeout(10):
            assert await seen.until_ended() == "client_gone"
            reply = await asking
        assert not reply.broken
        if fault == "silent":
            assert reply.status == 401
            error = reply.error
        else:
            assert reply.status == 200
            assert not reply.is_whole
            assert reply.stream_error is not None
            error = reply.stream_error
        assert "was revoked or expired while it ran" in error["message"]
        if endpoint == CHAT:
            assert error["code"] == "invalid_api_key"
        else:
            assert error["type"] == "authentication_error"
        # Nothing else was asked in its place.
        assert len(world.seen) == number
        stored = (await world.stored())[-1]
        assert (stored.outcome, stored.agent) == ("CANCELLED", f"agent-{number}")
        assert [one.cancelled for one in stored.attempts] == [True]
    assert (stored.attempts[0].output_tokens or 0) > 0
    assert world.services.gateway.breakers.admit(1, 1) is not None


async def test_and_when_it_expires(world: World) -> None:
    await world.chain("first")
    world.script(first=["silent"])
    expires_at = world.services.clock() + timedelta(seconds=5)
    _, sent = await token(world, expires_at=expires_at)
    asking = asyncio.ensure_future(world.ask(headers=sent))
    await world.until_seen(1)
    world.time.advance(6)
    async with asyncio.timeout(10):
        assert (await asking).status == 401


async def test_others_requests_go_on(world: World) -> None:
    await world.chain("first")
    world.script(first=["silent", "stall-after-3"])
    token_id, sent = await token(world)
    _, others = await token(world, name="other")
    first = asyncio.ensure_future(world.ask(headers=sent))
    await world.until_seen(1)
    async with world.asking(headers=others, stream=True) as response:
        await world.until_seen(2)
        await revoke_token(world.services, token_id)
        assert (await first).status == 401
        begun = b""
        while b"data: " not in begun:
            begun += await response.content.readany()
        assert b"error" not in begun
