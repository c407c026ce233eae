"""Removes what no secret key opens, for an operator who has lost a key for good.

Keys and headers are removed; a webhook keeps its URL and gets a new secret, so that no alert is
lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from db.sealed import SealedKind, SealedValue, sealed_values
from trunkline.budgets.webhook_changes import forget_former_webhook_secret, rotate_webhook_secret
from trunkline.providers.changes import remove_provider_api_key, update_provider
from trunkline.providers.inputs import ProviderUpdate
from trunkline.services import Services


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was removed, and the new secret where a webhook got one."""

    value: SealedValue
    webhook_secret: str | None = field(default=None, repr=False)


async def forget_unreadable(services: Services) -> Sequence[Forgotten]:
    """Remove each value that can't be read, by the use case that an operator would have called."""
    async with services.database.read() as connection:
        values = await sealed_values(connection)
    unreadable = [value for value in values if not services.secrets.opens(value.sealed)]
    return [Forgotten(value, await _forget(services, value)) for value in unreadable]


async def _forget(services: Services, value: SealedValue) -> str | None:
    match value.kind:
        case SealedKind.API_KEY:
            await remove_provider_api_key(services, value.row_id, None)
        case SealedKind.EXTRA_HEADERS:
            await update_provider(services, ProviderUpdate(id=value.row_id, extra_headers=[]))
        case SealedKind.WEBHOOK_SECRET:
            return (await rotate_webhook_secret(services, value.row_id, None)).webhook_secret
        case SealedKind.FORMER_WEBHOOK_SECRET:
            await forget_former_webhook_secret(services, value.row_id)
    return None
