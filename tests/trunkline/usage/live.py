"""Watching series by a clock that is set: what the tests of the live hub share."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from db.vocabulary import UsageDimension, UsagePeriod
from tests.trunkline.usage.timing import Time
from trunkline.services import Services
from trunkline.usage.delta import Update
from trunkline.usage.feed import TICK_SECONDS
from trunkline.usage.hub import UsageHub
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.reading import SeriesRequest, read_series
from trunkline.usage.recording import record_usage
from trunkline.usage.series import Series
from trunkline.usage.windows import WindowRequest

TODAY = SeriesRequest(UsageDimension.AGENT, WindowRequest("UTC", UsagePeriod.TODAY))
Updates = AsyncGenerator[Update]


class Counted:
    """How often a series was read; what is to fail, and to happen, meanwhile."""

    def __init__(self) -> None:
        self.count = 0
        self.failure: Exception | None = None
        self.meanwhile: Callable[[], None] = lambda: None


def with_hub(services: Services, time: Time, computed: Counted) -> Services:
    """The services with a hub that counts its readings and goes by a time that is set."""

    async def read(request: SeriesRequest) -> Series:
        computed.count += 1
        if computed.failure is not None:
            raise computed.failure
        series = await read_series(services.database, request, services.clock)
        computed.meanwhile()
        return series

    hub = UsageHub(
        services.database,
        services.events,
        services.clock,
        sleep=time.sleep,
        timer=time.timer,
        read=read,
    )
    return replace(services, hub=hub)


async def record(services: Services, key: str, **fields: Any) -> None:
    """Record one event of provider `local`."""
    event = NewUsageEvent(
        idempotency_key=key, provider_slug="local", model_name="llama", input_tokens=5
    )
    await record_usage(services, [replace(event, **fields)])


@asynccontextmanager
async def watching(services: Services, request: SeriesRequest = TODAY) -> AsyncIterator[Updates]:
    """A subscriber's updates."""
    updates = services.hub.watch(request)
    try:
        yield updates
    finally:
        await updates.aclose()


async def eventually(condition: Callable[[], bool]) -> None:
    """Let the tasks run, and the database's threads, until something is so."""
    for _ in range(5_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to be")


async def arrives(updates: Updates) -> Update:
    """The next update."""
    return await asyncio.wait_for(anext(updates), 10)


async def quiet(time: Time) -> None:
    """Wait until the feed has done what there was to do, and its tick is over."""
    await eventually(lambda: any(until <= time.passed + TICK_SECONDS for until, _ in time.sleepers))
    time.advance(seconds=TICK_SECONDS)
    await asyncio.sleep(0.02)


async def nothing_arrives(updates: Updates) -> None:
    """Fail where an update comes though nothing happens."""
    task = asyncio.ensure_future(arrives(updates))
    await asyncio.sleep(0.03)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
