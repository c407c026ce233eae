"""How long a page of the catalog takes with every known model loaded.

Run `python -m benchmarks.catalog`. Each search is timed four ways on one SQLite file: a bare
`sqlite3` cursor running the very statement, the repository, and the GraphQL field with its 50
nodes, first without and then with `totalCount`. Ratios are to the bare statement: they say what
our layers cost, whatever the machine.
"""

import asyncio
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import event

from db import models as store
from db import providers as stored_providers
from db.engine import Connection, Database
from db.migrate import migrate
from db.model_pages import ModelQuery, page_models
from db.paging import PageRequest
from db.vocabulary import ModelCapability, ModelSort, ModelSource, ProviderKind
from resolvers.context import OperationContext, Viewer
from schema.root import schema
from server.wiring import services_on
from trunkline.catalog.known import KnownCatalog
from trunkline.catalog.seeding import known_row
from trunkline.secrets import Secrets, generate_secret_key
from trunkline.services import Services

ROUNDS = 60
FIRST = 50

SEARCHES = {
    "first page by name": ("{}", ModelQuery()),
    "one word": ('{ search: "claude" }', ModelQuery(words=("claude",))),
    "three words": (
        '{ search: "openrouter llama instruct" }',
        ModelQuery(words=("openrouter", "llama", "instruct")),
    ),
    "no match": ('{ search: "zzzz" }', ModelQuery(words=("zzzz",))),
    "vision and tools": (
        "{ capabilities: [VISION, TOOLS] }",
        ModelQuery(capabilities=(ModelCapability.VISION, ModelCapability.TOOLS)),
    ),
    "cheapest first": ("{}", ModelQuery(sort=ModelSort.INPUT_PRICE_ASC)),
}

FIELDS = "id wireName name contextWindow capabilities pricing { inputPerMillion outputPerMillion }"


async def load_everything(database: Database, catalog: KnownCatalog) -> int:
    """A provider for each that the price data knows, with all of its models."""
    now = datetime.now(UTC)

    async def load(connection: Connection) -> int:
        count = 0
        for known in catalog.providers:
            provider_id = await stored_providers.insert_provider(
                connection,
                slug=known.replace("_", "-"),
                name=known.title(),
                kind=ProviderKind.OPENAI_COMPATIBLE,
                base_url="http://127.0.0.1:9",
                enabled=True,
                known_provider=known,
                now=now,
            )
            if provider_id is None:
                continue
            rows = [
                known_row(model, source=ModelSource.CATALOG) for model in catalog.models(known, now)
            ]
            count += len(await store.insert_models(connection, provider_id, rows, now=now))
        return count

    return await database.transact(load)


async def median(work: Callable[[], Awaitable[object]]) -> float:
    """Microseconds."""
    spans = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        await work()
        spans.append((time.perf_counter() - begun) * 1e6)
    return statistics.median(spans)


async def statement_of(database: Database, query: ModelQuery) -> tuple[str, Any]:
    """The SQL that the repository runs for a page."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            seen.append((statement, parameters))

    engine = database._reader.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    async with database.read() as connection:
        await page_models(connection, PageRequest(FIRST), query)
    event.remove(engine, "before_cursor_execute", note)
    return seen[-1]


async def measure(services: Services, path: Path) -> None:
    """Print one line for each search."""
    bare_connection = sqlite3.connect(path)
    context = OperationContext(services, Viewer("benchmark"), "benchmark")
    print(
        f"{'search':<20}{'rows':>5}{'bare µs':>10}{'repository':>13}{'GraphQL':>13}{'+ count':>13}"
    )
    for name, (given, query) in SEARCHES.items():
        statement, parameters = await statement_of(services.database, query)

        async def bare(statement: str = statement, parameters: Any = parameters) -> int:
            return len(bare_connection.execute(statement, parameters).fetchall())

        async def repository(query: ModelQuery = query) -> None:
            async with services.database.read() as connection:
                await page_models(connection, PageRequest(FIRST), query)

        async def graphql(fields: str, given: str = given, query: ModelQuery = query) -> None:
            text = (
                f"{{ models(first: {FIRST}, sort: {query.sort.value}, filter: {given}) "
                f"{{ nodes {{ {FIELDS} }} {fields} }} }}"
            )
            result = await schema.execute(text, context_value=context.fresh())
            if result.errors:
                raise RuntimeError(result.errors)

        base = await median(bare)
        others = [
            await median(repository),
            await median(lambda run=graphql: run("pageInfo { endCursor }")),  # type: ignore[misc]  # bound now
            await median(lambda run=graphql: run("totalCount")),  # type: ignore[misc]  # bound now
        ]
        shown = "".join(f"{one / 1000:>6.2f}ms{one / base:>4.1f}×" for one in others)
        print(f"{name:<20}{min(FIRST, await bare()):>5}{base:>10.0f}{shown}")
    bare_connection.close()


async def main() -> None:
    """Load, measure, clean up."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "catalog.db"
        database = Database.open(f"sqlite+aiosqlite:///{path}")
        await migrate(database)
        catalog = KnownCatalog()
        begun = time.perf_counter()
        count = await load_everything(database, catalog)
        print(f"{count} models loaded in {time.perf_counter() - begun:.2f} s\n")
        secrets = Secrets([generate_secret_key()])
        async with services_on(database, secrets, catalog=catalog) as services:
            await measure(services, path)
        await database.close()


if __name__ == "__main__":
    asyncio.run(main())
