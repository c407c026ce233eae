"""Retention on both databases: old events go, in small batches, and no total ever changes."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from sqlalchemy import func, select

from db.columns import to_microseconds
from db.engine import Database
from db.gateway_request_pages import GatewayRequestCondition, gateway_requests_since
from db.gateway_requests import insert_gateway_requests
from db.tables import usage_events
from db.usage_retention import expire_before, read_expiry
from db.vocabulary import ProviderKind, UsageDimension, UsageGranularity, UsagePeriod
from server.settings import read_settings
from server.wiring import running_services
from tests.conftest import SECRET_KEY, SetClock
from tests.gateway_rows import request
from trunkline.clock import system_clock
from trunkline.errors import Refused
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.services import Services
from trunkline.usage import retention
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.reading import SeriesRequest, read_series
from trunkline.usage.recording import record_page, record_usage
from trunkline.usage.retention import (
    expire_events,
    expire_gateway_requests,
    expiring,
    keep_expiring,
    oldest_kept,
)
from trunkline.usage.series import Series
from trunkline.usage.verifying import verify_usage
from trunkline.usage.windows import WindowRequest

DAYS = 30
HOURS = DAYS * 24


@pytest.fixture
async def history(services: Services, clock: SetClock) -> Services:
    """An event an hour for thirty days, the last just now."""
    await create_provider(
        services, NewProvider(slug="local", name="Local", kind=ProviderKind.OLLAMA)
    )
    events = [event(f"hour-{ago}", clock() - timedelta(hours=ago)) for ago in range(HOURS)]
    await record_page(services, events)
    return services


def event(key: str, at: datetime) -> NewUsageEvent:
    return NewUsageEvent(
        idempotency_key=key,
        provider_slug="local",
        model_name="llama",
        agent=f"agent-{len(key)}",
        occurred_at=at,
        input_tokens=len(key),
        latency_ms=100,
        cost_nanos=17,
    )


async def kept(services: Services) -> tuple[int, datetime | None]:
    """How many events there are, and the oldest one's time."""
    async with services.database.read() as connection:
        statement = select(func.count(), func.min(usage_events.c.occurred_at))
        count, oldest = (await connection.execute(statement)).one()
    return count, oldest


async def until_kept_from(services: Services, moment: datetime) -> None:
    async with asyncio.timeout(30):
        while (await kept(services))[1] != moment:  # noqa: ASYNC110  # another task's transaction
            await asyncio.sleep(0.01)


async def everything(services: Services, clock: SetClock) -> list[Series]:
    window = WindowRequest(
        "America/St_Johns", UsagePeriod.LAST_30_DAYS, granularity=UsageGranularity.HOUR
    )
    return [
        await read_series(
            services.database,
            SeriesRequest(dimension, window, with_percentiles=True, with_previous=True),
            clock,
        )
        for dimension in UsageDimension
    ]


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 100)


@pytest.mark.slow
@pytest.mark.usefixtures("small_batches")
async def test_events_go_and_totals_stay(history: Services, clock: SetClock) -> None:
    before = await everything(history, clock)
    pauses = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        # Whoever records gets in between, and what is gone by now is gone for good.
        count, _ = await kept(history)
        assert count == HOURS - 100 * len(pauses)

    deleted = await expire_events(history.database, 7, clock, sleep=pause)
    first = oldest_kept(7, clock())
    assert first == datetime(2026, 11, 16, tzinfo=UTC)
    count, oldest = await kept(history)
    assert (count, oldest) == (HOURS - deleted, first)
    assert len(pauses) == deleted // 100 > 4
    assert await everything(history, clock) == before
    report = await verify_usage(history)
    assert (report.differences, report.days) == (0, 8), "it begins where events are kept"
    assert await expire_events(history.database, 7, clock) == 0


@pytest.mark.usefixtures("small_batches")
async def test_requests_through_the_gateway_go_with_the_events_of_their_days(
    services: Services, clock: SetClock
) -> None:
    edge = oldest_kept(7, clock())
    old = [request(f"old-{n}", started_at=edge - timedelta(microseconds=1)) for n in range(250)]
    kept_ones = [request("edge", started_at=edge), request("new", started_at=clock())]
    await services.database.transact(
        lambda connection: insert_gateway_requests(connection, [*old, *kept_ones])
    )
    assert await expire_gateway_requests(services.database) == 0, "nothing has expired yet"
    pauses = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    await expire_events(services.database, 7, clock)
    assert await expire_gateway_requests(services.database, sleep=pause) == 250
    assert pauses == [retention.PAUSE_SECONDS] * 2

    class Slept(Exception):
        pass

    async def stop(_seconds: float) -> None:
        raise Slept

    await services.database.transact(
        lambda connection: insert_gateway_requests(connection, [replace(old[0], request_id="late")])
    )
    with pytest.raises(Slept):
        await keep_expiring(services.database, 7, clock, sleep=stop)
    async with services.database.read() as connection:
        left = await gateway_requests_since(connection, 0, GatewayRequestCondition(), most=10)
    assert [row.request_id for row in left] == ["edge", "new"]


async def test_an_event_on_the_edge_is_kept_and_the_one_before_is_not(
    history: Services, clock: SetClock
) -> None:
    edge = oldest_kept(7, clock())
    await record_usage(
        history, [event("at", edge), event("before", edge - timedelta(microseconds=1))]
    )
    await expire_events(history.database, 7, clock)
    async with history.database.read() as connection:
        keys = set(await connection.scalars(select(usage_events.c.idempotency_key)))
    assert "at" in keys
    assert "before" not in keys


