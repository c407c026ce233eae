"""Runs the gateway's own work beside the requests: its ledger, and its eye on configuration."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import structlog

from trunkline.gateway.accounting import store_requests
from trunkline.gateway.provider_status import StatusWatch
from trunkline.gateway.recovering import Recovery
from trunkline.services import Services

log = structlog.get_logger(__name__)

_PATIENCE_SECONDS = 8.0
"""To store what has ended, when the server stops. Longer than a locked database takes."""


@asynccontextmanager
async def running_gateway(services: Services) -> AsyncIterator[None]:
    """For as long as the block; at its end what has ended is stored."""
    ledger = services.gateway.ledger
    tasks = [
        asyncio.create_task(ledger.run(partial(store_requests, services))),
        asyncio.create_task(Recovery(services).run()),
        asyncio.create_task(StatusWatch(services).run()),
    ]
    try:
        yield
    finally:
        try:
            await asyncio.wait_for(ledger.drained(), _PATIENCE_SECONDS)
        except TimeoutError:
            log.error("gateway requests could not be stored before the end", lost=len(ledger))  # noqa: TRY400  # nothing to trace
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
