"""The gateway's requests on both databases: stored once, read by page, by filter and by commit."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from db.chains import delete_chain, insert_chain
from db.engine import Database
from db.gateway_request_pages import (
    GatewayRequestCondition,
    GatewayRequestRow,
    gateway_requests_since,
    last_gateway_request,
    load_gateway_requests,
    page_gateway_requests,
)
from db.gateway_requests import NewGatewayRequest, insert_gateway_requests
from db.models import NewModelRow, insert_models
from db.paging import BadCursor, PageRequest, encode_cursor
from db.providers import delete_provider, insert_provider
from db.vocabulary import GatewayEndpoint, GatewayOutcome, ModelSource, ProviderKind
from tests.gateway_rows import AT, attempt, request

ALL = GatewayRequestCondition()


async def stored(database: Database, *rows: NewGatewayRequest) -> None:
    await database.transact(lambda connection: insert_gateway_requests(connection, rows))


async def page(
    database: Database, first: int = 50, after: str | None = None, **condition: Any
) -> tuple[list[str], str | None, int | None]:
    async with database.read() as connection:
        found = await page_gateway_requests(
            connection,
            PageRequest(first, after, with_total=True),
            GatewayRequestCondition(**condition),
        )
    return [row.request_id for row in found.nodes], found.end_cursor, found.total_count


async def since(database: Database, last_id: int) -> Sequence[GatewayRequestRow]:
    async with database.read() as connection:
        return await gateway_requests_since(connection, last_id, ALL, most=100)


async def test_a_request_is_read_as_it_was_stored(database: Database) -> None:
    attempts = [
        attempt(outcome="RATE_LIMITED", status=429, reason="asks to wait 20 s", step_id=7),
        attempt(sent=False, outcome="OPEN", status=None, model_id=12, label="b/large"),
        attempt(input_tokens=900, cache_read_tokens=800, output_tokens=70, cost_nanos=1_234_567),
        attempt(cancelled=True, estimated=True, reasoning_tokens=3, cost_nanos=0),
    ]
    await stored(database, request("r-1", attempts=attempts, first_token_ms=312, overhead_ms=0.75))
    (row,) = await since(database, 0)
    assert list(row.attempts) == attempts
    assert (row.request_id, row.endpoint, row.outcome) == (
        "r-1",
        GatewayEndpoint.CHAT_COMPLETIONS,
        GatewayOutcome.ANSWERED,
    )
    assert (row.started_at, row.milliseconds, row.first_token_ms) == (AT, 1_500, 312)
    assert (row.overhead_ms, row.http_status, row.streamed) == (0.75, 200, True)
    assert (row.failover_chain_id, row.model_id, row.agent) == (None, None, None)
    async with database.read() as connection:
        assert await load_gateway_requests(connection, [row.id, 999]) == {row.id: row}


async def test_a_request_is_stored_once(database: Database) -> None:
    await stored(database, request("r-1"), request("r-2"))
    await stored(database, request("r-2", milliseconds=9), request("r-3"), request("r-3"))
    assert [row.request_id for row in await since(database, 0)] == ["r-1", "r-2", "r-3"]
    assert {row.milliseconds for row in await since(database, 0)} == {1_500}
    await stored(database)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("gpt\0-4", "gpt\ufffd-4"),
        ("\ud800", "?"),
        ("größe\n😀", "größe\n😀"),
        ("x" * 5_000, "x" * 300),
    ],
)
async def test_what_a_stranger_wrote_never_loses_the_others(
    database: Database, said: str, kept: str
) -> None:
    odd = request("r-1", asked_for=said, agent=said, attempts=[attempt(reason=said, label=said)])
    await stored(database, odd, request("r-2"))
    row, _ = await since(database, 0)
    assert row.asked_for == kept
    assert row.agent is not None
    assert row.attempts[0].reason.startswith(kept)


async def test_pages_go_back_in_time_and_miss_none(database: Database) -> None:
    # Five at one instant: what comes first among them is the id's to say.
    rows = [request(f"r-{n}", started_at=AT + timedelta(seconds=n // 5)) for n in range(12)]
    await stored(database, *rows)
    expected = [f"r-{n}" for n in reversed(range(12))]
    seen: list[str] = []
    after = None
    for _ in range(3):
        names, after, total = await page(database, 5, after)
        seen += names
        assert total == 12
    assert seen == expected
    for bad in (encode_cursor("usage_events", (1, 1)), encode_cursor("gateway_requests", (1,))):
        with pytest.raises(BadCursor):
            await page(database, 5, bad)
    with pytest.raises(BadCursor):
        await page(database, 5, encode_cursor("gateway_requests", (2**62, 1)))


async def test_filters_narrow_pages_and_counts(database: Database) -> None:
    await stored(
        database,
        request("one", chain_id=3, model_id=8, agent="triage"),
        request("two", outcome=GatewayOutcome.FAILED, status=502, agent="night"),
        request("three", endpoint=GatewayEndpoint.EMBEDDINGS, started_at=AT + timedelta(hours=1)),
    )
    for condition, expected in (
        ({"chain_ids": (3,)}, ["one"]),
        ({"chain_ids": (0,)}, ["three", "two"]),
        ({"model_ids": (8, 9)}, ["one"]),
        ({"agents": ("night", "triage")}, ["two", "one"]),
        ({"outcomes": (GatewayOutcome.FAILED,)}, ["two"]),
        ({"endpoints": (GatewayEndpoint.EMBEDDINGS,)}, ["three"]),
        ({"begin": AT + timedelta(hours=1)}, ["three"]),
        ({"end": AT + timedelta(hours=1)}, ["two", "one"]),
        ({"begin": AT, "end": AT}, []),
        ({"agents": ()}, []),
    ):
        names, _, total = await page(database, **condition)
        assert (names, total) == (expected, len(expected)), condition
        # The live push asks no store.
        asked = GatewayRequestCondition(**condition)
        everything = await since(database, 0)
        included = {row.request_id for row in everything if asked.includes(row)}
        assert included == set(expected), condition


async def test_names_outlive_their_objects(database: Database) -> None:
    async def make(connection: AsyncConnection) -> tuple[int, int, int]:
        provider_id = await insert_provider(
            connection,
            slug="one",
            name="One",
            kind=ProviderKind.OLLAMA,
            base_url="http://127.0.0.1:9",
            enabled=True,
            known_provider=None,
            now=AT,
        )
        chain_id = await insert_chain(
            connection, slug="chat", name="Chat", description=None, enabled=True, now=AT
        )
        assert provider_id is not None
        assert chain_id is not None
        new = NewModelRow(wire_name="llama", name="Llama", source=ModelSource.CUSTOM)
        added = await insert_models(connection, provider_id, [new], now=AT)
        return provider_id, chain_id, next(iter(added.values()))

    provider_id, chain_id, model_id = await database.transact(make)
    await stored(database, request("r-1", chain_id=chain_id, model_id=model_id))

    async def remove(connection: AsyncConnection) -> None:
        await delete_chain(connection, chain_id, now=AT)
        await delete_provider(connection, provider_id, now=AT)

    await database.transact(remove)
    (row,) = await since(database, 0)
    assert (row.failover_chain_id, row.failover_chain_label) == (chain_id, "Chat")
    assert (row.model_id, row.model_label) == (model_id, "one/llama")


async def test_ids_are_in_the_order_of_commits(database: Database) -> None:
    """A reader that goes on from the last id that it saw gets each request, once."""
    began = asyncio.Event()
    go_on = asyncio.Event()

    async def slow(connection: AsyncConnection) -> None:
        await insert_gateway_requests(connection, [request("first")])
        began.set()
        await go_on.wait()

    first = asyncio.create_task(database.transact(slow))
    await began.wait()
    second = asyncio.create_task(stored(database, request("second")))
    # It waits for the other: were it through by now, whoever reads here would skip "first".
    done, _ = await asyncio.wait([second], timeout=0.2)
    async with database.read() as connection:
        seen = await last_gateway_request(connection)
    go_on.set()
    await asyncio.gather(first, second)
    assert (seen, done) == (0, set())
    assert [row.request_id for row in await since(database, 0)] == ["first", "second"]