async def test_what_was_deleted_is_refused_when_it_is_sent_again(
    history: Services, clock: SetClock
) -> None:
    before = await everything(history, clock)
    gone = event(f"hour-{HOURS - 1}", clock() - timedelta(hours=HOURS - 1))
    await expire_events(history.database, 7, clock)
    with pytest.raises(Refused) as refused:
        await record_usage(history, [event("new", clock()), gone])
    (problem,) = refused.value.problems
    assert (problem.code.value, problem.field) == ("INVALID", ("events", "1", "occurredAt"))
    assert "2026-11-16" in problem.message
    assert "TRUNKLINE_EVENT_RETENTION_DAYS" in problem.message
    assert await everything(history, clock) == before, "all or none, and nothing twice"


async def test_one_that_is_kept_is_still_a_duplicate(history: Services, clock: SetClock) -> None:
    await expire_events(history.database, 7, clock)
    again = await record_usage(history, [event("hour-5", clock() - timedelta(hours=5))])
    assert (again.recorded, again.duplicates) == (0, 1)


@pytest.mark.usefixtures("small_batches")
async def test_stopped_in_the_middle_it_goes_on_later(history: Services, clock: SetClock) -> None:
    first = asyncio.Event()

    async def forever(_seconds: float) -> None:
        first.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(expire_events(history.database, 7, clock, sleep=forever))
    await first.wait()
    task.cancel()
    await asyncio.wait({task})
    count, oldest = await kept(history)
    assert count == HOURS - 100
    assert oldest is not None
    assert oldest < oldest_kept(7, clock())
    # What is left of the old days is refused already, and no difference.
    with pytest.raises(Refused):
        await record_usage(history, [event("late", oldest)])
    assert (await verify_usage(history)).differences == 0
    await expire_events(history.database, 7, clock)
    assert (await kept(history))[1] == oldest_kept(7, clock())


@pytest.mark.usefixtures("small_batches")
async def test_several_at_once_do_no_harm(
    history: Services, clock: SetClock, database_url: str
) -> None:
    before = await everything(history, clock)
    other = Database.open(database_url)
    found = await asyncio.gather(
        *(expire_events(one, 7, clock) for one in (history.database, other, history.database))
    )
    # One may find nothing to take that isn't held by another; the next run takes what was left.
    found.append(await expire_events(other, 7, clock))
    await other.close()
    count, oldest = await kept(history)
    assert (count, oldest) == (HOURS - sum(found), oldest_kept(7, clock()))
    assert await everything(history, clock) == before


async def test_the_watermark_never_goes_back(history: Services, clock: SetClock) -> None:
    await expire_events(history.database, 7, clock)
    assert await expire_events(history.database, 20, clock) == 0
    async with history.database.read() as connection:
        assert await read_expiry(connection) == oldest_kept(7, clock())


async def test_it_goes_on_every_hour_and_outlives_a_bad_moment(
    history: Services, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[float] = []
    right = expire_before

    async def fails(*_anything: object) -> None:
        raise OSError("the store's bad moment")

    async def sleep(seconds: float) -> None:
        passes.append(seconds)
        if len(passes) == 1:
            assert (await kept(history))[1] == oldest_kept(20, clock())
            monkeypatch.setattr(retention, "expire_before", fails)
        elif len(passes) == 2:
            clock.advance(days=1)
            monkeypatch.setattr(retention, "expire_before", right)
        else:
            await asyncio.Event().wait()

    with structlog.testing.capture_logs() as logged:
        task = asyncio.create_task(keep_expiring(history.database, 20, clock, sleep=sleep))
        while len(passes) < 3:
            await asyncio.sleep(0.01)
            assert not task.done()
        task.cancel()
        await asyncio.wait({task})
    assert passes == [retention.INTERVAL_SECONDS] * 3
    assert (await kept(history))[1] == oldest_kept(20, clock())
    told = [line["event"] for line in logged]
    assert told == [
        "old usage events deleted",
        "old usage events could not be deleted",
        "old usage events deleted",
    ]


async def test_it_runs_beside_a_server_where_days_are_set(
    history: Services, clock: SetClock
) -> None:
    async with expiring(history.database, None, clock):
        await asyncio.sleep(0)
    assert (await kept(history))[0] == HOURS
    async with expiring(history.database, 7, clock):
        await until_kept_from(history, oldest_kept(7, clock()))


async def test_a_server_does_so_by_its_setting(
    history: Services,
    clock: SetClock,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRUNKLINE_DATABASE_URL", database_url)
    monkeypatch.setenv("TRUNKLINE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TRUNKLINE_SECRET_KEYS", SECRET_KEY)
    # By the system's clock, which these tests don't set.
    days = (system_clock() - clock()).days + 7
    monkeypatch.setenv("TRUNKLINE_EVENT_RETENTION_DAYS", str(days))
    async with running_services(read_settings()):
        await until_kept_from(history, oldest_kept(days, system_clock()))


def test_whole_days_are_kept_beside_today() -> None:
    now = datetime(2026, 3, 1, 0, 0, 1, tzinfo=UTC)
    assert oldest_kept(1, now) == datetime(2026, 2, 28, tzinfo=UTC)
    assert to_microseconds(oldest_kept(1, now)) % 86_400_000_000 == 0
