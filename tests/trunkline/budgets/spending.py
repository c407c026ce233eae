"""Usage at a given price, and budgets over it, for the tests of budgets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from itertools import count

from db.budget_alerts import AlertRow, page_alerts
from db.budgets import BudgetRow
from db.chains import ChainRow
from db.paging import PageRequest
from db.vocabulary import BudgetPeriod
from trunkline.budgets.changes import create_budget
from trunkline.budgets.inputs import BudgetScope, NewBudget
from trunkline.failover.chains import NewChain, create_chain
from trunkline.failover.steps import StepInput
from trunkline.money import parse_dollars
from trunkline.services import Services
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.recording import record_usage

ALL = BudgetScope(everything=True)
_keys = count()


def new_budget(amount: str = "100", **fields: object) -> NewBudget:
    """A budget of everything by the day in UTC, unless `fields` say otherwise."""
    new = NewBudget(
        name="Budget",
        scope=ALL,
        amount_nanos=parse_dollars(amount),
        period=BudgetPeriod.DAY,
        timezone="UTC",
    )
    return replace(new, **fields)  # type: ignore[arg-type]  # the fields of NewBudget


async def make_budget(services: Services, amount: str = "100", **fields: object) -> BudgetRow:
    return (await create_budget(services, new_budget(amount, **fields))).budget


async def spend(
    services: Services,
    dollars: str | None,
    *,
    provider: str = "local",
    model: str = "llama",
    agent: str | None = None,
    chain: str | None = None,
    at: datetime | None = None,
) -> None:
    """Record one request that was billed this much; None: at an unknown price."""
    event = NewUsageEvent(
        idempotency_key=f"spent-{next(_keys)}",
        provider_slug=provider,
        model_name=model,
        agent=agent,
        failover_chain_slug=chain,
        occurred_at=at,
        input_tokens=5,
        cost_nanos=None if dollars is None else parse_dollars(dollars),
    )
    await record_usage(services, [event])


async def make_chain(services: Services, model_id: int) -> ChainRow:
    """A chain of one step, of the slug `support`."""
    return await create_chain(
        services, NewChain(name="Support", steps=[StepInput(model_id=model_id)])
    )


async def given_alerts(services: Services) -> list[AlertRow]:
    """Every alert, oldest first."""
    async with services.database.read() as connection:
        page = await page_alerts(connection, PageRequest(first=100), None)
    return list(reversed(page.nodes))


@asynccontextmanager
async def running(work: Awaitable[None]) -> AsyncIterator[None]:
    """Run something until the block ends."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Let the tasks run, and the database's threads, until something is so."""
    for _ in range(2_000):
        if await condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it never came to be")
