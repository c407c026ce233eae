"""Websockets that watch usage."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp

from tests.fault.serving import BEARER, ServerProcess
from tests.fault.violations import Violation, demand

WATCH_USAGE = """subscription { usageUpdated(input: { dimension: AGENT, timezone: "UTC",
  window: { period: TODAY } }) { ... on UsageSnapshot { series { totals { requests } } }
  ... on UsageDelta { totals { requests } } } }"""


class Subscriber:
    """Reads in a task of its own, and keeps the newest total."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.requests = -1
        self.updates = 0
        self._socket = socket
        self._reading = asyncio.create_task(self._read())

    async def close_code(self, seconds: float) -> int | None:
        """How the server closed it. Raises `Violation` where it hasn't, in this time."""
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._reading)
        except TimeoutError:
            raise Violation("a socket was not closed") from None
        return self._socket.close_code

    async def sees(self, requests: int, seconds: float) -> None:
        """Wait for a total of so many. Raises `Violation`."""
        until = asyncio.get_running_loop().time() + seconds
        while self.requests < requests:
            demand(
                asyncio.get_running_loop().time() < until and not self._reading.done(),
                f"a subscriber saw {self.requests} of {requests} requests, "
                f"closed {self._socket.close_code}",
            )
            await asyncio.sleep(0.05)

    async def leave(self) -> None:
        """Stop reading."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        async for message in self._socket:
            said = message.json()
            if said["type"] == "ping":
                await self._socket.send_json({"type": "pong"})
            elif said["type"] == "next":
                demand("errors" not in said["payload"], f"a subscription failed: {said}")
                told = said["payload"]["data"]["usageUpdated"]
                totals = told["series"]["totals"] if "series" in told else told["totals"]
                self.requests = totals["requests"]
                self.updates += 1
            else:
                demand(said["type"] == "connection_ack", f"a socket was told {said}")


@asynccontextmanager
async def subscribed(server: ServerProcess, number: int) -> AsyncIterator[list[Subscriber]]:
    """So many sockets, each with its first state."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        )
        made = []
        for _ in range(number):
            socket = await stack.enter_async_context(
                session.ws_connect(f"{server.url}/graphql", protocols=["graphql-transport-ws"])
            )
            await socket.send_json({"type": "connection_init", "payload": BEARER})
            await socket.send_json(
                {"id": "1", "type": "subscribe", "payload": {"query": WATCH_USAGE}}
            )
            one = Subscriber(socket)
            stack.push_async_callback(one.leave)
            made.append(one)
        for one in made:
            await one.sees(0, 30)
        yield made
