"""Prices that operators set in place of the catalog's: dated rows, never changed once stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import price_overrides


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideRow:
    """An operator's price from an instant on; all None: from then on no override."""

    model_id: int
    effective_from: datetime
    input_per_million: int | None
    output_per_million: int | None
    cache_read_per_million: int | None
    cache_write_per_million: int | None


async def insert_override(connection: AsyncConnection, override: OverrideRow) -> None:
    """A price from an instant on."""
    await connection.execute(
        insert(price_overrides).values(
            model_id=override.model_id,
            effective_from=override.effective_from,
            input_per_million=override.input_per_million,
            output_per_million=override.output_per_million,
            cache_read_per_million=override.cache_read_per_million,
            cache_write_per_million=override.cache_write_per_million,
        )
    )


async def load_overrides(
    connection: AsyncConnection, model_ids: Sequence[int]
) -> Mapping[int, Sequence[OverrideRow]]:
    """Every override of these models, oldest first, by model id."""
    statement = (
        select(price_overrides)
        .where(price_overrides.c.model_id.in_(model_ids))
        .order_by(price_overrides.c.effective_from, price_overrides.c.id)
    )
    found: dict[int, list[OverrideRow]] = {}
    for row in await connection.execute(statement):
        found.setdefault(row.model_id, []).append(
            OverrideRow(
                model_id=row.model_id,
                effective_from=row.effective_from,
                input_per_million=row.input_per_million,
                output_per_million=row.output_per_million,
                cache_read_per_million=row.cache_read_per_million,
                cache_write_per_million=row.cache_write_per_million,
            )
        )
    return found
