"""A store with rows of every kind, and operations over the schema that is served."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from db import engine
from db.engine import Database
from db.migrate import migrate
from db.vocabulary import ProviderKind
from resolvers.context import OperationContext, Viewer
from schema.execution import CompiledExecutor, Executor
from schema.root import schema
from server.wiring import services_on
from tests.schema.compiled.operations import BASIC, Generator
from trunkline.catalog.known import KnownCatalog
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.secrets import Secrets, generate_secret_key
from trunkline.services import Services
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.recording import record_usage

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
PROVIDERS = ("anthropic", "openai", "ollama")
MODELS = ("claude-sonnet-4-5", "gpt-4o", "llama3.2", "unheard-of")
CHAIN = """mutation ($steps: [FailoverStepInput!]!) { createFailoverChain(input: {
  name: "Main", slug: "main", steps: $steps }) { failoverChain { id } userErrors { message } } }"""
BUDGET = """mutation { createBudget(input: { name: "All", amountUsd: "0.01", period: DAY,
  timezone: "UTC", scope: { agent: "one" } }) {
  budget { id } userErrors { message } } }"""


@dataclass
class Store:
    """An open store."""

    services: Services
    ids: list[str]
    schema = schema
    ways: Any = (Executor, CompiledExecutor)

    def context(self) -> OperationContext:
        """Of one operation."""
        return OperationContext(self.services, Viewer("tests"), "request-1")

    def generator(self, dice: Random) -> Generator:
        """Of operations that find something, most often."""
        scalars = BASIC | {
            "String": lambda dice: dice.choice(
                [*PROVIDERS, *MODELS, "main", "UTC", "UTC", "x", ""]
            ),
            "ID": lambda dice: dice.choice([*self.ids, "x"]),
            "Int": lambda dice: dice.choice([0, 1, 2, 3, 5, 5, 10, -1, 1000]),
            "DateTime": lambda dice: dice.choice(
                ["2026-11-23T00:00:00Z", "2026-11-23T15:00:00Z", "2026-11-22T00:00:00+01:00", "now"]
            ),
            "Decimal": lambda dice: dice.choice(["1", "0.25", "1e5", "-1"]),
            "SafeInt": lambda dice: dice.choice([0, 5, 2**53]),
        }
        # Introspection is graphql-core's own, and large.
        return Generator(schema._schema, dice, scalars, most_fields=25)


@asynccontextmanager
async def opened_store(folder: Path) -> AsyncIterator[Store]:
    """A new store, where it is always the same moment."""
    # One connection to read by: of several, the thread that is faster decides which error is first.
    readers, engine._READERS = engine._READERS, 1
    database = Database.open(f"sqlite+aiosqlite:///{folder / 'trunkline.db'}")
    engine._READERS = readers
    await migrate(database)
    secrets = Secrets([generate_secret_key()])
    async with services_on(
        database, secrets, clock=lambda: NOW, catalog=KnownCatalog()
    ) as services:
        await _fill(services)
        yield Store(services, await _ids(services))
    await database.close()


async def _fill(services: Services) -> None:
    kinds = (ProviderKind.ANTHROPIC, ProviderKind.OPENAI, ProviderKind.OLLAMA)
    for slug, kind in zip(PROVIDERS, kinds, strict=True):
        await create_provider(services, NewProvider(slug=slug, name=slug.title(), kind=kind))
    dice = Random(1)
    events = [
        NewUsageEvent(
            idempotency_key=f"event-{number}",
            provider_slug=PROVIDERS[number % 3],
            model_name=MODELS[number % 4],
            agent=dice.choice(["one", "two", None]),
            occurred_at=NOW - timedelta(minutes=dice.randrange(4_000)),
            succeeded=dice.random() < 0.9,
            input_tokens=dice.randrange(9_000),
            output_tokens=dice.randrange(900),
            latency_ms=dice.choice([None, 250, 900]),
        )
        for number in range(120)
    ]
    await record_usage(services, events)
    found = await _run(services, "{ models(first: 3) { nodes { id } } }")
    steps = [{"modelId": node["id"]} for node in found["models"]["nodes"]]
    await _run(services, CHAIN, steps=steps)
    await _run(services, BUDGET)


async def _ids(services: Services) -> list[str]:
    found = await _run(
        services,
        """{ providers { nodes { id } } models(first: 3) { nodes { id } }
             budgets { nodes { id } } failoverChains { nodes { id } }
             usageEvents(first: 2) { nodes { id } } }""",
    )
    return [node["id"] for page in found.values() for node in page["nodes"]]


async def _run(services: Services, text: str, **variables: Any) -> Any:
    context = OperationContext(services, Viewer("tests"), "request-1")
    result = await schema.execute(text, variables, context_value=context)
    assert not result.errors, result.errors
    return result.data
