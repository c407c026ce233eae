"""Places at a provider: how many requests it gets at a time, and who waits for one, in order.

A place that is given back goes to whoever has waited longest. Touched by the event loop's thread
only; state is this process's own.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from trunkline.failover.watchdog import CallLater

DEFAULT_RUNNING = 256
DEFAULT_WAITING = 1_024


@dataclass(slots=True)
class _Provider:
    running: int = 0
    waiting: "deque[asyncio.Future[bool]]" = field(default_factory=deque)


class Slots:
    """At most `most_running` requests a provider at a time, and `most_waiting` that wait."""

    def __init__(
        self, most_running: int = DEFAULT_RUNNING, most_waiting: int = DEFAULT_WAITING
    ) -> None:
        self.most_running = most_running
        self.most_waiting = most_waiting
        # Those that were ever asked: as many as are configured at most.
        self._providers: dict[int, _Provider] = {}

    def take(self, provider_id: int) -> bool:
        """Take a place at once, where one is free and nobody waits for it."""
        provider = self._providers.setdefault(provider_id, _Provider())
        if provider.running >= self.most_running or provider.waiting:
            return False
        provider.running += 1
        return True

    async def wait(self, provider_id: int, seconds: float, call_later: CallLater) -> bool:
        """Wait for a place for at most so long. False where too many wait already, or it took too
        long.
        """
        provider = self._providers.setdefault(provider_id, _Provider())
        if len(provider.waiting) >= self.most_waiting or seconds <= 0:
            return False
        place: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        provider.waiting.append(place)
        timer = call_later(seconds, lambda: _expire(place))
        try:
            return await place
        except asyncio.CancelledError:
            if not place.cancelled() and place.result():
                # Given a place in the moment in which the caller left.
                self.give_back(provider_id)
            raise
        finally:
            timer.cancel()
            if place in provider.waiting:
                provider.waiting.remove(place)

    def give_back(self, provider_id: int) -> None:
        """A request has ended: its place goes to the next who waits."""
        provider = self._providers[provider_id]
        while provider.waiting:
            place = provider.waiting.popleft()
            if not place.done():
                place.set_result(True)
                return
        provider.running -= 1

    def forget(self, provider_id: int) -> None:
        """It was deleted. Where requests are still with it, it stays: they give their places
        back.
        """
        if self.depth(provider_id) == (0, 0):
            self._providers.pop(provider_id, None)

    def depth(self, provider_id: int) -> tuple[int, int]:
        """How many requests run there, and how many wait."""
        provider = self._providers.get(provider_id)
        return (0, 0) if provider is None else (provider.running, len(provider.waiting))

    def depths(self) -> Iterable[tuple[int, int, int]]:
        """Each provider that was ever asked, how many requests run there, and how many wait."""
        for provider_id, provider in self._providers.items():
            yield provider_id, provider.running, len(provider.waiting)


def _expire(place: "asyncio.Future[bool]") -> None:
    if not place.done():
        place.set_result(False)
