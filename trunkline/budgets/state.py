"""How a budget stands in a period: what is spent, what is left, whether it blocks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from db.budgets import BudgetRow
from db.engine import Connection
from db.usage import read_clock
from db.vocabulary import BudgetAction
from trunkline.budgets.periods import period_at
from trunkline.budgets.spending import Spending, read_spending
from trunkline.usage.windows import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetState:
    """A budget's present period. Amounts are in nanodollars; what is left is never below 0."""

    period_start: datetime
    period_end: datetime
    spent_usd: int
    remaining_usd: int
    used_percent: float
    unpriced_requests: int
    blocked: bool
    reached_thresholds: tuple[int, ...]
    as_of: datetime


async def read_states(
    connection: Connection, budgets: Sequence[BudgetRow], now: datetime
) -> Mapping[BudgetRow, BudgetState]:
    """How each of these stands now."""
    as_of = await read_clock(connection)
    spans = [period_at(budget.period, budget.timezone, now) for budget in budgets]
    scopes = [budget.scope for budget in budgets]
    spent = await read_spending(connection, list(zip(scopes, spans, strict=True)))
    return {
        budget: _state(budget, span, spending, as_of)
        for budget, span, spending in zip(budgets, spans, spent, strict=True)
    }


def reached(budget: BudgetRow, spent_nanos: int) -> tuple[int, ...]:
    """The thresholds that this spending has reached, in exact arithmetic."""
    return tuple(one for one in budget.thresholds if spent_nanos * 100 >= one * budget.amount_usd)


def blocks(budget: BudgetRow, spent_nanos: int) -> bool:
    """Whether this spending has used up a budget that blocks then."""
    return (
        budget.enabled and budget.action is BudgetAction.BLOCK and spent_nanos >= budget.amount_usd
    )


def _state(budget: BudgetRow, span: Span, spending: Spending, as_of: datetime) -> BudgetState:
    spent = spending.cost_nanos
    return BudgetState(
        period_start=span.start,
        period_end=span.end,
        spent_usd=spent,
        remaining_usd=max(0, budget.amount_usd - spent),
        used_percent=spent * 100 / budget.amount_usd,
        unpriced_requests=spending.unpriced_requests,
        blocked=blocks(budget, spent),
        reached_thresholds=reached(budget, spent),
        as_of=as_of,
    )
