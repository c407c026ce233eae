"""Models on both databases: pages, filters, sorts, seeding's inserts, overrides."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from db import models as store
from db.engine import Database
from db.model_pages import (
    ModelQuery,
    ask_for_models_of_providers,
    page_models,
    page_models_of_providers,
)
from db.model_standings import model_standings
from db.models import ModelPricingRow, ModelRow, NewModelRow
from db.overrides import OverrideRow, insert_override, load_overrides
from db.paging import BadCursor, PageRequest
from db.providers import insert_provider
from db.vocabulary import ModelCapability, ModelSort, ModelSource, PriceSource, ProviderKind

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
DOLLAR = 10**9


async def add_provider(database: Database, slug: str, name: str) -> int:
    async def add(connection: AsyncConnection) -> int:
        added = await insert_provider(
            connection,
            slug=slug,
            name=name,
            kind=ProviderKind.OPENAI_COMPATIBLE,
            base_url="http://127.0.0.1:9",
            enabled=True,
            known_provider=None,
            now=NOW,
        )
        assert added is not None
        return added

    return await database.transact(add)


async def add_models(database: Database, provider_id: int, *new: NewModelRow) -> dict[str, int]:
    async def add(connection: AsyncConnection) -> dict[str, int]:
        return dict(await store.insert_models(connection, provider_id, new, now=NOW))

    return await database.transact(add)


def model(wire_name: str, **fields: Any) -> NewModelRow:
    return NewModelRow(
        **({"wire_name": wire_name, "name": wire_name, "source": ModelSource.CATALOG} | fields)
    )


def priced(input_nanos: int | None, output_nanos: int | None = 0) -> ModelPricingRow:
    return ModelPricingRow(
        input_per_million=input_nanos,
        output_per_million=output_nanos,
        cache_read_per_million=None,
        cache_write_per_million=None,
        tiered=False,
        source=PriceSource.CATALOG,
        as_of=NOW,
    )


async def names(database: Database, query: ModelQuery, first: int = 100) -> list[str]:
    async with database.read() as connection:
        page = await page_models(connection, PageRequest(first), query)
    return [row.wire_name for row in page.nodes]


async def walk(database: Database, query: ModelQuery, size: int) -> list[ModelRow]:
    """Every row, page by page."""
    rows: list[ModelRow] = []
    after = None
    while True:
        async with database.read() as connection:
            page = await page_models(connection, PageRequest(size, after, with_total=True), query)
        rows += page.nodes
        assert page.has_previous_page is (after is not None)
        if not page.has_next_page:
            assert page.total_count == len(rows)
            return rows
        after = page.end_cursor


async def test_a_row_is_read_back_as_it_was_stored(database: Database) -> None:
    provider_id = await add_provider(database, "acme", "Acme")
    new = model(
        "big-1",
        name="Big One",
        description="Large",
        context_window=2**31 - 1,
        max_output_tokens=64_000,
        capabilities={ModelCapability.PDF, ModelCapability.TOOLS},
        pricing=priced(3 * DOLLAR, 15 * DOLLAR),
        source=ModelSource.CUSTOM,
    )
    ids = await add_models(database, provider_id, new, model("bare", capabilities=[]))
    async with database.read() as connection:
        found = await store.load_models(connection, list(ids.values()))
    big, bare = found[ids["big-1"]], found[ids["bare"]]
    assert (big.name, big.description, big.context_window) == ("Big One", "Large", 2**31 - 1)
    assert big.capabilities == (ModelCapability.TOOLS, ModelCapability.PDF)
    assert big.pricing == priced(3 * DOLLAR, 15 * DOLLAR)
    assert (big.source, big.version, big.updated_at) == (ModelSource.CUSTOM, 1, NOW)
    # Known to have none, and a price that nobody knows.
    assert (bare.capabilities, bare.pricing, bare.enabled) == ((), None, True)


async def test_search_finds_every_word_in_names_of_model_and_provider(database: Database) -> None:
    acme = await add_provider(database, "acme-cloud", "Größe GmbH")
    other = await add_provider(database, "other", "Other")
    await add_models(
        database, acme, model("claude-4", name="Claude Sonnet"), model("100%_sure", name="Straße")
    )
    await add_models(database, other, model("gpt-5", name="GPT 5"), model("a/b", name="Slash"))

    async def search(text: str) -> list[str]:
        return sorted(await names(database, ModelQuery(words=tuple(text.casefold().split()))))

    assert await search("SONNET claude") == ["claude-4"]
    assert await search("sonnet gpt") == []
    assert await search("acme sonnet") == ["claude-4"]
    assert await search("GRÖSSE") == ["100%_sure", "claude-4"]
    assert await search("STRASSE") == ["100%_sure"]
    assert await search("100%") == ["100%_sure"]
    # What LIKE takes for wildcards or an escape is text here.
    assert await search("%") == ["100%_sure"]
    assert await search("_") == ["100%_sure"]
    assert await search("/") == ["a/b"]
    assert await search("\\") == []
    assert await search("") == ["100%_sure", "a/b", "claude-4", "gpt-5"]


async def test_filters_narrow_and_unknown_values_match_no_bound(database: Database) -> None:
    provider_id = await add_provider(database, "acme", "Acme")
    tools, pdf = ModelCapability.TOOLS, ModelCapability.PDF
    await add_models(
        database,
        provider_id,
        model("both", capabilities=[tools, pdf], context_window=200, pricing=priced(2 * DOLLAR)),
        model("tools", capabilities=[tools], context_window=100, pricing=priced(DOLLAR)),
        model("none", capabilities=[]),
        model("unknown"),
        model("old", deprecated=True),
    )
    assert await names(database, ModelQuery()) == ["both", "none", "tools", "unknown"]
    assert len(await names(database, ModelQuery(include_deprecated=True))) == 5
    assert await names(database, ModelQuery(capabilities=(tools,))) == ["both", "tools"]
    assert await names(database, ModelQuery(capabilities=(tools, pdf, tools))) == ["both"]
    assert await names(database, ModelQuery(min_context_window=101)) == ["both"]
    assert await names(database, ModelQuery(max_input_per_million=DOLLAR)) == ["tools"]
    assert await names(database, ModelQuery(enabled=False)) == []
    # A number that no column holds is no reason to fail.
    assert await names(database, ModelQuery(max_input_per_million=10**24)) == ["both", "tools"]


async def test_an_empty_list_matches_nothing(database: Database) -> None:
    provider_id = await add_provider(database, "acme", "Acme")
    await add_models(database, provider_id, model("one", capabilities=[]))
    assert await names(database, ModelQuery(provider_ids=(provider_id,))) == ["one"]
    assert await names(database, ModelQuery(provider_ids=())) == []
    assert await names(database, ModelQuery(capabilities=())) == []


@pytest.mark.parametrize("sort", list(ModelSort))
async def test_pages_of_any_size_give_each_row_once_in_order(
    database: Database, sort: ModelSort
) -> None:
    rng = random.Random(7)
    provider_id = await add_provider(database, "acme", "Acme")
    new = [
        model(
            f"m-{number}",
            # Equal names, other cases, other scripts, and what UTF-16 would sort otherwise.
            name=rng.choice(["Same", "same", "Äpfel", "zeta", "模型", "😀", "\uffee"]),
            context_window=rng.choice([None, 1_000, 8_000, 200_000]),
            pricing=rng.choice([None, priced(0), priced(DOLLAR, None), priced(None, 5)]),
        )
        for number in range(60)
    ]
    await add_models(database, provider_id, *new)
    query = ModelQuery(sort=sort)
    whole = await walk(database, query, 100)
    assert sorted(row.wire_name for row in whole) == sorted(one.wire_name for one in new)
    for size in (1, 7, 59, 60):
        assert await walk(database, query, size) == whole
    assert whole == sorted(whole, key=lambda row: sort_key(row, sort))


def sort_key(row: ModelRow, sort: ModelSort) -> tuple[object, ...]:
    """The order in plain Python: unknown last, then by name."""
    price = row.pricing
    value: int | None = {
        ModelSort.NAME: 0,
        ModelSort.CONTEXT_WINDOW_DESC: None if row.context_window is None else -row.context_window,
        ModelSort.INPUT_PRICE_ASC: price.input_per_million if price else None,
        ModelSort.OUTPUT_PRICE_ASC: price.output_per_million if price else None,
    }[sort]
    return (value is None, value or 0, row.name.casefold(), row.wire_name)


async def test_a_cursor_of_another_order_is_refused(database: Database) -> None:
    provider_id = await add_provider(database, "acme", "Acme")
    await add_models(database, provider_id, model("one"), model("two"))
    async with database.read() as connection:
        page = await page_models(connection, PageRequest(1), ModelQuery())
        with pytest.raises(BadCursor):
            await page_models(
                connection,
                PageRequest(1, page.end_cursor),
                ModelQuery(sort=ModelSort.INPUT_PRICE_ASC),
            )


async def test_what_is_asked_at_once_is_what_is_read_one_by_one(database: Database) -> None:
    ids = [await add_provider(database, f"p-{n}", f"P{n}") for n in range(3)]
    for place, provider_id in enumerate(ids):
        rows = [model(f"m-{n}", pricing=priced(n * DOLLAR, DOLLAR)) for n in range(place * 2)]
        await add_models(database, provider_id, *rows, model("old", deprecated=True))
    page = PageRequest(2, with_total=True)
    found = await ask_for_models_of_providers(database, [*ids, 10**6], page, ModelQuery())
    async with database.read() as connection:
        expected = await page_models_of_providers(connection, [*ids, 10**6], page, ModelQuery())
        every = [row.id for slice_ in expected.values() for row in slice_.nodes]
        assert await store.load_models(connection, every) == await store.ask_for_models(
            database, [*every, 10**6]
        )
    assert found == expected
    assert [slice_.edges for slice_ in found.values()] == [
        slice_.edges for slice_ in expected.values()
    ]
    assert [slice_.total_count for slice_ in found.values()] == [0, 2, 4, 0]
    after = PageRequest(2, found[ids[2]].end_cursor)
    second = await ask_for_models_of_providers(database, ids, after, ModelQuery())
    assert [row.wire_name for row in second[ids[2]].nodes] == ["m-2", "m-3"]


async def test_many_providers_pages_are_one_statement(
    database: Database, count_statements: Any
) -> None:
    ids = [await add_provider(database, f"p-{n}", f"P{n}") for n in range(8)]
    for place, provider_id in enumerate(ids):
        await add_models(database, provider_id, *(model(f"m-{n}") for n in range(place)))
    page = PageRequest(3, with_total=True)
    with count_statements() as statements:
        async with database.read() as connection:
            found = await page_models_of_providers(connection, ids, page, ModelQuery())
    assert len(set(statements)) == 2  # The rows, and the totals that were asked for.
    for place, provider_id in enumerate(ids):
        async with database.read() as connection:
            alone = await page_models(connection, page, ModelQuery(provider_ids=(provider_id,)))
        assert found[provider_id] == alone
        assert found[provider_id].edges == alone.edges
        assert found[provider_id].total_count == place
        assert found[provider_id].has_next_page is (place > 3)


async def test_a_taken_name_is_left_and_a_tombstone_frees_it(database: Database) -> None:
    provider_id = await add_provider(database, "acme", "Acme")
    first = await add_models(database, provider_id, model("one", name="First"))
    again = await add_models(
        database, provider_id, model("one", name="Second"), model("two"), model("two")
    )
    assert list(again) == ["two"]

    async def remove(connection: AsyncConnection) -> None:
        await store.delete_model(connection, first["one"], now=NOW)

    await database.transact(remove)
    assert await names(database, ModelQuery()) == ["two"]
    anew = await add_models(database, provider_id, model("one", name="Third"))
    assert anew["one"] != first["one"]


async def test_a_refresh_counts_no_change_and_leaves_what_the_operator_set(
    database: Database,
) -> None:
    provider_id = await add_provider(database, "acme", "Acme")
    ids = await add_models(database, provider_id, model("one"))

    async def change(connection: AsyncConnection) -> None:
        await store.update_model(connection, ids["one"], {"enabled": False}, now=NOW)

    async def refresh(connection: AsyncConnection) -> ModelRow:
        row = model("one", name="One", context_window=5)
        await store.refresh_models(connection, {ids["one"]: row}, now=NOW + timedelta(days=1))
        return (await store.load_models(connection, [ids["one"]]))[ids["one"]]

    await database.transact(change)
    row = await database.transact(refresh)
    assert (row.name, row.context_window, row.enabled, row.version) == ("One", 5, False, 2)
    assert await names(database, ModelQuery(words=("one",))) == ["one"]


async def test_standings_tell_of_changes_and_leave_out_the_deleted(database: Database) -> None:
    provider = await add_provider(database, "p", "P")
    ids = await add_models(database, provider, *map(model, "abc"))

    async def change(connection: AsyncConnection) -> None:
        await store.update_model(connection, ids["a"], {"enabled": False}, now=NOW)
        await store.set_deprecated(connection, [ids["b"]], deprecated=True, now=NOW)
        await store.delete_model(connection, ids["c"], now=NOW)

    await database.transact(change)
    async with database.read() as connection:
        standings = await model_standings(connection)
    assert standings == {ids["a"]: (2, False), ids["b"]: (1, True)}


async def test_overrides_are_dated_and_come_oldest_first(database: Database) -> None:
    provider_id = await add_provider(database, "acme", "Acme")
    ids = await add_models(database, provider_id, model("one"), model("two"))
    first = OverrideRow(
        model_id=ids["one"],
        effective_from=NOW,
        input_per_million=1,
        output_per_million=2,
        cache_read_per_million=None,
        cache_write_per_million=3,
    )
    ended = OverrideRow(
        model_id=ids["one"],
        effective_from=NOW + timedelta(hours=1),
        input_per_million=None,
        output_per_million=None,
        cache_read_per_million=None,
        cache_write_per_million=None,
    )
    same_instant = replace(first, input_per_million=9)

    async def add(connection: AsyncConnection) -> Sequence[OverrideRow]:
        for override in (ended, first, same_instant):
            await insert_override(connection, override)
        found = await load_overrides(connection, list(ids.values()))
        assert ids["two"] not in found
        return found[ids["one"]]

    assert await database.transact(add) == [first, same_instant, ended]
