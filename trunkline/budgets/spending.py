"""What budgets' scopes spent, from rollups: one statement for each dimension and time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from db.budgets import BudgetScopeRow
from db.engine import Connection
from db.rollup_columns import LARGEST, Parts, TotalTooLarge
from db.rollup_levels import SUMMED
from db.usage import UsageCondition
from db.usage_rollups import GroupId, sum_groups
from db.vocabulary import BudgetScopeKind, UsageDimension
from trunkline.usage.windows import Span

_COST = SUMMED.index("cost_nanos")
_UNPRICED = SUMMED.index("unpriced_requests")
_DIMENSIONS = {
    # Every request has exactly one provider, so all providers together are everything.
    BudgetScopeKind.ALL: UsageDimension.PROVIDER,
    BudgetScopeKind.PROVIDER: UsageDimension.PROVIDER,
    BudgetScopeKind.MODEL: UsageDimension.MODEL,
    BudgetScopeKind.AGENT: UsageDimension.AGENT,
    BudgetScopeKind.FAILOVER_CHAIN: UsageDimension.FAILOVER_CHAIN,
}
_Sums = Mapping[GroupId, Parts]


@dataclass(frozen=True, slots=True)
class Spending:
    """Nanodollars at known prices, and the requests whose price is unknown."""

    cost_nanos: int
    unpriced_requests: int


async def read_spending(
    connection: Connection, wanted: Sequence[tuple[BudgetScopeRow, Span]]
) -> list[Spending]:
    """What each of these scopes spent in its time, in their order. More than `LARGEST` is that:
    a budget goes on blocking, and can be read, whatever was recorded.
    """
    try:
        found = await _read_exact(connection, wanted)
    except TotalTooLarge:
        # One that can't be summed says nothing of the others.
        found = [await _read_alone(connection, scope, span) for scope, span in wanted]
    return [replace(one, cost_nanos=min(one.cost_nanos, LARGEST)) for one in found]


async def _read_exact(
    connection: Connection, wanted: Sequence[tuple[BudgetScopeRow, Span]]
) -> list[Spending]:
    """The same. Raises `TotalTooLarge`."""
    together: dict[tuple[UsageDimension, Span], list[BudgetScopeRow]] = {}
    for scope, span in wanted:
        together.setdefault((_DIMENSIONS[scope.kind], span), []).append(scope)
    sums: dict[tuple[UsageDimension, Span], _Sums] = {}
    for (dimension, span), scopes in together.items():
        sums[dimension, span] = await sum_groups(
            connection, dimension, (span.start, span.end), _condition(dimension, scopes)
        )
    return [_spending(scope, sums[_DIMENSIONS[scope.kind], span]) for scope, span in wanted]


async def _read_alone(connection: Connection, scope: BudgetScopeRow, span: Span) -> Spending:
    try:
        (found,) = await _read_exact(connection, [(scope, span)])
    except TotalTooLarge:
        return Spending(LARGEST, 0)
    return found


def _condition(dimension: UsageDimension, scopes: Sequence[BudgetScopeRow]) -> UsageCondition:
    if any(scope.kind is BudgetScopeKind.ALL for scope in scopes):
        return UsageCondition()
    ids = tuple(sorted({scope.id for scope in scopes if scope.id is not None}))
    match dimension:
        case UsageDimension.PROVIDER:
            return UsageCondition(provider_ids=ids)
        case UsageDimension.MODEL:
            return UsageCondition(model_ids=ids)
        case UsageDimension.FAILOVER_CHAIN:
            return UsageCondition(chain_ids=ids)
        case UsageDimension.AGENT:
            return UsageCondition(agents=tuple(sorted({scope.agent or "" for scope in scopes})))


def _spending(scope: BudgetScopeRow, sums: _Sums) -> Spending:
    if scope.kind is BudgetScopeKind.ALL:
        parts = list(sums.values())
    else:
        group = scope.agent if scope.kind is BudgetScopeKind.AGENT else scope.id
        parts = [sums[group]] if group is not None and group in sums else []
    return Spending(sum(part[_COST] for part in parts), sum(part[_UNPRICED] for part in parts))
