"""Verifying usage on both databases: what is wrong is found to the last digit, told and mended, and
nothing is ever called wrong that isn't, also while usage is recorded or expires.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import ColumnElement, delete, select, text, update
from sqlalchemy.sql import Executable

from db.columns import from_microseconds, to_microseconds
from db.engine import Connection
from db.rollup_levels import LEVELS, SUMMED, Level, RollupKey
from db.tables import usage_events, usage_rollups
from db.usage import read_clock
from db.usage_verify import Difference
from db.vocabulary import ProviderKind, UsageDimension, UsageGranularity
from tests.conftest import SetClock
from trunkline.events import UsageRecorded
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.services import Services
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.reading import SeriesRequest, read_series
from trunkline.usage.recording import record_page, record_usage
from trunkline.usage.retention import expire_events
from trunkline.usage.series import Series
from trunkline.usage.verifying import MOST_LISTED, VerifyReport, verify_usage
from trunkline.usage.windows import WindowRequest

FIRST = datetime(2026, 11, 20, tzinfo=UTC)


def event(key: int, at: datetime, **fields: object) -> NewUsageEvent:
    made = NewUsageEvent(
        idempotency_key=f"key-{key}",
        provider_slug="local",
        model_name=f"model-{key % 3}",
        agent=None if key % 4 == 0 else f"agent-{key % 4}",
        occurred_at=at,
        succeeded=key % 5 > 0,
        input_tokens=key,
        cache_read_tokens=key // 2,
        output_tokens=key % 7,
        estimated=key % 2 == 0,
        latency_ms=None if key % 6 == 0 else key * 10,
        cost_nanos=key * 1_001,
    )
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def history(count: int, *, begin: int = 0) -> list[NewUsageEvent]:
    """Over four days, among them both sides of each edge of an hour and of a day."""
    edge = timedelta(microseconds=1)
    return [
        event(key, hour + timedelta(minutes=key % 2 * 15) + (-edge if key % 3 else edge))
        for key in range(begin, begin + count)
        for hour in [FIRST + timedelta(hours=key * 7 % 80)]
    ]  # fmt: skip


@pytest.fixture
async def services(services: Services) -> Services:
    """With usage of four days, and of the evening before."""
    await create_provider(
        services, NewProvider(slug="local", name="Local", kind=ProviderKind.OLLAMA)
    )
    await record_usage(services, history(100))
    return services


async def run(services: Services, statement: Executable) -> None:
    """Behind everybody's back."""

    async def work(connection: Connection) -> None:
        await connection.execute(statement)

    await services.database.transact(work)


async def series(services: Services) -> Series:
    window = WindowRequest(
        "UTC",
        None,
        FIRST - timedelta(days=2),
        FIRST + timedelta(days=5),
        UsageGranularity.QUARTER_HOUR,
    )
    request = SeriesRequest(UsageDimension.MODEL, window, with_percentiles=True)
    return await read_series(services.database, request, services.clock)


async def some_rollup(services: Services, level: Level) -> tuple[RollupKey, tuple[int, ...]]:
    statement = (
        select(usage_rollups)
        .where(usage_rollups.c.level == level.number)
        .order_by(usage_rollups.c.bucket_start.desc(), usage_rollups.c.requests.desc())
        .limit(1)
    )
    async with services.database.read() as connection:
        row = (await connection.execute(statement)).one()
    key = [getattr(row, name) for name in RollupKey._fields]
    key[0] = to_microseconds(row.bucket_start)
    return RollupKey(*key), tuple(getattr(row, name) for name in SUMMED)


def named(level: Level, key: RollupKey) -> list[ColumnElement[bool]]:
    """The condition that names one rollup."""
    return [
        usage_rollups.c.level == level.number,
        usage_rollups.c.bucket_start == from_microseconds(key.bucket_start),
        *(usage_rollups.c[name] == getattr(key, name) for name in RollupKey._fields[1:]),
    ]


async def test_what_was_recorded_has_no_difference(services: Services) -> None:
    report = await verify_usage(services)
    assert (report.days, report.differences, report.listed) == (5, 0, [])
    assert report.last == max(one.occurred_at for one in history(100) if one.occurred_at)


async def test_an_empty_store_has_no_difference(services: Services) -> None:
    await run(services, delete(usage_events))
    await run(services, delete(usage_rollups))
    report = await verify_usage(services, repair=True)
    assert (report.days, report.differences, report.mended) == (0, 0, 0)


