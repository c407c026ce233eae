"""Webhook secrets at rest: sealed like API keys, for one budget and this use only."""

from datetime import datetime

from db.budgets import BudgetWebhookRow
from trunkline.secrets import Secrets, SecretUnreadable

# Where an API key names the origin that it is for, a webhook secret names its use: no origin has a
# space, so neither ever opens as the other.
_USE = "budget webhook"


def seal_secret(secrets: Secrets, secret: str, *, budget_id: int) -> bytes:
    """Encrypt a webhook's secret."""
    return secrets.seal(secret, provider_id=budget_id, origin=_USE)


def signing_secrets(secrets: Secrets, webhook: BudgetWebhookRow, now: datetime) -> list[str]:
    """The secrets that sign now: the present one, and for a while the one before.

    Raises `SecretUnreadable`.
    """
    sealed = [webhook.secret_encrypted]
    until = webhook.previous_secret_until
    if webhook.previous_secret_encrypted is not None and until is not None and now < until:
        sealed.append(webhook.previous_secret_encrypted)
    try:
        return [secrets.open(one, provider_id=webhook.budget_id, origin=_USE) for one in sealed]
    except SecretUnreadable as error:
        raise SecretUnreadable(
            "the webhook's secret can't be read with the secret keys given: restore "
            "TRUNKLINE_SECRET_KEYS, or rotate the webhook's secret"
        ) from error
