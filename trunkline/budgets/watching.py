"""The watch over budgets: looks whenever spending may have changed, alerts, and blocks.

It looks when usage was recorded, when a budget changed and when a period turns: at once after a
quiet time, then at most four times a second, however often these happen. Each server has one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from db import budgets as store
from db.budgets import BudgetRow
from db.vocabulary import ChangeKind
from trunkline.budgets.alerting import Look, give_alerts, not_yet_given
from trunkline.budgets.blocking import Blocking
from trunkline.budgets.periods import period_at, period_before
from trunkline.budgets.spending import read_spending
from trunkline.budgets.state import blocks
from trunkline.errors import BadRequest
from trunkline.events import BudgetChanged, Subscription, UsageRecorded
from trunkline.services import Services
from trunkline.usage.windows import Span

log = structlog.get_logger(__name__)

TICK_SECONDS = 0.25
RETRY_SECONDS = 5.0
# A sleep counts by another clock than periods do, which may be set meanwhile.
LONGEST_SLEEP_SECONDS = 60.0
GRACE = timedelta(minutes=15)
"""How long a period still gives alerts after its end: for what was spent in its last moments."""

Sleep = Callable[[float], Awaitable[None]]
_Standing = tuple[datetime, bool]
"""What others show of a budget: where its period begins, and whether it blocks."""


def blocking_budget(
    services: Services,
    *,
    provider_id: int,
    model_id: int,
    agent: str | None,
    chain_id: int | None,
) -> Blocking | None:
    """The budget that keeps a request from being sent now, or None where it may be. Reads memory.

    Ask before each attempt: a used-up budget blocks from the commit that used it up, at most a
    tick later; requests under way end, and their cost counts then.
    """
    return services.blocked.find(
        services.clock(),
        provider_id=provider_id,
        model_id=model_id,
        agent=agent,
        chain_id=chain_id,
    )


class BudgetWatch:
    """Call `look` before serving, so that what is blocked is known, then `run` it for good."""

    def __init__(self, services: Services, *, sleep: Sleep = asyncio.sleep) -> None:
        self._services = services
        self._sleep = sleep
        self._standings: Mapping[int, _Standing] | None = None

    async def look(self) -> datetime | None:
        """Look at every budget once; returns when the next period turns, None where none does."""
        now = self._services.clock()
        async with self._services.database.read() as connection:
            budgets = await store.enabled_budgets(connection)
            wanted = _wanted(budgets, now)
            scopes = [(budget.scope, span) for budget, span in wanted]
            spent = await read_spending(connection, scopes)
            looks = [Look(*one, spending) for one, spending in zip(wanted, spent, strict=True)]
            due = await not_yet_given(connection, looks)
        present = [look for look in looks if look.period.start <= now < look.period.end]
        self._block(present)
        if due:
            await give_alerts(self._services, due)
        return min((look.period.end for look in present), default=None)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        loop = asyncio.get_running_loop()
        with self._services.events.subscribe(UsageRecorded, BudgetChanged) as changes:
            while True:
                began = loop.time()
                try:
                    turns = await self.look()
                except Exception:  # The watch outlives the store's bad moments.
                    log.exception("budgets could not be looked at")
                    await self._sleep(RETRY_SECONDS)
                    continue
                # A look that takes long takes half of the time at most.
                await self._sleep(max(TICK_SECONDS, loop.time() - began))
                await self._something_happens(turns, changes)

    def _block(self, looks: Sequence[Look]) -> None:
        """Remember what blocks, and tell of budgets that stand otherwise than before."""
        blocking = [look for look in looks if blocks(look.budget, look.spending.cost_nanos)]
        self._services.blocked.replace([Blocking(one.budget, one.period.end) for one in blocking])
        blocked = {look.budget.id for look in blocking}
        standings = {
            look.budget.id: (look.period.start, look.budget.id in blocked) for look in looks
        }
        before, self._standings = self._standings, standings
        if before is None:
            return
        # Not through the database: each server looks for itself, and tells its own subscribers.
        self._services.events.publish(
            *(
                BudgetChanged(ChangeKind.UPDATED, budget_id)
                for budget_id, standing in standings.items()
                if before.get(budget_id, standing) != standing
            )
        )

    async def _something_happens(self, turns: datetime | None, changes: Subscription) -> None:
        waits: set[asyncio.Future[None]] = {asyncio.ensure_future(changes.drained())}
        if turns is not None:
            waits.add(asyncio.ensure_future(self._time_reaches(turns)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _time_reaches(self, end: datetime) -> None:
        while (remaining := (end - self._services.clock()).total_seconds()) > 0:
            await self._sleep(min(remaining, LONGEST_SLEEP_SECONDS))


def _wanted(budgets: Sequence[BudgetRow], now: datetime) -> list[tuple[BudgetRow, Span]]:
    """The periods to look at: the present one of each budget, and the one before for a while."""
    found: list[tuple[BudgetRow, Span]] = []
    for budget in budgets:
        try:
            span = period_at(budget.period, budget.timezone, now)
            before = period_before(budget.period, budget.timezone, span)
        except BadRequest as error:  # A zone that this machine's data no longer has.
            log.warning("a budget can't be watched", budget_id=budget.id, reason=str(error))
            continue
        found.append((budget, span))
        # As it stands it was not there before its last change.
        if now < before.end + GRACE and budget.updated_at < before.end:
            found.append((budget, before))
    return found
