"""A budget in the transaction that changes it: held, read back as it then stands, told of."""

from dataclasses import dataclass, field

from db import budgets as store
from db.budgets import BudgetRow
from db.engine import Connection
from db.vocabulary import ChangeKind
from trunkline.changes import not_found, version_conflict
from trunkline.events import BudgetChanged


@dataclass(frozen=True, slots=True)
class BudgetSaved:
    """The budget as it stands, and the secret of its webhook where this change made one."""

    budget: BudgetRow
    webhook_secret: str | None = field(default=None, repr=False)


async def hold_budget(
    connection: Connection, budget_id: int, expected_version: int | None
) -> BudgetRow:
    """The living budget; then nobody else changes it until the transaction ends.

    Raises `Refused`: NOT_FOUND, VERSION_CONFLICT where another version than this is expected.
    """
    current = (await store.lock_budgets(connection, [budget_id])).get(budget_id)
    if current is None:
        raise not_found(("id",), "budget")
    if expected_version is not None and expected_version != current.version:
        raise version_conflict(current, current.version)
    return current


async def read_budget(connection: Connection, budget_id: int) -> BudgetRow:
    """The budget as it stands now, changed or just created."""
    return (await store.load_budgets(connection, [budget_id]))[budget_id]


def budget_changed(kind: ChangeKind, budget: BudgetRow) -> BudgetChanged:
    """The event that tells of it."""
    return BudgetChanged(kind=kind, id=budget.id)
