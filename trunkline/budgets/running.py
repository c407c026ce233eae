"""Runs a server's budgets for as long as it serves: the watch, and the sender of webhooks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from trunkline.budgets.sending import WebhookSender
from trunkline.budgets.watching import BudgetWatch
from trunkline.services import Services

log = structlog.get_logger(__name__)


@asynccontextmanager
async def running_budgets(services: Services) -> AsyncIterator[None]:
    """Know what is blocked before the block begins; watch and send until it ends."""
    watch = BudgetWatch(services)
    try:
        await watch.look()
    except Exception:  # A server without its budgets is better than none; it looks again.
        log.exception("budgets could not be looked at")
    tasks = [asyncio.create_task(one.run()) for one in (watch, WebhookSender(services))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
