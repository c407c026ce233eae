"""Providers and their last connection tests: rows, pages, changes.

A provider's status is worked out here from what is stored, in one place, so that every list and
every change event shows the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Integer, Select, bindparam, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database
from db.paging import PageRequest, Slice, after_key, decode_cursor, slice_of
from db.questions import Asked, DialectName, Question, listed, one_of
from db.storable import is_storable
from db.tables import connection_tests, models, providers
from db.upsert import insert_into
from db.vocabulary import ConnectionTestStatus, ProviderKind, ProviderStatus

KINDS_WITHOUT_KEY = frozenset({ProviderKind.OLLAMA, ProviderKind.OPENAI_COMPATIBLE})
"""Kinds that work without an API key; the others are UNCONFIGURED until they have one."""

_ORDER = "providers"


@dataclass(frozen=True, slots=True)
class ApiKeyPreviewRow:
    """What may be shown of a stored key."""

    masked: str
    set_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionTestRow:
    """The outcome of a connection test; one of a draft has an id that was never stored."""

    id: int
    status: ConnectionTestStatus
    latency_ms: int | None
    http_status: int | None
    message: str
    model_count: int | None
    tested_at: datetime

    @property
    def ok(self) -> bool:
        """Whether the provider answered with its models."""
        return self.status is ConnectionTestStatus.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRow:
    """A provider as stored, with its last connection test and the number of its models."""

    id: int
    slug: str
    name: str
    kind: ProviderKind
    base_url: str
    enabled: bool
    known_provider: str | None
    api_key: ApiKeyPreviewRow | None
    # Sealed, yet nothing that a log should hold.
    api_key_encrypted: bytes | None = field(repr=False)
    extra_header_names: Sequence[str]
    extra_headers_encrypted: bytes | None = field(repr=False)
    connection_revision: int
    last_connection_test: ConnectionTestRow | None
    model_count: int
    version: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None

    @property
    def status(self) -> ProviderStatus:
        """What is known of its health."""
        if not self.enabled:
            return ProviderStatus.DISABLED
        if self.api_key is None and self.kind not in KINDS_WITHOUT_KEY:
            return ProviderStatus.UNCONFIGURED
        if self.last_connection_test is None:
            return ProviderStatus.UNTESTED
        return ProviderStatus.CONNECTED if self.last_connection_test.ok else ProviderStatus.FAILING


_model_count = (
    select(func.count())
    .select_from(models)
    .where(
        models.c.provider_id == providers.c.id,
        models.c.deleted_at.is_(None),
        models.c.deprecated == False,  # noqa: E712  # SQL, not Python
    )
    .scalar_subquery()
    .label("model_count")
)


def _rows() -> Select[Any]:
    return select(
        providers,
        _model_count,
        connection_tests.c.id.label("test_id"),
        connection_tests.c.status.label("test_status"),
        connection_tests.c.latency_ms,
        connection_tests.c.http_status,
        connection_tests.c.message,
        connection_tests.c.model_count.label("test_model_count"),
        connection_tests.c.tested_at,
    ).outerjoin(connection_tests, connection_tests.c.provider_id == providers.c.id)


def _first_page(_dialect: DialectName) -> Select[Any]:
    return (
        _rows()
        .where(providers.c.deleted_at.is_(None))
        .order_by(providers.c.name_folded, providers.c.id)
        .limit(bindparam("limit", type_=Integer))
    )


_FIRST_PAGE = Question(_first_page)
_COUNT = Question(
    lambda _: (
        select(func.count().label("count"))
        .select_from(providers)
        .where(providers.c.deleted_at.is_(None))
    )
)
_BY_ID = Question(
    lambda dialect: _rows().where(
        one_of(dialect, providers.c.id, "ids"), providers.c.deleted_at.is_(None)
    )
)


async def ask_for_providers(database: Database, page: PageRequest) -> Slice[ProviderRow]:
    """Living providers by name. Raises `BadCursor`."""
    if page.after is not None:
        async with database.read() as connection:
            return await page_providers(connection, page)
    asked = [Asked(_FIRST_PAGE, {"limit": page.first + 1})]
    if page.with_total:
        asked.append(Asked(_COUNT, {}))
    rows, *counted = await database.ask(*asked)
    total = counted[0][0][0] if counted else None
    return slice_of(page, list(map(_provider, rows)), _place, _ORDER, total)


async def ask_for_providers_by_id(
    database: Database, ids: Sequence[int]
) -> Mapping[int, ProviderRow]:
    """The living ones among these, by id."""
    (rows,) = await database.ask(Asked(_BY_ID, {"ids": listed(database.dialect, ids)}))
    return {row.id: _provider(row) for row in rows}


async def page_providers(connection: AsyncConnection, page: PageRequest) -> Slice[ProviderRow]:
    """Living providers by name."""
    living = providers.c.deleted_at.is_(None)
    statement = (
        _rows()
        .where(living)
        .order_by(providers.c.name_folded, providers.c.id)
        .limit(page.first + 1)
    )
    if page.after is not None:
        key = decode_cursor(_ORDER, page.after, (str, int))
        statement = statement.where(after_key((providers.c.name_folded, providers.c.id), key))
    found = [_provider(row) for row in await connection.execute(statement)]
    total = None
    if page.with_total:
        total = await connection.scalar(select(func.count()).select_from(providers).where(living))
    return slice_of(page, found, _place, _ORDER, total)


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
    statement = _rows().where(providers.c.id.in_(ids), providers.c.deleted_at.is_(None))
    return {row.id: _provider(row) for row in await connection.execute(statement)}


async def load_providers_by_slug(
    connection: AsyncConnection, slugs: Sequence[str]
) -> Mapping[str, ProviderRow]:
    """The living ones among these, by slug."""
    known = [slug for slug in slugs if is_storable(slug)]
    statement = _rows().where(providers.c.slug.in_(known), providers.c.deleted_at.is_(None))
    return {row.slug: _provider(row) for row in await connection.execute(statement)}


async def all_providers(connection: AsyncConnection) -> Sequence[ProviderRow]:
    """Every living provider, by id."""
    statement = _rows().where(providers.c.deleted_at.is_(None)).order_by(providers.c.id)
    return [_provider(row) for row in await connection.execute(statement)]


async def provider_slugs(connection: AsyncConnection) -> Mapping[int, str]:
    """The slug of every provider, also of those that were deleted, by id."""
    statement = select(providers.c.id, providers.c.slug)
    return {row.id: row.slug for row in await connection.execute(statement)}


async def find_connection_test(
    connection: AsyncConnection, test_id: int
) -> ConnectionTestRow | None:
    """The stored connection test with this id, of a living provider."""
    statement = _rows().where(connection_tests.c.id == test_id, providers.c.deleted_at.is_(None))
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _provider(row).last_connection_test


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


def _place(row: ProviderRow) -> tuple[str | int, ...]:
    return row.name.casefold(), row.id


def _provider(row: Any) -> ProviderRow:
    test = None
    if row.test_id is not None:
        test = ConnectionTestRow(
            id=row.test_id,
            status=ConnectionTestStatus(row.test_status),
            latency_ms=row.latency_ms,
            http_status=row.http_status,
            message=row.message,
            model_count=row.test_model_count,
            tested_at=row.tested_at,
        )
    preview = None
    if row.api_key_encrypted is not None:
        preview = ApiKeyPreviewRow(masked=row.api_key_masked, set_at=row.api_key_set_at)
    return ProviderRow(
        id=row.id,
        slug=row.slug,
        name=row.name,
        kind=ProviderKind(row.kind),
        base_url=row.base_url,
        enabled=row.enabled,
        known_provider=row.known_provider,
        api_key=preview,
        api_key_encrypted=row.api_key_encrypted,
        extra_header_names=tuple(orjson.loads(row.extra_header_names or "[]")),
        extra_headers_encrypted=row.extra_headers_encrypted,
        connection_revision=row.connection_revision,
        last_connection_test=test,
        model_count=row.model_count,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        deleted_at=row.deleted_at,
    )
