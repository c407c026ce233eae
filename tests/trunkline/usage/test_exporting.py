"""Exporting usage on both databases: pages, formats, filters, and the way back in."""

import asyncio
import csv
import io
import json
import shutil
import tracemalloc
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as listen
from sqlalchemy import text as sql

from db.engine import Database
from db.models import load_models_by_name
from db.providers import find_provider_by_slug
from db.rollup_writing import add_to_rollups
from db.usage import UsageCondition
from db.usage_export import last_event_id, read_events_after
from db.vocabulary import ProviderKind, UsageDimension, UsageGranularity, UsagePeriod
from server.wiring import services_on
from tests.conftest import SECRET_KEY, SetClock
from trunkline.errors import BadRequest
from trunkline.failover.chains import NewChain, create_chain
from trunkline.failover.steps import StepInput
from trunkline.instants import parse_instant
from trunkline.money import parse_dollars
from trunkline.providers.changes import NewProvider, create_provider, delete_provider
from trunkline.secrets import Secrets
from trunkline.services import Services
from trunkline.usage import exporting, recording
from trunkline.usage.exporting import (
    PAGE_EVENTS,
    EventsExport,
    ExportFormat,
    Part,
    SeriesExport,
    UsageNames,
    export_usage,
)
from trunkline.usage.importing import import_lines
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.reading import SeriesRequest, read_series
from trunkline.usage.recording import record_page
from trunkline.usage.windows import WindowRequest

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MONTH = WindowRequest(
    "Europe/Berlin",
    start=datetime(2026, 11, 1, tzinfo=UTC),
    end=datetime(2026, 12, 1, tzinfo=UTC),
)


async def add_objects(services: Services) -> None:
    """Two providers, one of them free, and a chain."""
    await create_provider(
        services, NewProvider(slug="anthropic", name="Anthropic", kind=ProviderKind.ANTHROPIC)
    )
    await create_provider(
        services, NewProvider(slug="local", name="Local", kind=ProviderKind.OLLAMA)
    )
    async with services.database.read() as connection:
        provider = await find_provider_by_slug(connection, "anthropic")
        assert provider is not None
        name = (provider.id, "claude-sonnet-4-5")
        model_id = (await load_models_by_name(connection, [name]))[name].id
    await create_chain(services, NewChain(name="Support", steps=[StepInput(model_id=model_id)]))


@pytest.fixture
async def services(services: Services) -> Services:
    await add_objects(services)
    return services


def event(key: str, **fields: Any) -> NewUsageEvent:
    made = NewUsageEvent(
        idempotency_key=key,
        provider_slug="anthropic",
        model_name="claude-sonnet-4-5",
        occurred_at=NOON,
        input_tokens=1_000,
        output_tokens=7,
    )
    return replace(made, **fields)


VARIED = [
    event("plain"),
    event("agent", agent="support", latency_ms=1_234, occurred_at=NOON + timedelta(microseconds=1)),
    event("chain", failover_chain_slug="support", occurred_at=NOON - timedelta(days=3)),
    event("failed", succeeded=False, input_tokens=0, output_tokens=0),
    event("cached", cache_read_tokens=300, cache_write_tokens=100, reasoning_tokens=5),
    event("free", provider_slug="local", model_name="llama-3"),
    event("billed", cost_nanos=123_456_789),
    event("unpriced", model_name="nobody-knows-this", estimated=True),
    event("=1+1", agent="@SUM(A1)"),
    event('uni\u2028code, "quoted" 😀', agent="-x"),
]


