"""Closes circuits that stand open for a configuration that is no more.

A provider that refused its key is asked again as soon as its configuration changes or a test of its
connection succeeds, here or at another server; and so are its models, and one that is changed
itself. What is deleted is forgotten.
"""

from collections.abc import Mapping
from datetime import datetime

import structlog

from db import models as stored_models
from db import providers as stored_providers
from db.model_standings import model_standings
from db.provider_rows import ProviderRow
from db.vocabulary import ChangeKind
from trunkline.events import Missed, ModelChanged, ProviderChanged
from trunkline.failover.breakers import CircuitOf
from trunkline.services import Services

log = structlog.get_logger(__name__)

_Standing = tuple[int, datetime | None]
"""A provider's version, and when its last test was where that succeeded."""


class Recovery:
    """Run it for good."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._breakers = services.gateway.breakers
        self._slots = services.gateway.means.slots
        # Of the providers that were looked at, and of all models at the last look at all.
        self._standings: dict[int, _Standing] = {}
        self._models: Mapping[int, tuple[int, bool]] = {}

    async def run(self) -> None:
        """Look whenever providers or models change, until cancelled."""
        with self._services.events.subscribe(ProviderChanged, ModelChanged) as changes:
            try:
                await self._note_all()
            except Exception:  # Nothing is noted then, and each is looked at when it changes.
                log.exception("circuits could not be looked after")
            async for event in changes:
                try:
                    match event:
                        case Missed():
                            await self.look_at_all()
                        case ProviderChanged():
                            await self.look_at(event.id)
                        case ModelChanged(kind=ChangeKind.DELETED):
                            self._breakers.forget(CircuitOf.MODEL, event.id)
                        case ModelChanged():
                            self._breakers.reset(CircuitOf.MODEL, event.id)
                except Exception:  # It outlives the store's bad moments.
                    log.exception("circuits could not be looked after")

    async def look_at(self, provider_id: int) -> None:
        """Close the circuits of a provider that was changed or found to work."""
        async with self._services.database.read() as connection:
            provider = await stored_providers.find_provider(connection, provider_id)
            models = await stored_models.models_of_provider(connection, provider_id)
        if provider is None:
            self._standings.pop(provider_id, None)
            self._breakers.forget(CircuitOf.PROVIDER, provider_id)
            # Its models went with it, and nobody tells of each.
            await self._forget_deleted()
            return
        standing = _standing(provider)
        before = self._standings.get(provider_id)
        self._standings[provider_id] = standing
        if standing == before or (
            before is not None and standing[1] is None and standing[0] == before[0]
        ):
            return
        self._breakers.reset(CircuitOf.PROVIDER, provider_id)
        for model in models.values():
            self._breakers.reset(CircuitOf.MODEL, model.id)

    async def look_at_all(self) -> None:
        """Look at each provider, also at those that were there before, and at each model."""
        async with self._services.database.read() as connection:
            providers = await stored_providers.all_providers(connection)
            models = await model_standings(connection)
        before, self._models = self._models, models
        for model_id, standing in models.items():
            if before.get(model_id) != standing:
                self._breakers.reset(CircuitOf.MODEL, model_id)
        for provider_id in sorted({*self._standings, *(provider.id for provider in providers)}):
            await self.look_at(provider_id)
        await self._forget_deleted()

    async def _forget_deleted(self) -> None:
        """Also what was deleted before: an attempt that was under way then has left something."""
        tried: dict[CircuitOf, set[int]] = {of: set() for of in CircuitOf}
        for of, one, _ in self._breakers.states():
            tried[of].add(one)
        models, providers = tried[CircuitOf.MODEL], tried[CircuitOf.PROVIDER]
        providers.update(self._breakers.asked_providers())
        providers.update(provider_id for provider_id, _, _ in self._slots.depths())
        async with self._services.database.read() as connection:
            living_models = await stored_models.load_models(connection, sorted(models))
            living_providers = await stored_providers.load_providers(connection, sorted(providers))
        for model_id in models - living_models.keys():
            self._breakers.forget(CircuitOf.MODEL, model_id)
        for provider_id in providers - living_providers.keys():
            self._breakers.forget(CircuitOf.PROVIDER, provider_id)
            self._slots.forget(provider_id)

    async def _note_all(self) -> None:
        async with self._services.database.read() as connection:
            providers = await stored_providers.all_providers(connection)
            self._models = await model_standings(connection)
        self._standings = {provider.id: _standing(provider) for provider in providers}


def _standing(provider: ProviderRow) -> _Standing:
    test = provider.last_connection_test
    return provider.version, test.tested_at if test is not None and test.ok else None
