"""Labels that stay few: the first to be seen keep their names, the rest share one.

A series that Prometheus knows must not change its meaning, so whoever got a label keeps it until
the process ends.
"""

import asyncio
from collections.abc import Iterable, Iterator
from typing import TypeVar

from db.engine import Database
from db.providers import provider_slugs
from server.traffic import OTHER
from trunkline.events import EventBus, ProviderChanged

V = TypeVar("V")

MOST_LABELS = 200
"""Of one kind."""
_PATIENCE_SECONDS = 2.0
"""For names, while the database is slow or away: the numbers matter more."""


class FewLabels:
    """Gives out at most `most` labels."""

    def __init__(self, most: int = MOST_LABELS) -> None:
        self._most = most
        self._given: set[str] = set()

    def label(self, name: str) -> str:
        """The name itself, or `other` for those that come too late."""
        if name not in self._given:
            if len(self._given) >= self._most:
                return OTHER
            self._given.add(name)
        return name


class ProviderLabels:
    """The slugs of providers, by id. A deleted provider keeps its own."""

    def __init__(self, database: Database, events: EventBus) -> None:
        self._database = database
        self._slugs: dict[int, str] = {}
        self._few = FewLabels()
        self._stale = True
        events.call(self._expire, ProviderChanged)

    async def refresh(self) -> None:
        """Read the slugs, where providers may have changed. Never raises: those known stay."""
        if not self._stale:
            return
        # Before reading: what changes from here on is read by the next.
        self._stale = False
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                async with self._database.read() as connection:
                    self._slugs.update(await provider_slugs(connection))
        except Exception:  # noqa: BLE001  # however the store fails, the other numbers are shown
            self._stale = True

    def labelled(self, values: Iterable[tuple[int, V]]) -> Iterator[tuple[str, V]]:
        """The same by the providers' slugs, or `other`. Those whose slugs could not be read yet are
        left out: under another name their counters would seem to jump later.
        """
        for provider_id, value in values:
            slug = self._slugs.get(provider_id)
            if slug is None:
                self._stale = True
            else:
                yield self._few.label(slug), value

    def _expire(self) -> None:
        self._stale = True