async def test_a_rollup_that_is_off_by_one_is_found_and_mended_on_every_level(
    services: Services,
) -> None:
    before = await series(services)
    wrong = set()
    for level in LEVELS:
        column = SUMMED[level.number % len(SUMMED)]
        key, right = await some_rollup(services, level)
        value = usage_rollups.c[column] + 1
        await run(services, update(usage_rollups).where(*named(level, key)).values({column: value}))
        stored = tuple(part + (name == column) for name, part in zip(SUMMED, right, strict=True))
        wrong.add(Difference(level, key, stored, right))
    for repair in (False, True):
        report = await verify_usage(services, repair=repair)
        assert set(report.listed) == wrong
        assert (report.differences, report.mended) == (len(wrong), len(wrong) * repair)
    assert (await verify_usage(services)).differences == 0
    after = await series(services)
    assert (after.groups, after.totals) == (before.groups, before.totals)


async def test_a_rollup_that_is_missing_comes_back_and_one_too_many_goes(
    services: Services,
) -> None:
    before = await series(services)
    wrong = set()
    for level in LEVELS:
        key, parts = await some_rollup(services, level)
        moved = key._replace(agent=f"{key.agent} not", chain_id=7)
        await run(
            services,
            update(usage_rollups)
            .where(*named(level, key))
            .values(agent=moved.agent, chain_id=moved.chain_id),
        )
        wrong |= {Difference(level, moved, parts, None), Difference(level, key, None, parts)}
    report = await verify_usage(services, repair=True)
    assert set(report.listed) == wrong
    assert report.mended == len(wrong)
    assert (await verify_usage(services)).differences == 0
    after = await series(services)
    assert (after.groups, after.totals) == (before.groups, before.totals)


async def test_rollups_follow_their_events(services: Services) -> None:
    """Where an event itself is gone, every level that counted it is wrong."""
    await run(services, delete(usage_events).where(usage_events.c.idempotency_key == "key-50"))
    report = await verify_usage(services, repair=True)
    assert {one.level for one in report.listed} == set(LEVELS)
    assert report.differences == report.mended == len(LEVELS)
    assert (await series(services)).totals.requests == 99
    assert (await verify_usage(services)).differences == 0


async def test_a_rollup_at_no_time_at_all_is_found_and_mended(services: Services) -> None:
    columns = ", ".join(("level", *RollupKey._fields, *SUMMED))
    for level in LEVELS:
        values = ", ".join(map(str, (level.number, 2**61 + level.number, 1, 1, "'x'", 1, 1)))
        ones = ", 1" * len(SUMMED)
        await run(services, text(f"INSERT INTO usage_rollups ({columns}) VALUES ({values}{ones})"))
    report = await verify_usage(services, repair=True)
    assert report.differences == report.mended == len(LEVELS)
    assert (await verify_usage(services)).differences == 0


async def test_without_repair_nothing_changes(services: Services) -> None:
    await run(services, update(usage_rollups).values(requests=usage_rollups.c.requests + 1))
    async with services.database.read() as connection:
        clock = await read_clock(connection)
    before = await series(services)
    report = await verify_usage(services)
    assert report.mended == 0
    assert len(report.listed) == MOST_LISTED
    assert report.left_out == report.differences - MOST_LISTED > 0
    assert await series(services) == before
    async with services.database.read() as connection:
        assert await read_clock(connection) == clock


async def test_watchers_are_told_of_what_was_mended(services: Services, clock: SetClock) -> None:
    level = LEVELS[3]
    key, _ = await some_rollup(services, level)
    await run(services, update(usage_rollups).where(*named(level, key)).values(requests=77))
    async with services.database.read() as connection:
        before = await read_clock(connection)
    clock.advance(minutes=1)
    with services.events.subscribe(UsageRecorded) as heard:
        await verify_usage(services, repair=True)
        told = await asyncio.wait_for(anext(heard), 10)
    assert isinstance(told, UsageRecorded)
    async with services.database.read() as connection:
        assert before < await read_clock(connection) == told.as_of


