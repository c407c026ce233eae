"""Pages of models: searched, filtered, sorted; of all providers, or for each of several."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    and_,
    bindparam,
    false,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database
from db.models import COLUMNS, ModelRow, read_model, to_bits
from db.paging import PageRequest, Slice, after_key, decode_cursor, slice_of
from db.questions import Asked, DialectName, Question, listed, one_of
from db.tables import models, providers
from db.vocabulary import ModelCapability, ModelSort

_UNKNOWN = 2**62
"""Sorts what is unknown behind everything that is known."""


@dataclass(frozen=True, slots=True)
class ModelQuery:
    """What a list of models is narrowed to; None: not by this. An empty list matches nothing."""

    words: tuple[str, ...] = ()
    provider_ids: tuple[int, ...] | None = None
    capabilities: tuple[ModelCapability, ...] | None = None
    enabled: bool | None = None
    include_deprecated: bool = False
    min_context_window: int | None = None
    max_input_per_million: int | None = None
    sort: ModelSort = ModelSort.NAME


ANY = ModelQuery()
"""The models that are shown unless somebody asks for others."""

_BY_NAME = ModelSort.NAME


async def page_models(
    connection: AsyncConnection, page: PageRequest, query: ModelQuery
) -> Slice[ModelRow]:
    """A page of the models that match."""
    order = _order(query.sort)
    statement = select(*COLUMNS).where(_matching(query)).order_by(*order).limit(page.first + 1)
    if page.after is not None:
        key = decode_cursor(query.sort, page.after, _key_types(query.sort))
        statement = statement.where(after_key(order, key))
    found = [read_model(row) for row in await connection.execute(statement)]
    total = None
    if page.with_total:
        total = await connection.scalar(
            select(func.count()).select_from(models).where(_matching(query))
        )
    return slice_of(page, found, lambda row: _key(row, query.sort), query.sort, total)


async def page_models_of_providers(
    connection: AsyncConnection, provider_ids: Sequence[int], page: PageRequest, query: ModelQuery
) -> Mapping[int, Slice[ModelRow]]:
    """The same page for each of several providers, in one statement, or two with totals."""
    order = _order(query.sort)
    condition = and_(_matching(query), models.c.provider_id.in_(provider_ids))
    after = (
        after_key(order, decode_cursor(query.sort, page.after, _key_types(query.sort)))
        if page.after is not None
        else literal(value=True)
    )
    place = func.row_number().over(partition_by=models.c.provider_id, order_by=order)
    ranked = select(*COLUMNS, place.label("place")).where(condition, after).subquery()
    statement = select(ranked).where(ranked.c.place <= page.first + 1).order_by(ranked.c.place)
    found = [read_model(row) for row in await connection.execute(statement)]
    totals: dict[int, int] | None = None
    if page.with_total:
        counted = await connection.execute(
            select(models.c.provider_id, func.count())
            .where(condition)
            .group_by(models.c.provider_id)
        )
        totals = {row[0]: row[1] for row in counted}
    return _pages(provider_ids, page, query, found, totals)


def _first_pages(dialect: DialectName) -> Select[Any]:
    limit = bindparam("limit", type_=Integer)
    if dialect == "sqlite":
        # From the index, in its order: numbering the rows takes SQLite three times as long.
        asked = func.json_each(bindparam("providers")).table_valued("value", name="asked")
        first = (
            select(models.c.id)
            .where(_matching(ANY), models.c.provider_id == asked.c.value)
            .order_by(*_order(_BY_NAME))
            .limit(limit)
            .correlate(asked)
        )
        found = asked.join(models, models.c.id.in_(first))
        return select(*COLUMNS).select_from(found).order_by(*_order(_BY_NAME))
    place = func.row_number().over(partition_by=models.c.provider_id, order_by=_order(_BY_NAME))
    ranked = (
        select(*COLUMNS, place.label("place"))
        .where(_matching(ANY), one_of(dialect, models.c.provider_id, "providers"))
        .subquery()
    )
    return (
        select(*(ranked.c[column.name] for column in COLUMNS))
        .where(ranked.c.place <= limit)
        .order_by(ranked.c.place)
    )


_FIRST_PAGES = Question(_first_pages, read_model)
_COUNTS = Question(
    lambda dialect: (
        select(models.c.provider_id, func.count().label("count"))
        .where(_matching(ANY), one_of(dialect, models.c.provider_id, "providers"))
        .group_by(models.c.provider_id)
    )
)


async def ask_for_models_of_providers(
    database: Database, provider_ids: Sequence[int], page: PageRequest, query: ModelQuery
) -> Mapping[int, Slice[ModelRow]]:
    """The same page for each of several providers. Raises `BadCursor`."""
    if page.after is not None or query != ANY:
        async with database.read() as connection:
            return await page_models_of_providers(connection, provider_ids, page, query)
    wanted = {"providers": listed(database.dialect, provider_ids)}
    asked = [Asked(_FIRST_PAGES, {**wanted, "limit": page.first + 1})]
    if page.with_total:
        asked.append(Asked(_COUNTS, wanted))
    found, *counted = await database.ask(*asked)
    totals = {row.provider_id: row.count for row in counted[0]} if counted else None
    return _pages(provider_ids, page, query, found, totals)


def _pages(
    provider_ids: Sequence[int],
    page: PageRequest,
    query: ModelQuery,
    rows: Iterable[ModelRow],
    totals: Mapping[int, int] | None,
) -> Mapping[int, Slice[ModelRow]]:
    found: dict[int, list[ModelRow]] = {one: [] for one in provider_ids}
    for row in rows:
        found[row.provider_id].append(row)
    return {
        one: slice_of(
            page,
            rows_of_one,
            lambda row: _key(row, query.sort),
            query.sort,
            None if totals is None else totals.get(one, 0),
        )
        for one, rows_of_one in found.items()
    }


def _order(sort: ModelSort) -> tuple[ColumnElement[Any], ...]:
    """The columns of a sort; its key's types are int, str, str, int, or without the first."""
    by_name = (models.c.name_folded, models.c.wire_name, models.c.id)
    match sort:
        case ModelSort.NAME:
            return by_name
        case ModelSort.CONTEXT_WINDOW_DESC:
            return (-func.coalesce(models.c.context_window, -1), *by_name)
        case ModelSort.INPUT_PRICE_ASC:
            return (func.coalesce(models.c.input_per_million, _UNKNOWN), *by_name)
        case ModelSort.OUTPUT_PRICE_ASC:
            return (func.coalesce(models.c.output_per_million, _UNKNOWN), *by_name)


