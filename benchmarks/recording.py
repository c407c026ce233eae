"""How many usage events a second are recorded durably, beside what bare SQLite makes of them.

Run `python -m benchmarks.recording`. The base is `sqlite3` running `executemany` of the very same
rows of events in transactions of 500, with the same durability (`synchronous=FULL`) and the same
indexes, and nothing else: no checks, no prices, no rollups, no GraphQL.

- `recordUsage`: sixteen clients, batches of 500, through the schema as the server executes it.
- import: a file of NDJSON through `trunkline usage import`'s reader.
- one event a call, 64 clients, against the same events with a transaction each on the same store.
"""

import asyncio
import gc
import random
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from db.engine import Database
from db.migrate import migrate
from db.vocabulary import ProviderKind
from resolvers.context import OperationContext, Viewer
from schema.root import schema
from server.wiring import services_on
from trunkline.clock import system_clock
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.secrets import Secrets, generate_secret_key
from trunkline.services import Services
from trunkline.usage.importing import import_lines
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.recording import record_usage

CLIENTS, BATCH, BATCHES = 16, 500, 25
SINGLE_CLIENTS, SINGLE_CALLS = 64, 20
MODELS = ("claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-5", "claude-sonnet-4-0")
RECORD = """mutation ($events: [UsageEventInput!]!) { recordUsage(input: { events: $events }) {
  recorded userErrors { message } } }"""


def made_events(count: int, prefix: str) -> list[dict[str, Any]]:
    """As a client sends them: of four models and fifty agents, over the last ten minutes."""
    dice = random.Random(prefix)
    now = datetime.now(UTC)
    return [
        {
            "idempotencyKey": f"{dice.getrandbits(128):032x}",
            "providerSlug": "anthropic",
            "modelName": dice.choice(MODELS),
            "agent": f"agent-{dice.randrange(50)}",
            "occurredAt": (now - timedelta(seconds=600 - 600 * number / count)).isoformat(),
            "inputTokens": dice.randrange(1_000, 9_000),
            "cacheReadTokens": dice.randrange(900),
            "outputTokens": dice.randrange(1, 900),
            "latencyMs": dice.randrange(200, 9_000),
        }
        for number in range(count)
    ]


@asynccontextmanager
async def store() -> AsyncIterator[tuple[Services, Path]]:
    """An empty store with one provider."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "trunkline.db"
        database = Database.open(f"sqlite+aiosqlite:///{path}")
        await migrate(database)
        async with services_on(database, Secrets([generate_secret_key()])) as services:
            await create_provider(
                services,
                NewProvider(slug="anthropic", name="Anthropic", kind=ProviderKind.ANTHROPIC),
            )
            await record_graphql(services, made_events(1, "warm"))
            gc.freeze()  # As the server does once it has started.
            yield services, path
        await database.close()


async def record_graphql(services: Services, events: Sequence[dict[str, Any]]) -> None:
    """One `recordUsage`."""
    context = OperationContext(services, Viewer("benchmark"), "benchmark")
    result = await schema.execute(RECORD, {"events": events}, context_value=context)
    assert result.data is not None, result.errors
    assert result.data["recordUsage"]["recorded"] == len(events), result.data


async def together(clients: int, call: Callable[[int, int], Awaitable[Any]], calls: int) -> float:
    """How long so many clients take for so many calls each, in seconds."""

    async def client(number: int) -> None:
        for turn in range(calls):
            await call(number, turn)

    begun = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(clients)))
    return time.perf_counter() - begun


def bare_seconds(path: Path) -> float:
    """How long bare SQLite takes an event, writing the rows that are there into another file."""
    # In the order in which they were sent: the store has them sorted by key.
    every = sqlite3.connect(path).execute("SELECT * FROM usage_events ORDER BY occurred_at")
    rows = [(None, *row[1:]) for row in every]
    target = path.with_name("bare.db")
    schema_sql = [
        sql
        for (sql,) in sqlite3.connect(path).execute(
            "SELECT sql FROM sqlite_master WHERE tbl_name = 'usage_events' AND sql IS NOT NULL"
        )
    ]
    connection = sqlite3.connect(target, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    for sql in schema_sql:
        connection.execute(sql)
    insert = f"INSERT INTO usage_events VALUES ({', '.join('?' * len(rows[0]))})"
    begun = time.perf_counter()
    for start in range(0, len(rows), BATCH):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(insert, rows[start : start + BATCH])
        connection.execute("COMMIT")
    seconds = time.perf_counter() - begun
    connection.close()
    target.unlink()
    return seconds / len(rows)


async def batches() -> None:
    """`recordUsage` with sixteen clients."""
    async with store() as (services, path):
        sent = {
            (client, turn): made_events(BATCH, f"{client}-{turn}")
            for client in range(CLIENTS)
            for turn in range(BATCHES)
        }
        seconds = await together(CLIENTS, lambda *key: record_graphql(services, sent[key]), BATCHES)
        report(
            f"recordUsage, {CLIENTS} clients, batches of {BATCH}", len(sent) * BATCH, seconds, path
        )


async def lines() -> None:
    """An import of NDJSON."""

    async with store() as (services, path):
        events = made_events(CLIENTS * BATCH * BATCHES, "import")
        data = b"".join(orjson.dumps(event) + b"\n" for event in events)

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(data), 65_536):
                yield data[start : start + 65_536]

        begun = time.perf_counter()
        done = await import_lines(services, chunks())
        seconds = time.perf_counter() - begun
        assert done.recorded == len(events)
        report("import of NDJSON", len(events), seconds, path)


async def singles() -> None:
    """One event a call, beside a transaction for each."""
    count = SINGLE_CLIENTS * SINGLE_CALLS
    async with store() as (services, _):
        grouped = await together(
            SINGLE_CLIENTS, lambda *key: record_usage(services, [single(key)]), SINGLE_CALLS
        )
    async with store() as (services, _):
        begun = time.perf_counter()
        for number in range(count):
            await record_usage(services, [single((number, -1))])
        alone = time.perf_counter() - begun
    print(
        f"| recordUsage, {SINGLE_CLIENTS} clients, one event a call | {count / grouped:,.0f} "
        f"| {count / alone:,.0f} (a transaction each) | {alone / grouped:.1f} |"
    )


def single(key: tuple[int, ...]) -> NewUsageEvent:
    """An event of its own."""
    return NewUsageEvent(
        idempotency_key="-".join(map(str, key)),
        provider_slug="anthropic",
        model_name=MODELS[0],
        agent=f"agent-{key[0] % 50}",
        occurred_at=system_clock(),
        input_tokens=1_000,
        latency_ms=900,
    )


def report(name: str, count: int, seconds: float, path: Path) -> None:
    """A row of the table."""
    bare = min(bare_seconds(path) for _ in range(3))
    print(
        f"| {name} | {count / seconds:,.0f} | {1 / bare:,.0f} (bare sqlite3) "
        f"| {bare * count / seconds:.3f} |",
        flush=True,
    )


async def main() -> None:
    """Every row."""
    print("| what | events/s | base, events/s | ratio |")
    print("|---|---|---|---|")
    await batches()
    await lines()
    await singles()


if __name__ == "__main__":
    asyncio.run(main())
