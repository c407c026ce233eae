"""Webhook secrets at rest: sealed like API keys, for one budget and this use only."""

from contextlib import suppress
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

    Raises `SecretUnreadable` where the present one can't be read; the one before is left out then.
    """
    budget_id = webhook.budget_id
    try:
        signing = [secrets.open(webhook.secret_encrypted, provider_id=budget_id, origin=_USE)]
    except SecretUnreadable as error:
        raise SecretUnreadable(
            "the webhook's secret can't be read with the secret keys given: restore "
            "TRUNKLINE_SECRET_KEYS, or rotate the webhook's secret"
        ) from error
    former = webhook.previous_secret_encrypted
    until = webhook.previous_secret_until
    if former is not None and until is not None and now < until:
        # A secret that was rotated because it could not be read must not stop its successor.
        with suppress(SecretUnreadable):
            signing.append(secrets.open(former, provider_id=budget_id, origin=_USE))
    return signing


def readable_secret(secrets: Secrets, webhook: BudgetWebhookRow) -> bytes | None:
    """The sealed present secret, or None where it can't be read: then it is not kept."""
    return webhook.secret_encrypted if secrets.opens(webhook.secret_encrypted) else None
