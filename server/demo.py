"""`trunkline demo`: everything to look at without a key. All of it is marked as simulated.

Simulated providers are served on loopback, each on a port of its own; providers here point to them.
Thirty days of history and the live traffic go through the use cases that real clients reach:
nothing is put into the store behind their back, and each live request is a real one through the
gateway.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import click
import structlog

from db import chains as stored_chains
from db import models as stored_models
from db import providers as stored_providers
from db.provider_rows import ProviderRow
from db.vocabulary import ProviderKind
from server.demo_traffic import send_traffic
from server.serving import run_server
from server.settings import Settings
from server.simulated.app import running_simulator
from server.simulated.behaviour import Behaviour
from server.simulated.reaction import Pace, Reaction
from trunkline.catalog.changes import ModelUpdate, update_model
from trunkline.catalog.listing import sync_models
from trunkline.catalog.price_overrides import PriceOverride
from trunkline.failover.chains import NewChain, create_chain
from trunkline.failover.steps import StepInput
from trunkline.providers.changes import (
    NewProvider,
    ProviderUpdate,
    create_provider,
    update_provider,
)
from trunkline.services import Services
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.recording import record_usage

log = structlog.get_logger(__name__)

HISTORY_DAYS = 30
_BATCH = 500
_ANSWER_TOKENS = (20, 1_000)
_ERROR_SHARE = 0.04
_KEY = "simulated-key-0123456789"
_CHAIN = "simulated-support"
_AGENTS = ("simulated-support", "simulated-research", "simulated-coder", "simulated-triage")
# Nanodollars per million tokens, input and output. The last model has no price, to show what an
# unknown one looks like.
_PRICES: dict[str, tuple[int, int]] = {
    "simulated-large": (3_000_000_000, 15_000_000_000),
    "simulated-medium": (800_000_000, 4_000_000_000),
    "simulated-small": (100_000_000, 400_000_000),
}
_UNPRICED = "simulated-experiment"


@dataclass(frozen=True, slots=True)
class _Made:
    slug: str
    name: str
    kind: ProviderKind
    path: str


_PROVIDERS = (
    _Made("simulated-north", "North (simulated)", ProviderKind.OPENAI_COMPATIBLE, "/v1"),
    _Made("simulated-south", "South (simulated)", ProviderKind.OPENAI_COMPATIBLE, "/v1"),
    _Made("simulated-local", "Local Ollama (simulated)", ProviderKind.OLLAMA, ""),
)


def run_demo(settings: Settings) -> None:
    """Serve the demo until a signal comes, on a database of its own below the data directory."""
    own = replace(settings, data_dir=settings.data_dir / "demo", database_url_given=None)
    run_server(own, beside=_demonstration)


@asynccontextmanager
async def _demonstration(services: Services) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        urls = [
            await stack.enter_async_context(running_simulator(_behaviour())) for _ in _PROVIDERS
        ]
        providers = await _providers(services, urls)
        if not await _has_chain(services):
            await _price_models(services, providers)
            await _record_history(services)
            await _make_chain(services)
        for made, url in zip(_PROVIDERS, urls, strict=True):
            log.info("simulated provider", name=made.slug, url=url)
        models = [f"{made.slug}/{model}" for made in _PROVIDERS for model in (*_PRICES, _UNPRICED)]
        traffic = asyncio.create_task(
            send_traffic(services, [f"chain/{_CHAIN}"] * len(models) + models, _AGENTS)
        )
        try:
            yield
        finally:
            traffic.cancel()
            with suppress(asyncio.CancelledError):
                await traffic


def _behaviour() -> Behaviour:
    """As real ones are: now and then an error, and no faster than people read."""
    return Behaviour(
        models=(*_PRICES, _UNPRICED),
        api_key=_KEY,
        answer_lengths=_ANSWER_TOKENS,
        error_share=_ERROR_SHARE,
        usual=Reaction(pace=Pace(latency_seconds=0.2, tokens_per_second=400)),
    )


async def _providers(services: Services, urls: Sequence[str]) -> list[ProviderRow]:
    """The demo's providers, at the simulators' present ports, with the models that they list."""
    async with services.database.read() as connection:
        present = await stored_providers.load_providers_by_slug(
            connection, [made.slug for made in _PROVIDERS]
        )
    providers = []
    for made, url in zip(_PROVIDERS, urls, strict=True):
        base_url = url + made.path
        standing = present.get(made.slug)
        if standing is None:
            provider = await create_provider(
                services,
                NewProvider(
                    slug=made.slug, name=made.name, kind=made.kind, base_url=base_url, api_key=_KEY
                ),
            )
        else:
            provider = await update_provider(
                services, ProviderUpdate(id=standing.id, base_url=base_url, api_key=_KEY)
            )
        providers.append((await sync_models(services, provider.id)).provider)
    return providers


async def _price_models(services: Services, providers: list[ProviderRow]) -> None:
    for provider in providers:
        if provider.kind is ProviderKind.OLLAMA:
            continue
        async with services.database.read() as connection:
            models = await stored_models.models_of_provider(connection, provider.id)
        for name, (input_price, output_price) in _PRICES.items():
            if name in models:
                override = PriceOverride(
                    input_per_million=input_price, output_per_million=output_price
                )
                await update_model(
                    services, ModelUpdate(id=models[name].id, price_override=override)
                )


async def _has_chain(services: Services) -> bool:
    async with services.database.read() as connection:
        return _CHAIN in await stored_chains.load_chains_by_slug(connection, [_CHAIN])


async def _make_chain(services: Services) -> None:
    steps = []
    async with services.database.read() as connection:
        providers = await stored_providers.load_providers_by_slug(
            connection, [made.slug for made in _PROVIDERS]
        )
        for made, model in zip(_PROVIDERS, _PRICES, strict=True):
            found = await stored_models.find_model_by_name(
                connection, providers[made.slug].id, model
            )
            if found is not None:
                steps.append(StepInput(model_id=found.id))
    await create_chain(
        services,
        NewChain(
            name="Support answers (simulated)",
            slug=_CHAIN,
            description="Made up by `trunkline demo`.",
            steps=steps,
        ),
    )


async def _record_history(services: Services) -> None:
    """Thirty days, more by day than by night, in the batches that a client would send."""
    events = list(_history(services.clock()))
    for start in range(0, len(events), _BATCH):
        await record_usage(services, events[start : start + _BATCH])
        done = min(start + _BATCH, len(events))
        click.echo(f"\rmaking up history: {done:,} of {len(events):,} events", nl=False, err=True)
    click.echo("", err=True)


def _history(now: datetime) -> Iterator[NewUsageEvent]:
    dice = random.Random(20261123)  # noqa: S311  # made up, and the same each time
    hour = now - timedelta(days=HISTORY_DAYS)
    number = 0
    while hour < now:
        busy = 9 if 8 <= hour.hour < 20 else 3
        for _ in range(dice.randint(busy // 2, busy)):
            occurred = hour + timedelta(seconds=dice.randrange(3_600))
            if occurred >= now:
                continue
            number += 1
            yield _made_up(dice, f"demo-history-{number}", occurred)
        hour += timedelta(hours=1)


def _made_up(dice: random.Random, key: str, occurred: datetime) -> NewUsageEvent:
    made = dice.choices(_PROVIDERS, (6, 3, 2))[0]
    model = dice.choices((*_PRICES, _UNPRICED), (3, 4, 6, 1))[0]
    input_tokens = dice.randint(200, 12_000)
    output_tokens = dice.randint(20, 1_500)
    succeeded = dice.random() > 0.03
    price = _PRICES.get(model) if made.kind is not ProviderKind.OLLAMA else None
    cost = None
    if price is not None:
        # Overrides count from when they are set, so the past carries what was "billed".
        cost = (input_tokens * price[0] + output_tokens * price[1]) // 1_000_000
    return NewUsageEvent(
        idempotency_key=key,
        provider_slug=made.slug,
        model_name=model,
        agent=dice.choices((*_AGENTS, None), (5, 3, 4, 2, 1))[0],
        occurred_at=occurred,
        succeeded=succeeded,
        input_tokens=input_tokens,
        cache_read_tokens=dice.randrange(input_tokens) // 2,
        output_tokens=output_tokens if succeeded else 0,
        latency_ms=dice.randint(300, 9_000),
        cost_nanos=cost,
    )
