"""How a provider does, by its last test and by the live requests of this process.

Live requests say the most, and so they go first: of the last thirty seconds all, some or none may
have failed. A change is told as a change of the provider.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from db.provider_rows import ProviderRow
from db.providers import load_providers
from db.vocabulary import ChangeKind, ProviderStatus
from trunkline.events import ProviderChanged
from trunkline.failover.breakers import Breakers, CircuitOf
from trunkline.failover.circuits import CircuitState
from trunkline.services import Services

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
_NOT_IN_USE = frozenset({ProviderStatus.DISABLED, ProviderStatus.UNCONFIGURED})

Sleep = Callable[[float], Awaitable[None]]


def status_of(services: Services, provider: ProviderRow) -> ProviderStatus:
    """What is known of its health."""
    if provider.status in _NOT_IN_USE:
        return provider.status
    return _live(services.gateway.breakers, provider.id) or provider.status


class StatusWatch:
    """Tells of providers whose live requests go otherwise than before. Run it for good."""

    def __init__(self, services: Services, *, sleep: Sleep = asyncio.sleep) -> None:
        self._services = services
        self._sleep = sleep
        # Of the providers that had requests; none where they say nothing any more.
        self._known: dict[int, ProviderStatus] = {}

    async def run(self) -> None:
        """Look each second, until cancelled."""
        while True:
            await self._sleep(LOOK_SECONDS)
            try:
                await self.look()
            except Exception:  # It outlives the store's bad moments.
                log.exception("the status of providers could not be told")

    async def look(self) -> None:
        """Tell of what is otherwise than at the last look."""
        breakers = self._services.gateway.breakers
        found = {
            one: live
            for one in breakers.asked_providers()
            if (live := _live(breakers, one)) is not None
        }
        changed = sorted(
            one
            for one in found.keys() | self._known.keys()
            if found.get(one) is not self._known.get(one)
        )
        if changed:
            async with self._services.database.read() as connection:
                providers = await load_providers(connection, changed)
            self._services.events.publish(
                *(
                    ProviderChanged(ChangeKind.UPDATED, provider.id, provider.slug)
                    for provider in providers.values()
                )
            )
        self._known = found


def _live(breakers: Breakers, provider_id: int) -> ProviderStatus | None:
    """What live requests say; None where there were none."""
    if breakers.health(CircuitOf.PROVIDER, provider_id).state is not CircuitState.CLOSED:
        return ProviderStatus.FAILING
    attempts, failures = breakers.traffic(provider_id)
    if not attempts:
        return None
    if not failures:
        return ProviderStatus.CONNECTED
    return ProviderStatus.FAILING if failures == attempts else ProviderStatus.DEGRADED
