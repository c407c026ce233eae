"""Which budgets block just now, in memory: the gateway asks before each request.

Refreshed by the watch whenever usage was recorded, so a request is blocked from the commit that
used a budget up, a tick later at the most. What requests under way will cost is not known: it
counts when they end, and so a budget may be overrun by what was under way when it was used up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from db.budgets import BudgetRow, BudgetScopeRow
from db.vocabulary import BudgetScopeKind

_Scope = tuple[BudgetScopeKind, int | str]


@dataclass(frozen=True, slots=True)
class Blocking:
    """A budget that is used up until its period ends."""

    budget: BudgetRow
    until: datetime


class BlockedScopes:
    """The scopes whose requests are refused. Touched by the event loop's thread only."""

    def __init__(self) -> None:
        self._by_scope: Mapping[_Scope, Blocking] = {}

    @property
    def any(self) -> bool:
        """Whether any budget blocks just now."""
        return bool(self._by_scope)

    def replace(self, blocking: Sequence[Blocking]) -> None:
        """From now on these block, and no others."""
        found: dict[_Scope, Blocking] = {}
        for one in blocking:
            scope = _scope(one.budget.scope)
            # Of several, the one that blocks the longest: another may end before it.
            if scope not in found or found[scope].until < one.until:
                found[scope] = one
        self._by_scope = found

    def find(
        self,
        now: datetime,
        *,
        provider_id: int,
        model_id: int,
        agent: str | None,
        chain_id: int | None,
    ) -> Blocking | None:
        """The budget that keeps a request from being sent, or None where it may be."""
        if not self._by_scope:
            return None
        for scope in (
            (BudgetScopeKind.ALL, 0),
            (BudgetScopeKind.PROVIDER, provider_id),
            (BudgetScopeKind.MODEL, model_id),
            (BudgetScopeKind.AGENT, agent or ""),
            (BudgetScopeKind.FAILOVER_CHAIN, chain_id or 0),
        ):
            found = self._by_scope.get(scope)
            # A period that is over blocks nothing, even before anybody looked again.
            if found is not None and now < found.until:
                return found
        return None


def _scope(scope: BudgetScopeRow) -> _Scope:
    if scope.kind is BudgetScopeKind.AGENT:
        return scope.kind, scope.agent or ""
    return scope.kind, scope.id or 0
