"""Models: rows and changes. Pages are in `model_pages.py`, prices of operators in `overrides.py`.

The price in force now is kept in the model's own row, so that lists sort and filter by it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database
from db.questions import Asked, Question, listed, one_of
from db.storable import is_storable
from db.tables import models
from db.upsert import insert_into
from db.vocabulary import ModelCapability, ModelSource, PriceSource

_BIT = {capability: 1 << place for place, capability in enumerate(ModelCapability)}
COLUMNS = [column for column in models.c if column.name not in {"name_folded", "search_text"}]
"""What `read_model` reads."""
_WIDTH = len(COLUMNS)
# A dictionary finds a member in a fifth of the time that its class takes.
_SOURCES = {source.value: source for source in ModelSource}
_PRICE_SOURCES = {source.value: source for source in PriceSource}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPricingRow:
    """Nanodollars per million tokens at the lowest tier; None: that class has no known price."""

    input_per_million: int | None
    output_per_million: int | None
    cache_read_per_million: int | None
    cache_write_per_million: int | None
    tiered: bool
    source: PriceSource
    as_of: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """A model as stored. Nothing in it can change: what was served of it is kept."""

    id: int
    provider_id: int
    wire_name: str
    name: str
    description: str | None
    context_window: int | None
    max_output_tokens: int | None
    capabilities: tuple[ModelCapability, ...] | None
    pricing: ModelPricingRow | None
    enabled: bool
    deprecated: bool
    source: ModelSource
    version: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewModelRow:
    """A model to insert."""

    wire_name: str
    name: str
    description: str | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    capabilities: Iterable[ModelCapability] | None = None
    pricing: ModelPricingRow | None = None
    deprecated: bool = False
    source: ModelSource


async def load_models(
    connection: AsyncConnection, ids: Sequence[int], *, for_share: bool = False
) -> Mapping[int, ModelRow]:
    """The living ones among these, by id.

    `for_share` keeps them from being deleted until the transaction ends.
    """
    statement = select(*COLUMNS).where(models.c.id.in_(ids), models.c.deleted_at.is_(None))
    if for_share:
        statement = statement.order_by(models.c.id).with_for_update(read=True)
    return {row.id: read_model(row) for row in await connection.execute(statement)}


_BY_ID = Question(
    lambda dialect: select(*COLUMNS).where(
        one_of(dialect, models.c.id, "ids"), models.c.deleted_at.is_(None)
    ),
    lambda row: read_model(row),
)


async def ask_for_models(database: Database, ids: Sequence[int]) -> Mapping[int, ModelRow]:
    """The living ones among these, by id."""
    (found,) = await database.ask(Asked(_BY_ID, {"ids": listed(database.dialect, ids)}))
    return {model.id: model for model in found}


async def find_model_by_name(
    connection: AsyncConnection, provider_id: int, wire_name: str
) -> ModelRow | None:
    """The living model of this provider with this wire name."""
    found = await load_models_by_name(connection, [(provider_id, wire_name)])
    return found.get((provider_id, wire_name))


async def load_models_by_name(
    connection: AsyncConnection, names: Sequence[tuple[int, str]]
) -> Mapping[tuple[int, str], ModelRow]:
    """The living ones among these, by provider and wire name."""
    known = [named for named in names if is_storable(named[1])]
    statement = select(*COLUMNS).where(
        tuple_(models.c.provider_id, models.c.wire_name).in_(known), models.c.deleted_at.is_(None)
    )
    return {
        (row.provider_id, row.wire_name): read_model(row)
        for row in await connection.execute(statement)
    }


async def models_of_provider(
    connection: AsyncConnection, provider_id: int
) -> Mapping[str, ModelRow]:
    """Every living model of a provider, by wire name."""
    statement = select(*COLUMNS).where(
        models.c.provider_id == provider_id, models.c.deleted_at.is_(None)
    )
    return {row.wire_name: read_model(row) for row in await connection.execute(statement)}


async def lock_model(connection: AsyncConnection, model_id: int) -> ModelRow | None:
    """The living model, held until the transaction ends: nobody changes or uses it meanwhile."""
    await connection.execute(select(models.c.id).where(models.c.id == model_id).with_for_update())
    return (await load_models(connection, [model_id])).get(model_id)


async def insert_models(
    connection: AsyncConnection, provider_id: int, new: Sequence[NewModelRow], *, now: datetime
) -> Mapping[str, int]:
    """Add those whose wire names are free, and return their ids by wire name."""
    added: dict[str, int] = {}
    for start in range(0, len(new), 500):
        result = await connection.execute(
            insert_into(connection, models)
            .values(
                [
                    _columns(one)
                    | {
                        "provider_id": provider_id,
                        "wire_name": one.wire_name,
                        "enabled": True,
                        "source": one.source.value,
                        "version": 1,
                        "created_at": now,
                        "updated_at": now,
                    }
                    for one in sorted(new[start : start + 500], key=lambda one: one.wire_name)
                ]
            )
            .on_conflict_do_nothing()
            .returning(models.c.wire_name, models.c.id)
        )
        added |= {row.wire_name: row.id for row in result}
    return added


async def refresh_models(
    connection: AsyncConnection, known: Mapping[int, NewModelRow], *, now: datetime
) -> None:
    """Set what the catalog or a listing knows, by model id. No operator's change, no version."""
    for model_id, row in sorted(known.items()):
        await connection.execute(
            update(models).where(models.c.id == model_id).values(**_columns(row), updated_at=now)
        )


