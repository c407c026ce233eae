"""What changes a budget's webhook: giving it another URL, or none, and another secret.

A secret is shown once, by the change that made it.
"""

from datetime import timedelta

from db import budget_webhooks as deliveries
from db import budgets as store
from db.budgets import BudgetRow, BudgetWebhookRow
from db.engine import Connection
from db.vocabulary import ChangeKind
from trunkline.audit.changes import Change, nothing_changed, updated
from trunkline.audit.showing import shown_budget
from trunkline.budgets.saving import BudgetSaved, budget_changed, hold_budget, read_budget
from trunkline.budgets.secrets import readable_secret, seal_secret
from trunkline.budgets.webhooks import generate_secret
from trunkline.errors import Problem, ProblemCode, Refused
from trunkline.services import Services

SECRETS_OVERLAP = timedelta(days=1)
"""How long the former secret signs too, after a rotation."""
REMOVED = "the webhook was removed before this was delivered"


async def rotate_webhook_secret(
    services: Services, budget_id: int, expected_version: int | None
) -> BudgetSaved:
    """Give the webhook a new secret; the former signs beside it for `SECRETS_OVERLAP`.

    Raises `Refused`: NOT_FOUND, VERSION_CONFLICT, INVALID where there is no webhook.
    """

    async def rotate(connection: Connection) -> Change[BudgetSaved]:
        current = await hold_budget(connection, budget_id, expected_version)
        webhook = current.webhook
        if webhook is None:
            problem = Problem(
                ProblemCode.INVALID,
                ("id",),
                "this budget has no webhook: give it one by updateBudget",
            )
            raise Refused([problem], current=current)
        now = services.clock()
        secret = generate_secret()
        former = readable_secret(services.secrets, webhook)
        await store.store_webhook(
            connection,
            current.id,
            url=webhook.url,
            secret=seal_secret(services.secrets, secret, budget_id=current.id),
            previous=former,
            previous_until=None if former is None else now + SECRETS_OVERLAP,
            disabled_at=webhook.disabled_at,
        )
        await store.update_budget(connection, current.id, {}, now=now)
        budget = await read_budget(connection, current.id)
        changes = updated(shown_budget(current), shown_budget(budget), replaced=["webhook"])
        events = [budget_changed(ChangeKind.UPDATED, budget)]
        return Change(BudgetSaved(budget, secret), events, changes)

    return await services.change("rotateBudgetWebhookSecret", rotate)


async def forget_former_webhook_secret(services: Services, budget_id: int) -> None:
    """Sign by the present secret alone, where there is a former one.

    Raises `Refused`: NOT_FOUND.
    """

    async def forget(connection: Connection) -> Change[None]:
        current = await hold_budget(connection, budget_id, None)
        webhook = current.webhook
        if webhook is None or webhook.previous_secret_encrypted is None:
            return nothing_changed(None)
        await store.store_webhook(
            connection,
            current.id,
            url=webhook.url,
            secret=webhook.secret_encrypted,
            disabled_at=webhook.disabled_at,
        )
        shown = shown_budget(current)
        changes = updated(shown, shown, replaced=["webhook"])
        return Change(None, [budget_changed(ChangeKind.UPDATED, current)], changes)

    await services.change("rotateBudgetWebhookSecret", forget)


def moves_webhook(present: BudgetWebhookRow | None, url: str | None) -> bool:
    """Whether giving this URL changes anything: the same one enables a disabled webhook."""
    if present is None:
        return url is not None
    return url != present.url or present.disabled_at is not None


async def move_webhook(
    services: Services, connection: Connection, budget: BudgetRow, url: str | None
) -> str | None:
    """Send what comes to this URL, with the secret that stands; or a new one, which is returned."""
    present = budget.webhook
    if url is None:
        await store.store_webhook(connection, budget.id, url=None, secret=None)
        await deliveries.fail_pending(connection, budget.id, error=REMOVED)
        return None
    if present is None:
        return await store_new_webhook(services, connection, budget.id, url)
    await store.store_webhook(
        connection,
        budget.id,
        url=url,
        secret=present.secret_encrypted,
        previous=present.previous_secret_encrypted,
        previous_until=present.previous_secret_until,
    )
    return None


async def store_new_webhook(
    services: Services, connection: Connection, budget_id: int, url: str
) -> str:
    """Send what comes to this URL, with a new secret, which is returned."""
    secret = generate_secret()
    sealed = seal_secret(services.secrets, secret, budget_id=budget_id)
    await store.store_webhook(connection, budget_id, url=url, secret=sealed)
    return secret