async def test_what_is_being_recorded_when_an_export_begins_takes_nothing_from_it(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL such an event has an id already, and may be there or not: see the docs."""
    if services.database.dialect == "sqlite":
        pytest.skip("one writer at a time: nothing is under way beside another")
    monkeypatch.setattr(exporting, "PAGE_EVENTS", 2)
    inserted, go = asyncio.Event(), asyncio.Event()

    async def held(connection: Any, rows: Iterable[Any]) -> None:
        rows = list(rows)
        if rows[0].idempotency_key == "under-way-early":
            inserted.set()
            await go.wait()
        await add_to_rollups(connection, rows)

    monkeypatch.setattr(recording, "add_to_rollups", held)
    under_way = [
        event("under-way-early", occurred_at=NOON - timedelta(hours=1)),
        event("under-way-late", occurred_at=NOON + timedelta(hours=1)),
    ]
    async with asyncio.timeout(20):
        slow = asyncio.create_task(record(services, under_way))
        await inserted.wait()
        before = [
            event(f"before-{number}", occurred_at=NOON + timedelta(seconds=number))
            for number in range(5)
        ]
        await record(services, before)
        parts = export_usage(services.database, EventsExport(), ExportFormat.NDJSON, services.clock)
        lines = (await anext(parts)).body.splitlines()
        go.set()
        await slow
        await record(services, [event("after", occurred_at=NOON + timedelta(hours=2))])
        lines += [line async for part in parts for line in part.body.splitlines()]
    keys = [json.loads(line)["idempotencyKey"] for line in lines]
    assert [key for key in keys if not key.startswith("under-way")] == [
        one.idempotency_key for one in before
    ]
    assert len(keys) == len(set(keys))


async def record(services: Services, events: Sequence[NewUsageEvent]) -> None:
    done = await record_page(services, events)
    assert (done.recorded, done.problems) == (len(events), {})


async def parts_of(
    services: Services,
    export: EventsExport | SeriesExport | None = None,
    file_format: ExportFormat = ExportFormat.NDJSON,
) -> list[Part]:
    wanted = export or EventsExport()
    return [
        part async for part in export_usage(services.database, wanted, file_format, services.clock)
    ]


def joined(parts: Iterable[Part]) -> bytes:
    return b"".join(part.body for part in parts)


async def exported_events(
    services: Services, export: EventsExport | SeriesExport | None = None
) -> list[dict[str, Any]]:
    lines = joined(await parts_of(services, export)).split(b"\n")
    assert lines.pop() == b""
    return [json.loads(line) for line in lines]


async def keys(services: Services, export: EventsExport) -> list[str]:
    return [one["idempotencyKey"] for one in await exported_events(services, export)]


async def test_events_come_oldest_first_with_the_fields_of_the_input(services: Services) -> None:
    await record(services, VARIED)
    found = await exported_events(services)
    # Compared as instants: as text, a second's fraction comes before its beginning.
    instants = [parse_instant(one["occurredAt"]) for one in found]
    assert instants == sorted(instants)
    assert {one["idempotencyKey"] for one in found} == {one.idempotency_key for one in VARIED}
    by_key = {one["idempotencyKey"]: one for one in found}
    fingerprint = by_key["agent"].pop("fingerprint")
    assert len(bytes.fromhex(fingerprint)) == 16
    assert by_key["agent"] == {
        "idempotencyKey": "agent",
        "occurredAt": "2026-11-20T12:00:00.000001Z",
        "providerSlug": "anthropic",
        "modelName": "claude-sonnet-4-5",
        "agent": "support",
        "failoverChainSlug": None,
        "succeeded": True,
        "inputTokens": 1_000,
        "cacheReadTokens": 0,
        "cacheWriteTokens": 0,
        "outputTokens": 7,
        "reasoningTokens": 0,
        "estimated": False,
        "latencyMs": 1_234,
        "costUsd": "0.003105",
    }
    assert by_key["chain"]["failoverChainSlug"] == "support"
    assert by_key["billed"]["costUsd"] == "0.123456789"
    assert by_key["free"]["costUsd"] == "0"
    assert by_key["unpriced"]["costUsd"] is None


async def test_pages_give_every_event_once_also_of_one_instant(services: Services) -> None:
    count = 2 * PAGE_EVENTS + 3
    await record(services, [event(f"key-{number}") for number in range(count)])
    parts = await parts_of(services)
    assert [part.rows for part in parts] == [PAGE_EVENTS, PAGE_EVENTS, 3]
    found = [json.loads(line)["idempotencyKey"] for line in joined(parts).splitlines()]
    assert sorted(found) == sorted(f"key-{number}" for number in range(count))


async def test_an_export_holds_what_was_recorded_when_it_began(services: Services) -> None:
    await record(services, [event(f"key-{number}") for number in range(PAGE_EVENTS)])
    export = export_usage(services.database, EventsExport(), ExportFormat.NDJSON, services.clock)
    parts = [await anext(export)]
    await record(services, [event("later", occurred_at=NOON + timedelta(hours=1))])
    parts += [part async for part in export]
    assert sum(part.rows for part in parts) == PAGE_EVENTS
    assert await keys(services, EventsExport(start=NOON + timedelta(hours=1))) == ["later"]


async def test_no_transaction_is_open_while_somebody_reads_slowly(services: Services) -> None:
    """More exports stand still than the store has connections, and reads still get through."""
    await record(services, [event(f"key-{number}") for number in range(PAGE_EVENTS + 1)])
    exports = [
        export_usage(services.database, EventsExport(), ExportFormat.NDJSON, services.clock)
        for _ in range(12)
    ]
    for export in exports:
        await anext(export)
    async with services.database.read() as connection:
        assert await last_event_id(connection) == PAGE_EVENTS + 1
    for export in exports:
        await export.aclose()


async def test_filters_combine(services: Services) -> None:
    await record(services, VARIED)

    async def named(**names: tuple[str, ...]) -> set[str]:
        return set(await keys(services, EventsExport(names=UsageNames(**names))))

    assert await named(provider_slugs=("local",)) == {"free"}
    assert await named(model_names=("nobody-knows-this", "llama-3")) == {"unpriced", "free"}
    assert await named(model_names=("llama-3",), provider_slugs=("anthropic",)) == set()
    assert await named(agents=("support", "-x")) == {"agent", VARIED[-1].idempotency_key}
    assert await named(agents=("unheard-of",)) == set()
    assert await named(agents=()) == set()
    assert await named(chain_slugs=("support",)) == {"chain"}
    assert "chain" not in await named(chain_slugs=("",))
    assert len(await named(chain_slugs=("", "support"))) == len(VARIED)
    assert "agent" not in await named(agents=("",))


async def test_a_range_takes_any_instant_and_leaves_its_end_out(services: Services) -> None:
    later = NOON + timedelta(microseconds=1)
    await record(services, [event("a"), event("b", occurred_at=later)])
    assert await keys(services, EventsExport(start=later)) == ["b"]
    assert await keys(services, EventsExport(end=later)) == ["a"]
    assert await keys(services, EventsExport(start=NOON, end=later)) == ["a"]
    with pytest.raises(BadRequest, match="before"):
        await parts_of(services, EventsExport(start=later, end=NOON))


@pytest.mark.parametrize(
    "names",
    [
        UsageNames(provider_slugs=("antropic",)),
        UsageNames(model_names=("claude",)),
        UsageNames(chain_slugs=("suport",)),
        UsageNames(provider_slugs=("",)),
    ],
)
async def test_a_name_that_never_was_is_refused_before_anything_is_sent(
    services: Services, names: UsageNames
) -> None:
    with pytest.raises(BadRequest, match="there is none"):
        await parts_of(services, EventsExport(names=names), ExportFormat.CSV)


async def test_events_outlive_what_they_name(services: Services) -> None:
    await record(services, VARIED)
    async with services.database.read() as connection:
        provider = await find_provider_by_slug(connection, "local")
    assert provider is not None
    await delete_provider(services, provider.id, expected_version=provider.version)
    found = await exported_events(services, EventsExport(names=UsageNames(("local",))))
    assert [(one["idempotencyKey"], one["providerSlug"]) for one in found] == [("free", "local")]


async def test_csv_is_by_the_rfc_and_no_cell_is_a_formula(services: Services) -> None:
    await record(services, VARIED)
    body = joined(await parts_of(services, file_format=ExportFormat.CSV))
    assert body.count(b"\r\n") == len(VARIED) + 1
    assert b"\n" not in body.replace(b"\r\n", b"")
    rows = list(csv.DictReader(io.StringIO(body.decode(), newline="")))
    assert len(rows) == len(VARIED)
    assert not [
        cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))
    ]
    by_key = {row["idempotencyKey"]: row for row in rows}
    assert by_key["'=1+1"]["agent"] == "'@SUM(A1)"
    assert by_key[VARIED[-1].idempotency_key]["agent"] == "'-x"
    assert by_key["unpriced"]["costUsd"] == ""
    assert by_key["failed"]["succeeded"] == "false"


async def test_an_export_of_nothing_is_empty_or_a_header(services: Services) -> None:
    assert await parts_of(services) == []
    (header,) = await parts_of(services, file_format=ExportFormat.CSV)
    assert header.body.startswith(b"idempotencyKey,occurredAt,providerSlug,")
    assert header.rows == 0


async def test_a_series_has_a_row_for_each_group_and_bucket(services: Services) -> None:
    await record(services, VARIED)
    export = SeriesExport(dimension=UsageDimension.MODEL, window=MONTH)
    series = await read_series(
        services.database,
        SeriesRequest(UsageDimension.MODEL, MONTH, with_percentiles=True),
        services.clock,
    )
    rows = await exported_events(services, export)
    assert len(rows) == len(series.groups) * len(series.window.bucket_starts)
    assert [row["group"] for row in rows[:: len(series.window.bucket_starts)]] == [
        group.key for group in series.groups
    ]
    assert sum(row["requests"] for row in rows) == series.totals.requests == len(VARIED)
    assert sum(row["unpricedRequests"] for row in rows) == 1
    nanos = sum(parse_dollars(row["costUsd"]) for row in rows)
    assert nanos == series.totals.cost_usd
    assert (rows[0]["start"], rows[0]["end"]) == ("2026-11-01T00:00:00Z", "2026-11-01T23:00:00Z")
    table = joined(await parts_of(services, export, ExportFormat.CSV)).decode()
    assert [dict(row) for row in csv.DictReader(io.StringIO(table, newline=""))] == [
        {name: "" if value is None else str(value) for name, value in row.items()} for row in rows
    ]
    (timed,) = [row for row in rows if row["latencyP50Ms"] is not None]
    assert timed["latencyP50Ms"] == pytest.approx(1_234, rel=0.1)
    assert sum(row["cacheReadTokens"] for row in rows) == 300
    assert sum(row["reasoningTokens"] for row in rows) == 5


async def test_a_series_of_more_rows_than_a_part_leaves_none_out(services: Services) -> None:
    await record(services, VARIED)
    window = replace(MONTH, granularity=UsageGranularity.QUARTER_HOUR)
    parts = await parts_of(services, SeriesExport(dimension=UsageDimension.AGENT, window=window))
    assert len(parts) > 1
    assert sum(part.rows for part in parts) == 4 * 30 * 96
    rows = [json.loads(line) for line in joined(parts).splitlines()]
    assert sum(row["requests"] for row in rows) == len(VARIED)


async def test_a_series_is_narrowed_by_names_too(services: Services) -> None:
    await record(services, VARIED)
    period = WindowRequest("UTC", period=UsagePeriod.LAST_7_DAYS)
    names = UsageNames(provider_slugs=("local",))
    export = SeriesExport(dimension=UsageDimension.PROVIDER, window=period, names=names)
    rows = await exported_events(services, export)
    assert {row["label"] for row in rows} == {"Local"}
    assert sum(row["requests"] for row in rows) == 1


async def test_what_went_out_comes_in_elsewhere_to_the_last_digit(
    services: Services, sqlite_template: Path, tmp_path: Path, clock: SetClock
) -> None:
    await record(services, VARIED)
    body = joined(await parts_of(services))
    path = tmp_path / "second.db"
    await asyncio.to_thread(shutil.copy, sqlite_template, path)
    database = Database.open(f"sqlite+aiosqlite:///{path}")
    async with services_on(database, Secrets([SECRET_KEY]), clock=clock) as second:
        await add_objects(second)

        async def pieces() -> AsyncIterator[bytes]:
            yield body

        report = await import_lines(second, pieces())
        assert (report.recorded, report.refused) == (len(VARIED), 0)
        for dimension in UsageDimension:
            request = SeriesRequest(dimension, MONTH)
            there = await read_series(database, request, clock)
            here = await read_series(services.database, request, clock)
            assert there.totals == here.totals
            assert [(group.label, group.totals, group.points) for group in there.groups] == [
                (group.label, group.totals, group.points) for group in here.groups
            ]
    await database.close()


async def test_pages_are_read_along_the_index(services: Services) -> None:
    """Sorted or walked anew for every page, a million events would take a million times a page."""
    if services.database.dialect != "sqlite":
        pytest.skip("PostgreSQL plans by the size of its tables: an empty one is no evidence")
    ran: list[str] = []
    plans: list[str] = []
    async with services.database.read() as connection:
        listen.listen(
            connection.sync_connection,
            "before_cursor_execute",
            lambda *given: ran.append(given[2]),
        )
        end = NOON + timedelta(days=1)
        await read_events_after(
            connection, (NOON, 5), count=10, up_to_id=9, condition=UsageCondition(), end=end
        )
        for statement in list(ran):
            explained = await connection.execute(
                sql(f"EXPLAIN QUERY PLAN {statement.replace('?', '1')}")
            )
            plans.append(" ".join(row.detail for row in explained))
    assert "ix_usage_events_occurred_at_id (occurred_at=? AND id>? AND id<?)" in plans[0]
    assert "ix_usage_events_occurred_at_id (occurred_at>? AND occurred_at<?)" in plans[1]
    assert not [plan for plan in plans if "TEMP B-TREE" in plan]


@pytest.mark.slow
async def test_memory_stays_the_same_however_many_events(services: Services) -> None:
    async def peak() -> int:
        tracemalloc.start()
        try:
            async for part in export_usage(
                services.database, EventsExport(), ExportFormat.NDJSON, services.clock
            ):
                assert part.rows <= PAGE_EVENTS
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    await record(services, [event(f"a-{number}") for number in range(2 * PAGE_EVENTS)])
    await peak()  # What is made once, such as compiled statements.
    small = await peak()
    for batch in range(3):
        await record(services, [event(f"b-{batch}-{n}") for n in range(4 * PAGE_EVENTS)])
    assert await peak() < small * 1.3
