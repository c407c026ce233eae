"""What the work counts: usage to the token and the nanodollar, attempts, circuits, transactions."""

import asyncio

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from db.engine import Connection
from db.tables import providers, usage_events
from db.vocabulary import ProviderKind
from tests.server.gateway.test_accounting import PRICE
from tests.server.gateway.world import World
from tests.server.metrics.scraping import scraped
from trunkline.errors import BadRequest, Refused
from trunkline.gateway.tally import GatewayTally
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.recording import record_page, record_usage


def reported(key: str, **fields: object) -> NewUsageEvent:
    """An event that a client reports of a model that the gateway serves too."""
    given: dict[str, object] = {
        "idempotency_key": key, "provider_slug": "openai-compatible", "model_name": "first",
        "input_tokens": 1_000, "cache_read_tokens": 400, "cache_write_tokens": 70,
        "output_tokens": 333, "reasoning_tokens": 33,
    }  # fmt: skip
    return NewUsageEvent(**(given | fields))  # type: ignore[arg-type]  # checked by the class


async def test_tokens_and_cost_are_those_of_the_events_that_were_stored(world: World) -> None:
    """Also where calls come twice, are refused, are cancelled, or fail on their way."""
    await world.model("first", price_override=PRICE)
    await world.chain("first", "unpriced", max_retries=1)
    world.script(first=["ok", "status-500", "status-500", "ok"], unpriced=["ok"])
    await world.ask()
    await world.ask()
    await world.ask(stream=True)
    await record_usage(world.services, [reported("one"), reported("two", succeeded=False)])
    await record_usage(world.services, [reported("one"), reported("three", cost_nanos=7)])
    with pytest.raises(Refused):
        await record_usage(world.services, [reported("bad", input_tokens=-1)])
    # A caller that leaves while its page is stored: the page is stored all the same.
    page = asyncio.ensure_future(record_page(world.services, [reported("four"), reported("one")]))
    await asyncio.sleep(0)
    page.cancel()
    await asyncio.gather(page, return_exceptions=True)
    await world.services.database.close()  # waits for what is under way
    await world.stored()

    found = await scraped(world)
    columns = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens",
               "reasoning_tokens", "cost_nanos")  # fmt: skip
    async with world.services.database.read() as connection:
        row = (
            await connection.execute(
                select(
                    func.count(),
                    func.count(usage_events.c.cost_nanos),
                    *(func.sum(usage_events.c[name]) for name in columns),
                )
            )
        ).one()
    events, priced, *sums = (int(one) for one in row)
    assert events > 6
    assert sums[-1] > 0
    assert found.total("trunkline_usage_events_total") == events
    assert found.total("trunkline_usage_unpriced_events_total") == events - priced > 0
    shown = [
        found.total("trunkline_usage_tokens_total", class_=name.removesuffix("_tokens"))
        for name in columns[:-1]
    ]
    assert [*shown, found.total("trunkline_usage_cost_nanodollars_total")] == sums
    assert found.total("trunkline_usage_events_total", source="reported", result="failed") == 1


async def test_attempts_are_counted_by_provider_and_how_they_ended(sqlite_world: World) -> None:
    world = sqlite_world
    await world.chain("first", "second", max_retries=1)
    world.script(first=["status-429", "status-500"], second=["ok"])
    await world.ask()
    await world.ask(stream=True)
    found = await scraped(world)
    name = "trunkline_gateway_attempts_total"
    slug = "openai-compatible"
    assert found.value(name, provider=slug, outcome="succeeded") == 2
    assert found.value(name, provider=slug, outcome="rate_limited") == 1
    assert found.value(name, provider=slug, outcome="transient") == 3
    assert found.value("trunkline_gateway_attempt_seconds_count", provider=slug) == 6
    assert (
        found.value(
            "trunkline_gateway_requests_total", endpoint="chat_completions", outcome="answered"
        )
        == found.value("trunkline_gateway_request_seconds_count", endpoint="chat_completions")
        == 2
    )
    assert found.value("trunkline_gateway_first_token_seconds_count") == 1


