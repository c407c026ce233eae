"""Going on after the store's bad moments, for what lives longer than they do: subscriptions."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from db.failing import StoreUnavailable

T = TypeVar("T")

log = structlog.get_logger(__name__)

FIRST_RETRY_SECONDS = 0.25
LONGEST_RETRY_SECONDS = 8.0


async def patiently(read: Callable[[], Awaitable[T]]) -> T:
    """What `read` gives, once the store can be used. What it raises otherwise is raised."""
    failures = 0
    while True:
        try:
            return await read()
        except StoreUnavailable as error:
            if not failures:
                log.warning("a subscription waits for the store", error=str(error))
            pause = FIRST_RETRY_SECONDS * 2.0 ** min(failures, 10)
            failures += 1
        await asyncio.sleep(min(pause, LONGEST_RETRY_SECONDS))
