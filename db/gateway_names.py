"""What requests to the gateway may name: enabled chains, and the models that can be used."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.provider_rows import KINDS_WITHOUT_KEY
from db.tables import failover_chains, models, providers


@dataclass(frozen=True, slots=True)
class NamedRow:
    """A chain, whose `provider_slug` is None, by its slug; or a model, whose `chain_id` is None, by
    its wire name.
    """

    chain_id: int | None
    provider_slug: str | None
    name: str
    title: str
    created_at: datetime


async def usable_names(connection: AsyncConnection) -> list[NamedRow]:
    """Chains by slug, then models by provider and wire name.

    Models are those that are enabled and not deprecated, of providers that are enabled and have the
    key that they need.
    """
    chains = await connection.execute(
        select(
            failover_chains.c.id,
            failover_chains.c.slug,
            failover_chains.c.name,
            failover_chains.c.created_at,
        )
        .where(
            failover_chains.c.deleted_at.is_(None),
            # PostgreSQL takes no `IS` before a parameter, which ours of truth values are.
            failover_chains.c.enabled == True,  # noqa: E712  # SQL, not Python
        )
        .order_by(failover_chains.c.slug)
    )
    found = [NamedRow(row.id, None, row.slug, row.name, row.created_at) for row in chains]
    usable = await connection.execute(
        select(providers.c.slug, models.c.wire_name, models.c.name, models.c.created_at)
        .join(providers, providers.c.id == models.c.provider_id)
        .where(
            models.c.deleted_at.is_(None),
            models.c.enabled == True,  # noqa: E712  # as above
            models.c.deprecated == False,  # noqa: E712  # as above
            providers.c.deleted_at.is_(None),
            providers.c.enabled == True,  # noqa: E712  # as above
            or_(
                providers.c.api_key_encrypted.is_not(None),
                providers.c.kind.in_([kind.value for kind in KINDS_WITHOUT_KEY]),
            ),
        )
        .order_by(providers.c.slug, models.c.wire_name)
    )
    found += [NamedRow(None, row.slug, row.wire_name, row.name, row.created_at) for row in usable]
    return found