async def set_deprecated(
    connection: AsyncConnection, ids: Sequence[int], *, deprecated: bool, now: datetime
) -> None:
    """Mark models as gone from their provider's list, or as back on it."""
    for start in range(0, len(ids), 500):
        await connection.execute(
            update(models)
            .where(models.c.id.in_(sorted(ids)[start : start + 500]))
            .values(deprecated=deprecated, updated_at=now)
        )


async def update_model(
    connection: AsyncConnection, model_id: int, changes: Mapping[str, Any], *, now: datetime
) -> None:
    """Set these columns and count one operator's change."""
    await connection.execute(
        update(models)
        .where(models.c.id == model_id)
        .values(**changes, version=models.c.version + 1, updated_at=now)
    )


async def delete_model(connection: AsyncConnection, model_id: int, *, now: datetime) -> None:
    """Tombstone a model."""
    await connection.execute(
        update(models).where(models.c.id == model_id).values(deleted_at=now, updated_at=now)
    )


def to_bits(capabilities: Iterable[ModelCapability]) -> int:
    """Capabilities as they are stored."""
    return sum({_BIT[capability] for capability in capabilities})


def pricing_columns(pricing: ModelPricingRow | None) -> dict[str, Any]:
    """The columns that hold the price in force now."""
    return {
        "input_per_million": pricing.input_per_million if pricing else None,
        "output_per_million": pricing.output_per_million if pricing else None,
        "cache_read_per_million": pricing.cache_read_per_million if pricing else None,
        "cache_write_per_million": pricing.cache_write_per_million if pricing else None,
        "price_tiered": pricing.tiered if pricing else False,
        "price_source": pricing.source.value if pricing else None,
        "price_as_of": pricing.as_of if pricing else None,
    }


def name_columns(wire_name: str, name: str) -> dict[str, Any]:
    """The columns that follow from a model's name."""
    return {
        "name": name,
        "name_folded": name.casefold(),
        "search_text": f"{wire_name.casefold()}\n{name.casefold()}",
    }


def _columns(row: NewModelRow) -> dict[str, Any]:
    return {
        **name_columns(row.wire_name, row.name),
        "description": row.description,
        "context_window": row.context_window,
        "max_output_tokens": row.max_output_tokens,
        "capability_bits": None if row.capabilities is None else to_bits(row.capabilities),
        **pricing_columns(row.pricing),
        "deprecated": row.deprecated,
    }


def read_model(row: Sequence[Any]) -> ModelRow:
    """The row of a SELECT that begins with `COLUMNS`."""
    (
        id_, provider_id, wire_name, name, description, context_window, max_output_tokens, bits,
        input_, output, cache_read, cache_write, tiered, price_source, price_as_of,
        enabled, deprecated, source, version, created_at, updated_at, deleted_at,
    ) = row[:_WIDTH]  # fmt: skip
    pricing = None
    if price_source is not None:
        pricing = ModelPricingRow(
            input_per_million=input_,
            output_per_million=output,
            cache_read_per_million=cache_read,
            cache_write_per_million=cache_write,
            tiered=tiered,
            source=_PRICE_SOURCES[price_source],
            as_of=price_as_of,
        )
    return ModelRow(
        id=id_,
        provider_id=provider_id,
        wire_name=wire_name,
        name=name,
        description=description,
        context_window=context_window,
        max_output_tokens=max_output_tokens,
        capabilities=None if bits is None else _capabilities(bits),
        pricing=pricing,
        enabled=enabled,
        deprecated=deprecated,
        source=_SOURCES[source],
        version=version,
        created_at=created_at,
        updated_at=updated_at,
        deleted_at=deleted_at,
    )


@lru_cache(maxsize=1_024)
def _capabilities(bits: int) -> tuple[ModelCapability, ...]:
    return tuple(capability for capability, bit in _BIT.items() if bits & bit)
