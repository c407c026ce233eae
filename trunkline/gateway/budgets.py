"""Budgets that block, asked before anything is spent. Reads memory only."""

from trunkline.budgets.blocking import Blocking
from trunkline.budgets.watching import blocking_budget
from trunkline.errors import TrunklineError
from trunkline.failover.attempts import ResolvedStep
from trunkline.gateway.configuration import Runnable
from trunkline.services import Services


class BudgetExhausted(TrunklineError):
    """A budget over all of this is used up, and blocks."""

    def __init__(self, blocking: Blocking, seconds: float) -> None:
        super().__init__(blocked_by(blocking))
        self.retry_after = seconds


def check_request(services: Services, runnable: Runnable, agent: str) -> None:
    """Raises `BudgetExhausted` where a budget of everything, this agent or this chain blocks."""
    found = _find(services, runnable, agent)
    if found is not None:
        raise _exhausted(services, found)


def step_blocked(
    services: Services, runnable: Runnable, agent: str, step: ResolvedStep
) -> BudgetExhausted | None:
    """What keeps this step from being tried now, or None where no budget does: one over everything,
    the agent or the chain may have been used up since the request came.
    """
    found = _find(services, runnable, agent, step.provider_id, step.model_id)
    return None if found is None else _exhausted(services, found)


def _find(
    services: Services, runnable: Runnable, agent: str, provider_id: int = 0, model_id: int = 0
) -> Blocking | None:
    if not services.blocked.any:
        return None
    return blocking_budget(
        services,
        provider_id=provider_id,
        model_id=model_id,
        agent=agent or None,
        chain_id=runnable.chain_id or None,
    )


def _exhausted(services: Services, found: Blocking) -> BudgetExhausted:
    return BudgetExhausted(found, (found.until - services.clock()).total_seconds())


def blocked_by(blocking: Blocking) -> str:
    """What is said of it."""
    return (
        f"the budget {blocking.budget.name!r} is used up, and blocks until "
        f"{blocking.until:%Y-%m-%dT%H:%M:%SZ}: raise its amount, or wait"
    )