async def test_circuits_and_waiting_requests_are_shown_as_they_stand(sqlite_world: World) -> None:
    world = sqlite_world
    await world.chain("first", max_retries=0)
    world.script(first=["bad-key"])
    await world.ask()
    slots = world.services.gateway.means.slots
    slots.most_running = 1
    assert slots.take(1)
    waiting = asyncio.ensure_future(slots.wait(1, 60, world.time.call_later))
    await asyncio.sleep(0)
    found = await scraped(world)
    waiting.cancel()
    assert found.value("trunkline_provider_circuit_open", provider="openai-compatible") == 1
    assert found.value("trunkline_circuits", of="provider", state="open") == 1
    waiters = "trunkline_provider_requests_waiting"
    assert found.total(waiters) == 1


async def test_what_the_database_fails_is_counted_and_what_callers_refuse_is_not(
    world: World,
) -> None:
    database = world.services.database
    before = await scraped(world)

    async def broken(connection: Connection) -> None:
        await connection.execute(text("SELECT * FROM nowhere"))

    async def refused(_connection: Connection) -> None:
        raise BadRequest("ask differently")

    with pytest.raises(DBAPIError):
        await database.transact(broken)
    with pytest.raises(BadRequest):
        await database.transact(refused)
    after = await scraped(world)
    failures = "trunkline_database_failures_total"
    seconds = "trunkline_database_transaction_seconds_count"
    assert after.value(failures, access="write") - before.value(failures, access="write") == 1
    assert after.value(seconds, access="write") - before.value(seconds, access="write") == 2


async def test_ten_thousand_providers_share_the_labels_of_two_hundred(
    sqlite_world: World,
) -> None:
    world = sqlite_world
    first = await world.provider(ProviderKind.OPENAI_COMPATIBLE)
    slugs = {number: f"provider-{number}" for number in range(first, first + 10_000)}
    tally: GatewayTally = world.services.gateway.ledger.tally
    for number in slugs:
        tally.providers[number].outcomes["SUCCEEDED"] += 1
        world.services.gateway.breakers.note_traffic(number, succeeded=True)
        world.services.gateway.means.slots.take(number)
    now = world.services.clock()
    given = {
        "kind": "OPENAI_COMPATIBLE", "base_url": "http://127.0.0.1:1", "enabled": True,
        "connection_revision": 0, "version": 1, "created_at": now, "updated_at": now,
    }  # fmt: skip
    rows = [
        given | {"id": number, "slug": slug, "name": slug, "name_folded": slug}
        for number, slug in slugs.items()
        if number != first
    ]

    async def insert(connection: Connection) -> None:
        await connection.execute(providers.insert(), rows)

    await world.services.database.transact(insert)
    found = await scraped(world)
    name = "trunkline_gateway_attempts_total"
    assert len(list(found.labels(name, "provider"))) == 201
    assert found.value(name, provider="other", outcome="succeeded") == 10_000 - 200
    assert len(found.samples) < 2_500
    # Whoever has a label keeps it.
    again = await scraped(world)
    assert set(again.labels(name, "provider")) == set(found.labels(name, "provider"))


async def test_numbers_are_shown_while_the_database_is_away(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = sqlite_world
    await world.chain("first")
    world.script(first=["ok"])
    await world.ask()
    await world.stored()

    def away() -> None:
        raise OSError("no database")

    with monkeypatch.context() as patch:
        patch.setattr(world.services.database, "read", away)
        found = await scraped(world)
    assert found.total("trunkline_gateway_requests_total") == 1
    # Under no name rather than a wrong one; then under its own.
    assert found.total("trunkline_gateway_attempts_total") == 0
    assert (await scraped(world)).total("trunkline_gateway_attempts_total") == 1