def _key(row: ModelRow, sort: ModelSort) -> tuple[str | int, ...]:
    by_name = (row.name.casefold(), row.wire_name, row.id)
    match sort:
        case ModelSort.NAME:
            return by_name
        case ModelSort.CONTEXT_WINDOW_DESC:
            return (1 if row.context_window is None else -row.context_window, *by_name)
        case ModelSort.INPUT_PRICE_ASC:
            price = row.pricing.input_per_million if row.pricing else None
        case ModelSort.OUTPUT_PRICE_ASC:
            price = row.pricing.output_per_million if row.pricing else None
    return (_UNKNOWN if price is None else price, *by_name)


def _key_types(sort: ModelSort) -> tuple[type, ...]:
    return (str, str, int) if sort is ModelSort.NAME else (int, str, str, int)


def _matching(query: ModelQuery) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = [models.c.deleted_at.is_(None)]
    if not query.include_deprecated:
        conditions.append(models.c.deprecated == False)  # noqa: E712  # SQL, not Python
    conditions += [
        or_(
            models.c.search_text.contains(word, autoescape=True),
            models.c.provider_id.in_(
                select(providers.c.id).where(
                    or_(
                        providers.c.slug.contains(word, autoescape=True),
                        providers.c.name_folded.contains(word, autoescape=True),
                    )
                )
            ),
        )
        for word in query.words
    ]
    if query.provider_ids is not None:
        conditions.append(models.c.provider_id.in_(query.provider_ids))
    if query.capabilities is not None:
        if not query.capabilities:
            conditions.append(false())
        wanted = to_bits(query.capabilities)
        conditions.append(models.c.capability_bits.bitwise_and(wanted) == wanted)
    if query.enabled is not None:
        conditions.append(models.c.enabled == query.enabled)
    if query.min_context_window is not None:
        conditions.append(models.c.context_window >= query.min_context_window)
    if query.max_input_per_million is not None:
        # No price is that high, and a larger number than this is none to the databases.
        dearest = min(query.max_input_per_million, _UNKNOWN)
        conditions.append(models.c.input_per_million <= dearest)
    return and_(*conditions)
