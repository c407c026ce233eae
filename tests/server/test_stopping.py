"""The end of a server: what comes is refused, what is under way may end, the rest is told."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from server.http_server import HttpServer
from server.requests import RequestLog
from server.stopping import Stopping
from tests.server.gateway.world import ENDPOINTS, MESSAGES


class Server:
    """A server of one request at a time that ends when it is `released`."""

    def __init__(self, grace_seconds: float) -> None:
        self.begun = asyncio.Event()
        self.released = asyncio.Event()
        self.told: list[str] = []
        self.closing = asyncio.Event()

        def note(word: str) -> Callable[[], None]:
            return lambda: self.told.append(word)

        def close() -> None:
            self.told.append("closing")
            self.closing.set()

        app = RequestLog(Stopping(self._app, self.closing), closing=self.closing)
        config = uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=2)
        self.server = HttpServer(
            config,
            when_ready=note("ready"),
            when_closing=close,
            when_cutting=note("cutting"),
            grace_seconds=grace_seconds,
        )

    async def _app(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["path"] == "/slow":
            self.begun.set()
            await self.released.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


@asynccontextmanager
async def running(made: Server) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    """Its address; it must have ended by itself at the end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(made.server.serve([listener]))
        async with aiohttp.ClientSession() as session:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", session
        async with asyncio.timeout(20):
            await task


async def test_what_is_under_way_ends_and_what_comes_is_refused() -> None:
    made = Server(grace_seconds=60)
    async with running(made) as (url, session):
        asking = asyncio.create_task(session.get(f"{url}/slow"))
        await made.begun.wait()
        made.server.handle_exit(signal.SIGTERM, None)
        await made.closing.wait()
        for probe in ("/readyz", "/healthz"):
            async with session.get(f"{url}{probe}") as answered:
                assert answered.status == 200
        async with session.post(f"{url}/graphql") as refused:
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            assert refused.headers["connection"] == "close"
            error = (await refused.json())["errors"][0]
            assert error["message"] == "the server is stopping: try again"
            assert error["extensions"]["code"] == "UNAVAILABLE"
        for path in ENDPOINTS:
            async with session.post(f"{url}{path}") as refused:
                assert (refused.status, refused.headers["x-should-retry"]) == (503, "true")
                said = await refused.json()
                assert said["error"]["message"] == "the server is stopping: try again"
                assert ("type" in said) == (path == MESSAGES)
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await session.ws_connect(f"{url}/graphql")
        made.released.set()
        async with await asking as done:
            assert await done.read() == b"done"
    assert made.told == ["ready", "closing"]


@pytest.mark.parametrize("signals", [1, 2])
async def test_what_has_no_time_left_is_told_so(signals: int) -> None:
    made = Server(grace_seconds=0 if signals == 1 else 3_600)
    async with running(made) as (url, session):
        asking = asyncio.create_task(session.get(f"{url}/slow"))
        await made.begun.wait()
        for one in [signal.SIGTERM, signal.SIGTERM][:signals]:
            made.server.handle_exit(one, None)
        async with await asking as cut:
            assert cut.status == 503
            assert (await cut.json())["errors"][0]["message"] == "the server is stopping: try again"
    assert made.told == ["ready", "closing", "cutting"]
