"""Providers and their last connection tests: found by id or slug, and changed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.provider_rows import ConnectionTestRow, ProviderRow, read_provider, select_providers
from db.storable import is_storable
from db.tables import connection_tests, models, providers
from db.upsert import insert_into
from db.vocabulary import ProviderKind


async def find_provider(connection: AsyncConnection, provider_id: int) -> ProviderRow | None:
    """The living provider with this id."""
    return (await load_providers(connection, [provider_id])).get(provider_id)


async def find_provider_by_slug(connection: AsyncConnection, slug: str) -> ProviderRow | None:
    """The living provider with this slug."""
    return (await load_providers_by_slug(connection, [slug])).get(slug)


async def load_providers(
    connection: AsyncConnection, ids: Sequence[int]
) -> Mapping[int, ProviderRow]:
    """The living ones among these, by id."""
    statement = select_providers().where(providers.c.id.in_(ids), providers.c.deleted_at.is_(None))
    return {row.id: read_provider(row) for row in await connection.execute(statement)}


async def load_providers_by_slug(
    connection: AsyncConnection, slugs: Sequence[str]
) -> Mapping[str, ProviderRow]:
    """The living ones among these, by slug."""
    known = [slug for slug in slugs if is_storable(slug)]
    statement = select_providers().where(
        providers.c.slug.in_(known), providers.c.deleted_at.is_(None)
    )
    return {row.slug: read_provider(row) for row in await connection.execute(statement)}


async def all_providers(connection: AsyncConnection) -> Sequence[ProviderRow]:
    """Every living provider, by id."""
    statement = select_providers().where(providers.c.deleted_at.is_(None)).order_by(providers.c.id)
    return [read_provider(row) for row in await connection.execute(statement)]


async def provider_slugs(connection: AsyncConnection) -> Mapping[int, str]:
    """The slug of every provider, also of those that were deleted, by id."""
    statement = select(providers.c.id, providers.c.slug)
    return {row.id: row.slug for row in await connection.execute(statement)}


async def find_connection_test(
    connection: AsyncConnection, test_id: int
) -> ConnectionTestRow | None:
    """The stored connection test with this id, of a living provider."""
    statement = select_providers().where(
        connection_tests.c.id == test_id, providers.c.deleted_at.is_(None)
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else read_provider(row).last_connection_test


async def lock_provider(connection: AsyncConnection, provider_id: int) -> ProviderRow | None:
    """The living provider, held until the transaction ends: nobody changes it meanwhile."""
    held = select(providers.c.id).where(providers.c.id == provider_id).with_for_update()
    await connection.execute(held)
    return await find_provider(connection, provider_id)


async def insert_provider(
    connection: AsyncConnection,
    *,
    slug: str,
    name: str,
    kind: ProviderKind,
    base_url: str,
    enabled: bool,
    known_provider: str | None,
    now: datetime,
) -> int | None:
    """Store a provider without a key and return its id, or None where the slug is taken."""
    inserted = await connection.scalar(
        insert_into(connection, providers)
        .values(
            slug=slug,
            name=name,
            name_folded=name.casefold(),
            kind=kind.value,
            base_url=base_url,
            enabled=enabled,
            known_provider=known_provider,
            connection_revision=1,
            version=1,
            created_at=now,
            updated_at=now,
        )
        .on_conflict_do_nothing()
        .returning(providers.c.id)
    )
    return None if inserted is None else int(inserted)


async def update_provider(
    connection: AsyncConnection, provider_id: int, changes: Mapping[str, Any], *, now: datetime
) -> None:
    """Set these columns and count one operator's change."""
    values = dict(changes)
    if "name" in values:
        values["name_folded"] = values["name"].casefold()
    await connection.execute(
        update(providers)
        .where(providers.c.id == provider_id)
        .values(**values, version=providers.c.version + 1, updated_at=now)
    )


async def store_api_key(
    connection: AsyncConnection,
    provider_id: int,
    *,
    sealed: bytes | None,
    masked: str | None,
    now: datetime,
) -> None:
    """Store a sealed key with its mask, or remove the one that is stored."""
    await connection.execute(
        update(providers)
        .where(providers.c.id == provider_id)
        .values(
            api_key_encrypted=sealed,
            api_key_masked=masked,
            api_key_set_at=now if sealed is not None else None,
        )
    )


async def store_extra_headers(
    connection: AsyncConnection, provider_id: int, *, names: Sequence[str], sealed: bytes | None
) -> None:
    """Store sealed headers with their names, or remove those that are stored."""
    await connection.execute(
        update(providers)
        .where(providers.c.id == provider_id)
        .values(
            extra_header_names=orjson.dumps(list(names)).decode() if names else None,
            extra_headers_encrypted=sealed,
        )
    )


async def delete_provider(connection: AsyncConnection, provider_id: int, *, now: datetime) -> None:
    """Tombstone the provider and its models, and forget its key, its headers and its last test."""
    await store_api_key(connection, provider_id, sealed=None, masked=None, now=now)
    await store_extra_headers(connection, provider_id, names=(), sealed=None)
    await connection.execute(
        delete(connection_tests).where(connection_tests.c.provider_id == provider_id)
    )
    await connection.execute(
        update(models)
        .where(models.c.provider_id == provider_id, models.c.deleted_at.is_(None))
        .values(deleted_at=now)
    )
    await connection.execute(
        update(providers).where(providers.c.id == provider_id).values(deleted_at=now)
    )
