"""Put what the price data knows into the store: for a new provider, and again for a new edition.

An operator's work stays: what is disabled, renamed, priced or added by hand is not touched, and a
refresh counts no change.
"""

from datetime import datetime

from db import models as store
from db import providers as stored_providers
from db.engine import Connection, Database
from db.installation import hold_installation, install_value, installed_value
from db.models import ModelPricingRow, ModelRow, NewModelRow
from db.provider_rows import ProviderRow
from db.vocabulary import ModelSource, PriceSource, ProviderKind
from trunkline.audit.actors import SYSTEM
from trunkline.audit.changes import leave_entries, updated
from trunkline.audit.showing import shown_catalog
from trunkline.catalog.known import KnownCatalog, KnownModel
from trunkline.clock import Clock
from trunkline.events import ModelChanged
from trunkline.processes.announcing import count_seeding

_EDITION = "catalog_edition"


async def seed_catalog(
    connection: Connection, catalog: KnownCatalog, provider: ProviderRow, *, now: datetime
) -> None:
    """Add the models that the price data knows for this provider, and refresh those it knew.

    Models that came from elsewhere, or that it doesn't know any more, keep all but their price,
    where that is the data's.
    """
    known: dict[str, KnownModel] = {}
    if provider.known_provider is not None:
        known = {model.wire_name: model for model in catalog.models(provider.known_provider, now)}
    present = await store.models_of_provider(connection, provider.id)
    missing = [
        known_row(model, source=ModelSource.CATALOG)
        for name, model in known.items()
        if name not in present
    ]
    await store.insert_models(connection, provider.id, missing, now=now)
    changed = {
        present[name].id: row
        for name, model in known.items()
        if name in present and (row := _refreshed(present[name], model)) is not None
    } | {
        model.id: row
        for name, model in present.items()
        if (model.source is not ModelSource.CATALOG or name not in known)
        and (row := _repriced(model, price_without_override(catalog, provider, name, now)))
        is not None
    }
    await store.refresh_models(connection, changed, now=now)


async def refresh_catalog(database: Database, catalog: KnownCatalog, clock: Clock) -> bool:
    """Bring every provider's catalog to the present edition and day's prices.

    Dated prices begin on a day, so the day counts. True where anything was to do.
    """
    present = f"{catalog.edition}, {clock():%Y-%m-%d}"

    async def refresh(connection: Connection) -> bool:
        await hold_installation(connection)
        before = await installed_value(connection, _EDITION)
        if before == present:
            return False
        for provider in await stored_providers.all_providers(connection):
            await seed_catalog(connection, catalog, provider, now=clock())
        await install_value(connection, _EDITION, present)
        changes = updated(shown_catalog(before), shown_catalog(present))
        await leave_entries(connection, SYSTEM, "refreshCatalog", changes, clock())
        # Servers that run already hear of it by the poll: their subscribers read models anew.
        await count_seeding(connection, (ModelChanged,), clock())
        return True

    return await database.transact(refresh)


def known_row(model: KnownModel, *, source: ModelSource) -> NewModelRow:
    """A known model as a row to insert."""
    return NewModelRow(
        wire_name=model.wire_name,
        name=model.name[:200],
        description=model.description,
        context_window=model.context_window,
        max_output_tokens=model.max_output_tokens,
        capabilities=model.capabilities,
        pricing=known_pricing(model),
        deprecated=model.deprecated,
        source=source,
    )


def known_pricing(model: KnownModel) -> ModelPricingRow | None:
    """The catalog's price of a model as a row; None where it is unknown."""
    if model.rates is None:
        return None
    return ModelPricingRow(
        input_per_million=model.rates.input_per_million,
        output_per_million=model.rates.output_per_million,
        cache_read_per_million=model.rates.cache_read_per_million,
        cache_write_per_million=model.rates.cache_write_per_million,
        tiered=model.rates.tiered,
        source=PriceSource.CATALOG,
        as_of=model.rates.as_of,
    )


def price_without_override(
    catalog: KnownCatalog, provider: ProviderRow, wire_name: str, now: datetime
) -> ModelPricingRow | None:
    """What a model costs where no operator says otherwise: the catalog's, free, or unknown."""
    if provider.known_provider is not None:
        known = catalog.find_model(provider.known_provider, wire_name, now)
        if known is not None:
            return known_pricing(known)
    if provider.kind is ProviderKind.OLLAMA:
        return ModelPricingRow(
            input_per_million=0,
            output_per_million=0,
            cache_read_per_million=0,
            cache_write_per_million=0,
            tiered=False,
            source=PriceSource.FREE,
            as_of=None,
        )
    return None


def _repriced(present: ModelRow, pricing: ModelPricingRow | None) -> NewModelRow | None:
    """The row with its present price, or None where it has that, or an operator's."""
    overridden = present.pricing is not None and present.pricing.source is PriceSource.OVERRIDE
    if overridden or pricing == present.pricing:
        return None
    return NewModelRow(
        wire_name=present.wire_name,
        name=present.name,
        description=present.description,
        context_window=present.context_window,
        max_output_tokens=present.max_output_tokens,
        capabilities=present.capabilities,
        pricing=pricing,
        deprecated=present.deprecated,
        source=present.source,
    )


def _refreshed(present: ModelRow, model: KnownModel) -> NewModelRow | None:
    """The row as the catalog would have it, or None where nothing differs or it is not its own."""
    if present.source is not ModelSource.CATALOG:
        return None
    pricing = known_pricing(model)
    if present.pricing is not None and present.pricing.source is PriceSource.OVERRIDE:
        pricing = present.pricing
    row = NewModelRow(
        wire_name=present.wire_name,
        # Once an operator changed it, its name is the operator's.
        name=present.name if present.version > 1 else model.name[:200],
        description=model.description,
        context_window=model.context_window or present.context_window,
        max_output_tokens=model.max_output_tokens or present.max_output_tokens,
        capabilities=present.capabilities if model.capabilities is None else model.capabilities,
        pricing=pricing,
        # A provider's own list is the truth on what exists; the data only adds what it retired.
        deprecated=present.deprecated or model.deprecated,
        source=present.source,
    )
    same = (
        row.name == present.name
        and row.description == present.description
        and row.context_window == present.context_window
        and row.max_output_tokens == present.max_output_tokens
        and (row.capabilities is None) == (present.capabilities is None)
        and set(row.capabilities or ()) == set(present.capabilities or ())
        and row.pricing == present.pricing
        and row.deprecated == present.deprecated
    )
    return None if same else row
