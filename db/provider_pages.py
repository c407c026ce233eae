"""Providers as a dashboard asks for them: pages by name, and those that it names."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Integer, Select, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database
from db.paging import PageRequest, Slice, after_key, decode_cursor, slice_of
from db.provider_rows import ProviderRow, read_provider, select_providers
from db.questions import Asked, DialectName, Question, listed, one_of
from db.tables import providers

_ORDER = "providers"


def _first_page(_dialect: DialectName) -> Select[Any]:
    return (
        select_providers()
        .where(providers.c.deleted_at.is_(None))
        .order_by(providers.c.name_folded, providers.c.id)
        .limit(bindparam("limit", type_=Integer))
    )


_FIRST_PAGE = Question(_first_page, read_provider)
_COUNT = Question(
    lambda _: (
        select(func.count().label("count"))
        .select_from(providers)
        .where(providers.c.deleted_at.is_(None))
    )
)
_BY_ID = Question(
    lambda dialect: select_providers().where(
        one_of(dialect, providers.c.id, "ids"), providers.c.deleted_at.is_(None)
    ),
    read_provider,
)


async def ask_for_providers(database: Database, page: PageRequest) -> Slice[ProviderRow]:
    """Living providers by name. Raises `BadCursor`."""
    if page.after is not None:
        async with database.read() as connection:
            return await page_providers(connection, page)
    asked = [Asked(_FIRST_PAGE, {"limit": page.first + 1})]
    if page.with_total:
        asked.append(Asked(_COUNT, {}))
    found, *counted = await database.ask(*asked)
    total = counted[0][0][0] if counted else None
    return slice_of(page, found, _place, _ORDER, total)


async def ask_for_providers_by_id(
    database: Database, ids: Sequence[int]
) -> Mapping[int, ProviderRow]:
    """The living ones among these, by id."""
    (found,) = await database.ask(Asked(_BY_ID, {"ids": listed(database.dialect, ids)}))
    return {provider.id: provider for provider in found}


async def page_providers(connection: AsyncConnection, page: PageRequest) -> Slice[ProviderRow]:
    """Living providers by name."""
    living = providers.c.deleted_at.is_(None)
    statement = (
        select_providers()
        .where(living)
        .order_by(providers.c.name_folded, providers.c.id)
        .limit(page.first + 1)
    )
    if page.after is not None:
        key = decode_cursor(_ORDER, page.after, (str, int))
        statement = statement.where(after_key((providers.c.name_folded, providers.c.id), key))
    found = [read_provider(row) for row in await connection.execute(statement)]
    total = None
    if page.with_total:
        total = await connection.scalar(select(func.count()).select_from(providers).where(living))
    return slice_of(page, found, _place, _ORDER, total)


def _place(row: ProviderRow) -> tuple[str | int, ...]:
    return row.name.casefold(), row.id
