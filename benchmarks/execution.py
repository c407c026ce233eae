"""Requests a second, beside stock Strawberry on the same server.

Run `python -m benchmarks.execution`. One process serves both on one port: `/graphql` is Trunkline
whole, with sign-in, limits and its log; `/new` is the same, and forgets before each request what it
keeps of the store's answers; `/stock` is Strawberry's own ASGI application with the same types,
resolvers and services, without any extension. Another process sends the same operation to each in
turn over a few connections, and the best of several rounds counts.

- 1,000 models of 7 fields, from memory: what executing and encoding cost.
- the provider overview, usage by hour and `{ __typename }`, from a store on disk.
"""

import asyncio
import json
import logging
import multiprocessing
import os
import random
import socket
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import strawberry
import structlog
import uvloop
from starlette.types import Receive, Scope, Send
from strawberry.asgi import GraphQL
from strawberry.tools import merge_types

from benchmarks.forgetting import forget
from db.engine import Database
from db.migrate import migrate
from db.models import ModelRow
from db.vocabulary import ModelSource, ProviderKind
from resolvers.context import OperationContext, Viewer
from schema.connection_tests import ConnectionTest
from schema.execution import CompiledExecutor
from schema.fields import plain, resolved
from schema.node import reference
from schema.root import CONFIG, EXTENSIONS, Mutation, Query, Subscription, TrunklineSchema
from server.serving import front_door, make_server
from server.settings import Settings
from server.wiring import collect_seldom, services_on
from trunkline.catalog.changes import NewModel, create_model
from trunkline.clock import system_clock
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.secrets import Secrets, generate_secret_key
from trunkline.services import Services
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.recording import record_usage

TOKEN = "benchmark-token-0123456789"
CONNECTIONS, ROUNDS, SECONDS = 4, 3, 2.0
PROVIDERS, MODELS, DAYS = 4, 20, 30
OVERVIEW = """{ providers { totalCount nodes {
  id slug name kind enabled status modelCount version apiKey { masked }
  lastConnectionTest { id ok status message testedAt }
  models(first: 20) { totalCount nodes { id wireName name enabled contextWindow capabilities
    pricing { inputPerMillion outputPerMillion } } pageInfo { hasNextPage endCursor } } } } }"""
SERIES = """query ($input: UsageSeriesInput!) { usageSeries(input: $input) {
  groups { key label totals { requests costUsd }
    points { start requests failures inputTokens cacheReadTokens outputTokens costUsd } } } }"""
QUESTIONS: dict[str, tuple[str, dict[str, Any], float]] = {
    "1,000 models of 7 fields": (
        "{ thousandModels { id wireName name contextWindow enabled source updatedAt } }",
        {},
        15,
    ),
    "provider overview, 4 × 20 models": (OVERVIEW, {}, 5),
    "usageSeries, 30 days by hour, 10 groups": (
        SERIES,
        {
            "input": {
                "dimension": "AGENT",
                "granularity": "HOUR",
                "timezone": "UTC",
                "window": {"period": "LAST_30_DAYS"},
            }
        },
        10,
    ),
    "`{ __typename }`": ("{ __typename }", {}, 2),
}

_ROWS = [
    ModelRow(
        id=number,
        provider_id=1,
        wire_name=f"model-{number}",
        name=f"Model {number}",
        description=None,
        context_window=200_000 if number % 3 else None,
        max_output_tokens=None,
        capabilities=None,
        pricing=None,
        enabled=True,
        deprecated=False,
        source=ModelSource.CATALOG,
        version=1,
        created_at=datetime(2026, 11, 1, tzinfo=UTC),
        updated_at=datetime(2026, 11, 1, 12, number % 60, tzinfo=UTC),
        deleted_at=None,
    )
    for number in range(1_000)
]


def _thousand() -> list[ModelRow]:
    return _ROWS


@strawberry.type
class ModelInMemory:
    """A model of a type of its own: what was served of a `Model` is kept (`unchanging.py`), and
    this is to say what serving one costs.
    """

    id: strawberry.ID = reference("Model", "id", "Its global id.", nullable=False)
    wire_name: str = plain("What goes over the wire.")
    name: str = plain("For people.")
    context_window: int | None = plain("Tokens.")
    enabled: bool = plain("Whether it is on.")
    source: ModelSource = plain("Where it is known from.")
    updated_at: datetime = plain("When it last changed.")


@strawberry.type
class InMemory:
    """Fields of Query for this benchmark."""

    thousand_models: Any = resolved(_thousand, "From memory.", graphql_type=list[ModelInMemory])


ROOTS: dict[str, Any] = {
    "query": merge_types("Query", (Query, InMemory)),
    "mutation": Mutation,
    "subscription": Subscription,
    "types": [ConnectionTest],
    "config": CONFIG,
}


class Stock(GraphQL[OperationContext, None]):
    """Strawberry's own application."""

    services: Services

    async def get_context(self, request: Any, response: Any) -> OperationContext:  # noqa: ARG002  # its interface
        """A context for each request, as Trunkline makes one."""
        return OperationContext(self.services, Viewer("benchmark"), "benchmark")


