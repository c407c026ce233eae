"""How a model's recent attempts went: their success and their latency, in bounded memory."""

from collections import deque
from dataclasses import dataclass

WINDOW_SECONDS = 30
MOST_LATENCIES = 200
"""The newest count for the percentiles."""


@dataclass(frozen=True, slots=True)
class RecentAttempts:
    """Of the last thirty seconds; latencies are those of the newest 200 that succeeded, in ms."""

    attempts: int
    failures: int
    latency_p50_ms: float | None
    latency_p95_ms: float | None

    @property
    def success_share(self) -> float | None:
        """From 0 to 1; None where nothing was tried."""
        return None if not self.attempts else 1 - self.failures / self.attempts


class Recent:
    """Counts by second, so that a thousand attempts a second take no more than one."""

    __slots__ = ("_latencies", "_seconds")

    def __init__(self) -> None:
        # Second, attempts and failures in it; oldest first.
        self._seconds: deque[list[int]] = deque()
        self._latencies: deque[float] = deque(maxlen=MOST_LATENCIES)

    def succeeded(self, now: float, latency_ms: float) -> None:
        """Note a success. `now` is in seconds, by a clock that never goes back."""
        self._second(now)[1] += 1
        self._latencies.append(latency_ms)

    def failed(self, now: float) -> None:
        """Note a failure."""
        second = self._second(now)
        second[1] += 1
        second[2] += 1

    def note(self, now: float, *, failed: bool) -> None:
        """Note an attempt whose latency is nobody's concern."""
        second = self._second(now)
        second[1] += 1
        second[2] += failed

    def counts(self, now: float) -> tuple[int, int]:
        """Attempts and failures of the last thirty seconds."""
        self._forget(now)
        return sum(one[1] for one in self._seconds), sum(one[2] for one in self._seconds)

    def clear(self) -> None:
        """Forget all attempts; latencies stay, as they are shown and decide nothing."""
        self._seconds.clear()

    def summary(self, now: float) -> RecentAttempts:
        """What is shown of them."""
        attempts, failures = self.counts(now)
        ranked = sorted(self._latencies)
        return RecentAttempts(attempts, failures, _rank(ranked, 0.5), _rank(ranked, 0.95))

    def _second(self, now: float) -> list[int]:
        self._forget(now)
        whole = int(now)
        if not self._seconds or self._seconds[-1][0] != whole:
            self._seconds.append([whole, 0, 0])
        return self._seconds[-1]

    def _forget(self, now: float) -> None:
        while self._seconds and self._seconds[0][0] <= now - WINDOW_SECONDS:
            self._seconds.popleft()


def _rank(ranked: list[float], share: float) -> float | None:
    """The nearest rank: the smallest that so many of them don't exceed."""
    if not ranked:
        return None
    return ranked[min(len(ranked) - 1, max(0, -int(-share * len(ranked) // 1) - 1))]
