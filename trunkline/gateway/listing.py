"""The names that the gateway may be asked for: chains first, then models, each by name."""

from dataclasses import dataclass
from datetime import datetime

from db.gateway_names import usable_names
from trunkline.access.allowed import Access
from trunkline.gateway.resolving import CHAIN_PREFIX
from trunkline.services import Services

_OWNER = "trunkline"


@dataclass(frozen=True, slots=True)
class Listed:
    """A chain or a model: what to ask for, what people call it, and whose it is."""

    name: str
    title: str
    owner: str
    created_at: datetime


async def list_names(services: Services, access: Access) -> list[Listed]:
    """Enabled chains, and the enabled models of providers that can be used, the deprecated left
    out, as far as they may be asked for.
    """
    async with services.database.read() as connection:
        found = await usable_names(connection)
    return [
        Listed(CHAIN_PREFIX + one.name, one.title, _OWNER, one.created_at)
        if one.provider_slug is None
        else Listed(f"{one.provider_slug}/{one.name}", one.title, one.provider_slug, one.created_at)
        for one in found
        if access.may_ask(one.chain_id)
    ]
