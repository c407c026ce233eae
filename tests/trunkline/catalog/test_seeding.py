"""Seeding: what the data knows comes in, what an operator did stays."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db import models as store
from db import providers as stored_providers
from db.engine import Connection
from db.models import ModelRow, NewModelRow
from db.provider_rows import ProviderRow
from db.vocabulary import ModelSource, PriceSource, ProviderKind
from trunkline.catalog.changes import (
    ModelUpdate,
    NewModel,
    create_model,
    delete_model,
    update_model,
)
from trunkline.catalog.price_overrides import PriceOverride, override_pricing
from trunkline.catalog.seeding import price_without_override, refresh_catalog, seed_catalog
from trunkline.errors import Refused
from trunkline.providers.changes import (
    NewProvider,
    ProviderUpdate,
    create_provider,
    update_provider,
)
from trunkline.services import Services


async def models_of(services: Services, provider: ProviderRow) -> dict[str, ModelRow]:
    async with services.database.read() as connection:
        return dict(await store.models_of_provider(connection, provider.id))


async def openai(services: Services) -> ProviderRow:
    return await create_provider(
        services, NewProvider(slug="openai", name="OpenAI", kind=ProviderKind.OPENAI)
    )


async def reseed(services: Services, provider: ProviderRow, at: datetime) -> None:
    async def seed(connection: Connection) -> None:
        await seed_catalog(connection, services.catalog, provider, now=at)

    await services.database.transact(seed)


async def test_a_provider_made_by_hand_gets_the_catalog_that_its_url_is_known_for(
    services: Services,
) -> None:
    groq = await create_provider(
        services,
        NewProvider(
            slug="fast",
            name="Fast",
            kind=ProviderKind.OPENAI_COMPATIBLE,
            base_url="https://api.groq.com/openai/v1",
        ),
    )
    found = await models_of(services, groq)
    llama = found["llama-3.3-70b-versatile"]
    assert llama.source is ModelSource.CATALOG
    assert llama.pricing is not None
    assert llama.pricing.source is PriceSource.CATALOG
    assert llama.pricing.input_per_million == 590_000_000
    # Priced by the hour: unknown, not free.
    assert found["whisper-large-v3"].pricing is None
    assert groq.model_count == sum(not model.deprecated for model in found.values())


async def test_seeding_again_changes_nothing(services: Services, count_statements: Any) -> None:
    provider = await openai(services)
    before = await models_of(services, provider)
    with count_statements() as statements:
        await reseed(services, provider, services.clock())
    assert await models_of(services, provider) == before
    assert not any(statement.startswith(("UPDATE", "INSERT")) for statement in statements)


async def test_what_an_operator_changed_stays(services: Services) -> None:
    provider = await openai(services)
    model = (await models_of(services, provider))["gpt-4o"]
    override = PriceOverride(input_per_million=1, output_per_million=2)
    changed = await update_model(
        services,
        ModelUpdate(id=model.id, name="Ours", enabled=False, price_override=override),
    )
    await reseed(services, provider, services.clock() + timedelta(days=400))
    assert (await models_of(services, provider))["gpt-4o"] == changed


async def test_a_price_that_begins_later_comes_with_its_day_and_counts_no_change(
    services: Services,
) -> None:
    provider = await openai(services)
    await reseed(services, provider, datetime(2025, 6, 9, tzinfo=UTC))
    before = (await models_of(services, provider))["o3"]
    await reseed(services, provider, datetime(2025, 6, 10, tzinfo=UTC))
    after = (await models_of(services, provider))["o3"]
    assert before.pricing is not None
    assert after.pricing is not None
    assert (before.pricing.input_per_million, before.pricing.as_of) == (10 * 10**9, None)
    assert after.pricing.input_per_million == 2 * 10**9
    assert after.pricing.as_of == datetime(2025, 6, 10, tzinfo=UTC)
    assert (before.version, after.version) == (1, 1)


async def test_a_model_from_elsewhere_keeps_all_but_its_price(services: Services) -> None:
    provider = await openai(services)

    async def add(connection: Connection) -> None:
        row = NewModelRow(
            wire_name="o3-2025-04-16",
            name="Discovered",
            context_window=7,
            pricing=price_without_override(
                services.catalog, provider, "o3-2025-04-16", datetime(2025, 6, 9, tzinfo=UTC)
            ),
            source=ModelSource.DISCOVERED,
        )
        await store.insert_models(connection, provider.id, [row], now=services.clock())

    await services.database.transact(add)
    await reseed(services, provider, services.clock())
    model = (await models_of(services, provider))["o3-2025-04-16"]
    assert (model.name, model.context_window) == ("Discovered", 7)
    assert model.pricing is not None
    assert model.pricing.input_per_million == 2 * 10**9


async def test_an_override_of_a_model_from_elsewhere_stays(services: Services) -> None:
    provider = await openai(services)
    override = PriceOverride(input_per_million=1, output_per_million=2)
    model = await create_model(
        services,
        NewModel(provider_id=provider.id, wire_name="o3-2025-04-16", price_override=override),
    )
    await reseed(services, provider, services.clock())
    assert (await models_of(services, provider))["o3-2025-04-16"] == model


async def test_a_refresh_runs_once_for_an_edition_and_a_day(services: Services, clock: Any) -> None:
    provider = await openai(services)

    async def forget_some(connection: Connection) -> None:
        model = (await store.models_of_provider(connection, provider.id))["gpt-4o"]
        await store.delete_model(connection, model.id, now=services.clock())

    database, catalog = services.database, services.catalog
    assert await refresh_catalog(database, catalog, clock)
    await database.transact(forget_some)
    assert not await refresh_catalog(database, catalog, clock)
    assert "gpt-4o" not in await models_of(services, provider)
    clock.advance(days=1)
    assert await refresh_catalog(database, catalog, clock)
    assert "gpt-4o" in await models_of(services, provider)


async def test_catalog_models_are_not_deleted_so_a_refresh_brings_none_back(
    services: Services,
) -> None:
    provider = await openai(services)
    model = (await models_of(services, provider))["gpt-4o"]
    with pytest.raises(Refused, match="disable it"):
        await delete_model(services, model.id, None)


async def test_where_a_provider_moved_its_models_show_what_they_are_billed_at(
    services: Services,
) -> None:
    groq, mistral = "https://api.groq.com/openai/v1", "https://api.mistral.ai/v1"
    new = NewProvider(slug="own", name="Own", kind=ProviderKind.OPENAI_COMPATIBLE, base_url=groq)
    provider = await create_provider(services, new)
    first, *_ = (await models_of(services, provider)).values()
    override = PriceOverride(input_per_million=1, output_per_million=2)
    await update_model(services, ModelUpdate(id=first.id, price_override=override))
    for url, known in ((mistral, "mistral"), ("http://127.0.0.1:9", None), (groq, "groq")):
        moved = await update_provider(services, ProviderUpdate(id=provider.id, base_url=url))
        assert moved.known_provider == known
        found = await models_of(services, moved)
        assert found.pop(first.wire_name).pricing == override_pricing(services, override)
        for name, model in found.items():
            billed = price_without_override(services.catalog, moved, name, services.clock())
            assert model.pricing == billed, name


async def test_ollama_is_free_and_an_unknown_provider_is_unknown(services: Services) -> None:
    async def add(connection: Connection, kind: ProviderKind) -> ProviderRow:
        added = await stored_providers.insert_provider(
            connection,
            slug=kind.value.lower().replace("_", "-"),
            name=kind.value,
            kind=kind,
            base_url="http://127.0.0.1:9",
            enabled=True,
            known_provider=None,
            now=services.clock(),
        )
        assert added is not None
        found = await stored_providers.find_provider(connection, added)
        assert found is not None
        return found

    async def add_both(connection: Connection) -> tuple[ProviderRow, ProviderRow]:
        return (
            await add(connection, ProviderKind.OLLAMA),
            await add(connection, ProviderKind.OPENAI_COMPATIBLE),
        )

    ollama, unknown = await services.database.transact(add_both)
    free = price_without_override(services.catalog, ollama, "llama3.2", services.clock())
    assert free is not None
    assert (free.source, free.input_per_million) == (PriceSource.FREE, 0)
    assert price_without_override(services.catalog, unknown, "x", services.clock()) is None
