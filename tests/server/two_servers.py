"""Two `trunkline serve` as processes of their own on one PostgreSQL, and clients of theirs."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from tests.conftest import SECRET_KEY
from tests.console.live_server import ADMIN_TOKEN, PATIENCE_SECONDS, _started, _wait_for_link
from tests.program import run_program

BEARER = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
_keys = count()


@dataclass(frozen=True, slots=True)
class Pair:
    """Both servers' addresses, and what the command line beside them needs."""

    first: str
    second: str
    environment: Mapping[str, str] = field(repr=False)

    async def run(self, *arguments: str, given: str = "") -> int:
        """Run a command beside the servers; gives its exit status."""
        ended = await asyncio.to_thread(
            run_program, arguments, self.environment, given=given, timeout_seconds=PATIENCE_SECONDS
        )
        return ended.returncode


@contextmanager
def running_pair(folder: Path, database_url: str, bus_url: str | None = None) -> Iterator[Pair]:
    """Two servers, started at the same moment on a database that may be empty.

    Fails where one doesn't start or doesn't end cleanly.
    """
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TRUNKLINE_") and not name.endswith("_API_KEY")
    }
    environment = own | {
        "TRUNKLINE_DATA_DIR": str(folder / "data"),
        "TRUNKLINE_DATABASE_URL": database_url,
        "TRUNKLINE_ADMIN_TOKEN": ADMIN_TOKEN,
        "TRUNKLINE_SECRET_KEYS": SECRET_KEY,
        **({} if bus_url is None else {"TRUNKLINE_BUS_URL": bus_url}),
    }
    logs = [folder / f"{name}.log" for name in ("first", "second")]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(_started(environment, stack.enter_context(log.open("w")).fileno()))
            for log in logs
        ]
        links = [_wait_for_link(process, log) for process, log in zip(processes, logs, strict=True)]
        first, second = (link.partition("/graphiql")[0] for link in links)
        yield Pair(first, second, environment)
        for process in processes:
            process.send_signal(signal.SIGINT)
        for process, log in zip(processes, logs, strict=True):
            process.wait(PATIENCE_SECONDS)
            assert process.returncode == 0, f"a server ended badly:\n{log.read_text()}"


async def ask(url: str, query: str, **variables: Any) -> dict[str, Any]:
    """Run an operation on one server and give its data; errors fail the test."""
    async with (
        aiohttp.ClientSession(headers=BEARER) as session,
        session.post(f"{url}/graphql", json={"query": query, "variables": variables}) as response,
    ):
        body: dict[str, Any] = await response.json()
    assert "errors" not in body, body
    data: dict[str, Any] = body["data"]
    return data


class Watch:
    """A subscription; each of its payloads' `data` comes out of `next`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def next(self, patience_seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """The next payload's data."""
        while True:
            message = await self._socket.receive_json(timeout=patience_seconds)
            if message["type"] == "ping":
                await self._socket.send_json({"type": "pong"})
                continue
            assert message["type"] == "next", message
            assert "errors" not in message["payload"], message
            data: dict[str, Any] = message["payload"]["data"]
            return data


@asynccontextmanager
async def watching(url: str, query: str, **variables: Any) -> AsyncIterator[Watch]:
    """Subscribe on one server."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/graphql", protocols=["graphql-transport-ws"]) as socket,
    ):
        await socket.send_json({"type": "connection_init", "payload": BEARER})
        assert (await socket.receive_json(timeout=PATIENCE_SECONDS))["type"] == "connection_ack"
        await socket.send_json(
            {"id": "1", "type": "subscribe", "payload": {"query": query, "variables": variables}}
        )
        yield Watch(socket)


WATCH_PROVIDERS = "subscription { providerChanged { kind provider { slug name } } }"
WATCH_USAGE = """subscription { usageUpdated(input: { dimension: AGENT, timezone: "UTC",
  window: { period: LAST_7_DAYS } }) { ... on UsageSnapshot { series { totals { requests } } }
  ... on UsageDelta { totals { requests } } } }"""
RENAME = """mutation ($id: ID!, $name: String!) {
  updateProvider(input: { id: $id, name: $name }) { userErrors { message } } }"""
RECORD = """mutation ($events: [UsageEventInput!]!) {
  recordUsage(input: { events: $events }) { recorded userErrors { message } } }"""
PROVIDERS = "{ providers(first: 20) { nodes { id slug } } }"


async def ids_of_providers(url: str) -> dict[str, str]:
    """Global ids by slug."""
    nodes = (await ask(url, PROVIDERS))["providers"]["nodes"]
    assert len(nodes) == len({node["slug"] for node in nodes})
    return {node["slug"]: node["id"] for node in nodes}


async def rename(url: str, provider: str, name: str) -> None:
    """Change a provider through one server."""
    done = await ask(url, RENAME, id=provider, name=name)
    assert not done["updateProvider"]["userErrors"], done


def made_event() -> dict[str, Any]:
    """Usage under a key of its own."""
    return {
        "idempotencyKey": f"{os.getpid()}-{next(_keys)}",
        "providerSlug": "anthropic",
        "modelName": "claude-sonnet-4-5",
        "agent": "agent",
        "inputTokens": 10,
    }


async def record(url: str) -> None:
    """Record one event through one server."""
    done = await ask(url, RECORD, events=[made_event()])
    assert done["recordUsage"] == {"recorded": 1, "userErrors": []}


def requests_in(update: dict[str, Any]) -> int:
    """How many requests a `WATCH_USAGE` has heard of."""
    told = update["usageUpdated"]
    totals = told["series"]["totals"] if "series" in told else told["totals"]
    found: int = totals["requests"]
    return found