async def test_what_expired_is_left_alone(services: Services, clock: SetClock) -> None:
    before = await series(services)
    assert await expire_events(services.database, 2, clock) > 0
    # Of an expired day, and of one that is kept.
    for day in (20, 22):
        await run(
            services,
            update(usage_rollups)
            .where(
                usage_rollups.c.level == 7,  # Days by agent.
                usage_rollups.c.bucket_start == datetime(2026, 11, day, tzinfo=UTC),
                usage_rollups.c.agent == "agent-1",
            )
            .values(requests=1_000),
        )
    report = await verify_usage(services, repair=True)
    assert [from_microseconds(one.key.bucket_start).day for one in report.listed] == [22]
    assert report.days == 3
    assert (await verify_usage(services)).differences == 0
    async with services.database.read() as connection:
        kept = await connection.scalars(
            select(usage_rollups.c.requests).where(usage_rollups.c.requests == 1_000)
        )
        assert list(kept) == [1_000]
    assert (await series(services)).totals.requests >= before.totals.requests


async def test_what_expires_meanwhile_is_no_difference(services: Services, clock: SetClock) -> None:
    report = VerifyReport()

    async def expire() -> None:
        # Within the second day's snapshot: that day and the next go.
        if report.hour == FIRST + timedelta(hours=12):
            assert await expire_events(services.database, 1, clock) > 0

    await verify_usage(services, report=report, on_hour=expire)
    assert (report.days, report.differences) == (4, 0)


async def test_what_expires_before_it_is_mended_is_left_alone(
    services: Services, clock: SetClock
) -> None:
    await run(
        services,
        update(usage_rollups)
        .where(usage_rollups.c.bucket_start < FIRST + timedelta(days=3))
        .values(requests=usage_rollups.c.requests + 1),
    )
    before = (await series(services)).totals.requests
    hours = 0

    async def expire() -> None:
        nonlocal hours
        hours += 1
        if hours == 1:
            await expire_events(services.database, 0, clock)

    report = await verify_usage(services, repair=True, on_hour=expire)
    assert report.differences > 0
    assert report.mended == 0
    assert (await series(services)).totals.requests == before


@pytest.mark.slow
async def test_many_events_in_an_hour_are_added_page_by_page(services: Services) -> None:
    at = FIRST + timedelta(hours=5)
    for begin in (1_000, 4_000):
        page = [
            event(key, at + timedelta(seconds=key % 3_600)) for key in range(begin, begin + 3_000)
        ]
        assert (await record_page(services, page)).recorded == 3_000
    assert (await verify_usage(services)).differences == 0
    await run(services, delete(usage_rollups).where(usage_rollups.c.level == 0))
    report = await verify_usage(services, repair=True)
    assert {one.level for one in report.listed} == {LEVELS[0]}
    assert (await verify_usage(services)).differences == 0


@pytest.fixture
async def recorders(services: Services) -> AsyncIterator[list[int]]:
    """Calls that go on recording over all days until the test ends; how many events are in."""
    counted = [100]
    ended = asyncio.Event()

    async def record(number: int) -> None:
        key = 10_000 * number
        while not ended.is_set():
            await record_usage(services, history(7, begin=key))
            counted[0] += 7
            key += 7

    tasks = [asyncio.create_task(record(number)) for number in range(1, 4)]
    yield counted
    ended.set()
    await asyncio.gather(*tasks)
    assert (await verify_usage(services)).differences == 0
    assert (await series(services)).totals.requests == counted[0]


async def test_nothing_is_called_wrong_while_usage_is_recorded(
    services: Services, recorders: list[int]
) -> None:
    begun = recorders[0]
    for _ in range(3):
        report = await verify_usage(services)
        assert (report.days, report.differences) == (5, 0)
    assert recorders[0] > begun


@pytest.mark.slow
async def test_usage_that_is_recorded_while_others_are_mended_is_counted_once(
    services: Services, recorders: list[int]
) -> None:
    begun = recorders[0]
    for _ in range(2):
        await run(
            services,
            update(usage_rollups)
            .where(usage_rollups.c.level.in_([0, 3, 8]))
            .values(requests=usage_rollups.c.requests + 5, input_tokens=0),
        )
        assert (await verify_usage(services, repair=True)).mended > 0
        assert (await verify_usage(services)).differences == 0
    assert recorders[0] > begun


async def test_two_repairs_at_once_mend_once(services: Services) -> None:
    await run(services, update(usage_rollups).values(cost_nanos=usage_rollups.c.cost_nanos + 1))
    reports = await asyncio.gather(
        verify_usage(services, repair=True), verify_usage(services, repair=True)
    )
    assert (await verify_usage(services)).differences == 0
    found = max(report.differences for report in reports)
    assert sum(report.mended for report in reports) == found
