"""Requests that are under way when the server stops and waits no longer."""

import asyncio
from typing import Any

import orjson
import pytest

from db.vocabulary import ProviderKind
from server.gateway_routes import GatewayRoutes
from server.requests import RequestLog
from server.sign_in import Gate
from tests.server.gateway.world import CHAT, ENDPOINTS, HELLO, TOKEN, World


@pytest.fixture
def world(sqlite_world: World) -> World:
    """No database has a say in it."""
    return sqlite_world


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    ("fault", "stream", "outcome"),
    [("stall-after-3", True, "CUT"), ("silent", True, "FAILED"), ("silent", False, "FAILED")],
)
async def test_a_request_to_the_gateway_that_is_cut_off_is_told_and_counted(
    world: World, path: str, fault: str, stream: bool, outcome: str
) -> None:
    kind = ProviderKind.OPENAI_COMPATIBLE if path == CHAT else ProviderKind.ANTHROPIC
    await world.chain("first", kind=kind)
    world.script(first=[fault])
    sent: list[dict[str, Any]] = []
    task = asyncio.create_task(call(world, path, stream, sent))
    await world.until_seen(1)
    if outcome == "CUT":
        await world.until(lambda: len(sent) > 1)
    world.services.gateway.stopped.set()
    task.cancel()
    await task
    assert sent[0]["status"] == (200 if outcome == "CUT" else 503)
    assert sent[-1].get("more_body", False) is False
    last = sent[-1]["body"].splitlines()
    error = orjson.loads(next(line for line in last if b"{" in line).removeprefix(b"data: "))
    assert error["error"]["message"] == "the server is stopping: try again"
    stored = (await world.stored())[-1]
    assert (stored.outcome, stored.http_status) == (outcome, 503)
    attempt = stored.attempts[0]
    assert attempt.cancelled
    assert (attempt.output_tokens > 0) == (outcome == "CUT")


async def call(world: World, path: str, stream: bool, sent: list[dict[str, Any]]) -> None:
    """Ask the routes themselves, in a task that may be cancelled as the server does."""
    body = {"model": "chain/test", "messages": HELLO, "max_tokens": 100, "stream": stream}
    received = [{"type": "http.request", "body": orjson.dumps(body), "more_body": False}]

    async def receive() -> Any:
        if not received:
            await asyncio.Event().wait()
        return received.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": path, "query_string": b"", "state": {},
        "headers": [(b"authorization", f"Bearer {TOKEN}".encode())],
    }  # fmt: skip
    gate = Gate(world.services.database, world.services.clock, TOKEN, world.services.events)
    routes = RequestLog(GatewayRoutes(world.services, gate), closing=asyncio.Event())
    await routes(scope, receive, send)
