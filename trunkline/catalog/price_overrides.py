"""Prices that an operator sets for a model in place of the catalog's: checked, shown, stored."""

from dataclasses import dataclass

from db.engine import Connection
from db.models import ModelPricingRow, ModelRow
from db.overrides import OverrideRow, insert_override
from db.vocabulary import PriceSource
from trunkline.changes import Problems
from trunkline.money import NANOS_PER_DOLLAR
from trunkline.services import Services

DEAREST_PER_MILLION = 1_000_000 * NANOS_PER_DOLLAR
"""A million dollars for a million tokens: beyond it a price is a slip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceOverride:
    """Nanodollars per million tokens. Cached tokens without a price cost what input costs."""

    input_per_million: int
    output_per_million: int
    cache_read_per_million: int | None = None
    cache_write_per_million: int | None = None


def check_override(problems: Problems, override: PriceOverride | None) -> None:
    """Note each price that is below zero or beyond `DEAREST_PER_MILLION`."""
    if override is None:
        return
    for field, price in (
        ("inputPerMillion", override.input_per_million),
        ("outputPerMillion", override.output_per_million),
        ("cacheReadPerMillion", override.cache_read_per_million),
        ("cacheWritePerMillion", override.cache_write_per_million),
    ):
        if price is not None and not 0 <= price <= DEAREST_PER_MILLION:
            problems.invalid(
                ("priceOverride", field), f"{field} takes 0 to 1000000 dollars per million tokens"
            )


def override_differs(current: ModelRow, override: PriceOverride | None) -> bool:
    """Whether setting it changes what a model has; None ends an override, where there is one."""
    standing = current.pricing
    overridden = standing is not None and standing.source is PriceSource.OVERRIDE
    if override is None or standing is None or not overridden:
        return overridden or override is not None
    return (
        standing.input_per_million,
        standing.output_per_million,
        standing.cache_read_per_million,
        standing.cache_write_per_million,
    ) != (
        override.input_per_million,
        override.output_per_million,
        override.cache_read_per_million,
        override.cache_write_per_million,
    )


def override_pricing(services: Services, override: PriceOverride) -> ModelPricingRow:
    """What a model with this override shows as its price, from now on."""
    return ModelPricingRow(
        input_per_million=override.input_per_million,
        output_per_million=override.output_per_million,
        cache_read_per_million=override.cache_read_per_million,
        cache_write_per_million=override.cache_write_per_million,
        tiered=False,
        source=PriceSource.OVERRIDE,
        as_of=services.clock(),
    )


async def store_override(
    services: Services, connection: Connection, model_id: int, override: PriceOverride | None
) -> None:
    """Enter that the override counts from now on; None: that none does."""
    await insert_override(
        connection,
        OverrideRow(
            model_id=model_id,
            effective_from=services.clock(),
            input_per_million=override.input_per_million if override else None,
            output_per_million=override.output_per_million if override else None,
            cache_read_per_million=override.cache_read_per_million if override else None,
            cache_write_per_million=override.cache_write_per_million if override else None,
        ),
    )
