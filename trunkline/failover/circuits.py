"""One circuit breaker: closed while attempts go well, open while they don't.

It opens after five failures in a row, or when half of at least ten attempts in thirty seconds
failed. Ten seconds later one request goes through as a probe, then one every twenty seconds at
most. What shows that the provider works closes it. Times are seconds of a clock that never goes
back; nothing here waits or is touched by two threads.
"""

from enum import StrEnum

from trunkline.failover.classes import FailureClass
from trunkline.failover.recent import Recent

FAILURES_IN_A_ROW = 5
LEAST_ATTEMPTS = 10
FAILED_SHARE = 0.5
FIRST_PROBE_SECONDS = 10.0
NEXT_PROBE_SECONDS = 20.0
LONGEST_OPEN_SECONDS = 300.0
"""However long a provider asks to wait."""
UNAVAILABLE_SECONDS = 60.0
FORCED_PROBE_SECONDS = 1.0
"""Between two probes that are made because everything else is open too."""

_COUNTED = frozenset({FailureClass.TRANSIENT, FailureClass.TIMEOUT, FailureClass.RATE_LIMITED})


class CircuitState(StrEnum):
    """Where a circuit stands."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"
    """A probe is under way."""


class Circuit:
    """Of one model, or of one provider."""

    __slots__ = ("_in_a_row", "_probed_at", "_probing", "opened_by", "probe_at", "recent")

    def __init__(self) -> None:
        self.recent = Recent()
        # When the next probe may go through; None: closed.
        self.probe_at: float | None = None
        self.opened_by: FailureClass | None = None
        self._in_a_row = 0
        self._probing = False
        self._probed_at = -NEXT_PROBE_SECONDS

    @property
    def state(self) -> CircuitState:
        """Where it stands."""
        if self.probe_at is None:
            return CircuitState.CLOSED
        return CircuitState.HALF_OPEN if self._probing else CircuitState.OPEN

    def admits(self, now: float) -> bool:
        """Whether a request may go through: any while closed, a probe when it is time for one."""
        return self.probe_at is None or (not self._probing and now >= self.probe_at)

    def may_be_forced(self, now: float) -> bool:
        """Whether a probe may go through before its time, as every other way is open too."""
        return not self._probing and now >= self._probed_at + FORCED_PROBE_SECONDS

    def begin_probe(self, now: float) -> None:
        """Let one request through an open circuit."""
        self._probing = True
        self._probed_at = now

    def end_probe(self) -> None:
        """It came to nothing, as its caller left: another may probe."""
        self._probing = False

    def close(self) -> None:
        """It works, or its configuration is another by now."""
        self.probe_at = None
        self.opened_by = None
        self._probing = False
        self._in_a_row = 0
        self.recent.clear()

    def works(self, now: float, latency_ms: float | None, *, probe: bool) -> None:
        """An attempt showed that it works; with a latency, by a first token or a whole answer.

        Only a probe closes it: what else ends while it is open began before.
        """
        if probe:
            self.close()
        elif self.probe_at is None:
            self._in_a_row = 0
        if latency_ms is not None:
            self.recent.succeeded(now, latency_ms)

    def failed(
        self, now: float, failure_class: FailureClass, asked: float | None, *, probe: bool
    ) -> None:
        """An attempt failed; `asked` is for how many seconds the provider asked to wait, where that
        is longer than anybody waits for it. `probe` says whether it was let through to find out.
        """
        if failure_class not in _COUNTED:
            return
        self.recent.failed(now)
        self._in_a_row += 1
        if asked is not None:
            self._open(now, failure_class, min(asked, LONGEST_OPEN_SECONDS), probe=probe)
        elif probe:
            self._open(now, failure_class, NEXT_PROBE_SECONDS, probe=True)
        elif self.probe_at is None and self._is_too_much(now):
            self._open(now, failure_class, FIRST_PROBE_SECONDS, probe=False)

    def unavailable(self, now: float, *, probe: bool) -> None:
        """A key, a model or credit is missing: nobody need ask again for a minute."""
        self._open(now, FailureClass.UNAVAILABLE, UNAVAILABLE_SECONDS, probe=probe)

    def _is_too_much(self, now: float) -> bool:
        if self._in_a_row >= FAILURES_IN_A_ROW:
            return True
        attempts, failures = self.recent.counts(now)
        return attempts >= LEAST_ATTEMPTS and failures >= attempts * FAILED_SHARE

    def _open(
        self, now: float, failure_class: FailureClass, seconds: float, *, probe: bool
    ) -> None:
        # What began before it opened may end now, and shortens nothing.
        if not probe and self.probe_at is not None:
            self.probe_at = max(self.probe_at, now + seconds)
            return
        self.probe_at = now + seconds
        self.opened_by = failure_class
        if probe:
            self._probing = False