def main() -> None:
    """Print the table."""
    port: multiprocessing.Queue[int] = multiprocessing.get_context("spawn").Queue()
    serving = multiprocessing.get_context("spawn").Process(target=_serve, args=(port,), daemon=True)
    serving.start()
    try:
        asyncio.run(_measure(port.get(timeout=120)))
    finally:
        serving.terminate()
        serving.join()


async def _measure(port: int) -> None:
    print("| what | stock, requests/s | Trunkline, requests/s | ratio | all new | aim |")
    print("|---|---|---|---|---|---|")
    for name, (query, variables, aim) in QUESTIONS.items():
        body = json.dumps({"query": query, "variables": variables}).encode()
        best = {"/stock": 0.0, "/graphql": 0.0, "/new": 0.0}
        answers = {path: await _ask_once(port, path, body) for path in best}
        assert answers["/stock"]["data"] == answers["/graphql"]["data"], name
        assert "errors" not in answers["/graphql"], answers
        for _ in range(ROUNDS):
            for path in best:
                best[path] = max(best[path], await _rate(port, path, body))
        stock, ours = best["/stock"], best["/graphql"]
        ratios = f"{ours / stock:.1f} | {best['/new'] / stock:.1f}"
        print(f"| {name} | {stock:,.1f} | {ours:,.1f} | {ratios} | {aim} |", flush=True)


async def _rate(port: int, path: str, body: bytes) -> float:
    ends_at = time.perf_counter() + SECONDS
    begun = time.perf_counter()

    async def client() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
        count = 0
        while time.perf_counter() < ends_at:
            await _exchange(reader, writer, path, body)
            count += 1
        writer.close()
        return count

    counts = await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    return sum(counts) / (time.perf_counter() - begun)


async def _ask_once(port: int, path: str, body: bytes) -> Any:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    text = await _exchange(reader, writer, path, body)
    writer.close()
    return json.loads(text)


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, body: bytes
) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    received = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(received.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    return await reader.readexactly(length)


def _serve(port: "multiprocessing.Queue[int]") -> None:
    # Each line is written, to nowhere.
    nowhere = Path(os.devnull).open("w")  # noqa: SIM115  # until the process ends
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(nowhere),
    )
    uvloop.run(_serving(port))


async def _serving(port: "multiprocessing.Queue[int]") -> None:
    async with _store() as services:
        stock = Stock(strawberry.Schema(**ROOTS))
        stock.services = services
        ours = TrunklineSchema(
            **ROOTS, execution_context_class=CompiledExecutor, extensions=EXTENSIONS
        )
        door = front_door(services, Settings(), TOKEN)
        object.__setattr__(door, "schema", ours)
        listener = socket.create_server(("127.0.0.1", 0))
        server = make_server(door, lambda: port.put(listener.getsockname()[1]))
        inner: Any = server.config.app

        async def both(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] == "/new":
                forget()
                scope["path"] = "/graphql"
            await (stock if scope["path"] == "/stock" else inner)(scope, receive, send)

        server.config.app = both
        await server.serve([listener])


@asynccontextmanager
async def _store() -> AsyncIterator[Services]:
    with tempfile.TemporaryDirectory() as folder:
        database = Database.open(f"sqlite+aiosqlite:///{Path(folder) / 'trunkline.db'}")
        await migrate(database)
        async with services_on(database, Secrets([generate_secret_key()])) as services:
            await _fill(services)
            collect_seldom()  # As `trunkline serve` does; stock has it too.
            yield services
        await database.close()


async def _fill(services: Services) -> None:
    kinds = [ProviderKind.ANTHROPIC, ProviderKind.OPENAI, ProviderKind.GOOGLE, ProviderKind.OLLAMA]
    dice = random.Random(1)
    for number, kind in enumerate(kinds):
        made = await create_provider(
            services, NewProvider(slug=f"provider-{number}", name=f"Provider {number}", kind=kind)
        )
        for model in range(MODELS):
            await create_model(
                services,
                NewModel(provider_id=made.id, wire_name=f"model-{model}", context_window=9),
            )
    now = system_clock()
    events = [
        NewUsageEvent(
            idempotency_key=f"event-{number}",
            provider_slug=f"provider-{number % PROVIDERS}",
            model_name=f"model-{number % MODELS}",
            agent=f"agent-{number % 10}",
            occurred_at=now - timedelta(hours=number // 10 % (24 * DAYS), minutes=5),
            input_tokens=dice.randrange(1_000, 9_000),
            cache_read_tokens=dice.randrange(900),
            output_tokens=dice.randrange(900),
            cost_nanos=dice.randrange(10**8),
        )
        for number in range(10 * 24 * DAYS)
    ]
    for begin in range(0, len(events), 500):
        await record_usage(services, events[begin : begin + 500])


if __name__ == "__main__":
    main()
