"""The circuits of all models and providers, and the permits of requests to go through them.

A request needs its provider's circuit and its model's. A provider's opens where its key or its
credit is refused, a model's where its attempts fail. Touched by the event loop's thread only; state
is this process's own.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from trunkline.failover.backoff import LONGEST_WAIT_SECONDS
from trunkline.failover.circuits import Circuit, CircuitState
from trunkline.failover.classes import AttemptFailure, FailureClass
from trunkline.failover.recent import Recent, RecentAttempts

_PROVES_IT_WORKS = frozenset({FailureClass.REJECTED, FailureClass.INVALID, FailureClass.TOO_LONG})


class CircuitOf(StrEnum):
    """What a circuit is of."""

    MODEL = "MODEL"
    PROVIDER = "PROVIDER"


@dataclass(frozen=True, slots=True)
class CircuitChange:
    """A circuit opened, closed or let a probe through; `id` is the model's or provider's."""

    of: CircuitOf
    id: int
    state: CircuitState


@dataclass(frozen=True, slots=True)
class Health:
    """How a model does just now. `opens_again_in` is in seconds, None while it is closed."""

    state: CircuitState
    opens_again_in: float | None
    opened_by: FailureClass | None
    recent: RecentAttempts


class Breakers:
    """`on_change` is told of each change of state, after it."""

    def __init__(
        self,
        timer: Callable[[], float],
        on_change: Callable[[CircuitChange], None] = lambda _: None,
    ) -> None:
        self._timer = timer
        self._on_change = on_change
        # Those of models and providers that were ever tried: as many as are configured at most.
        self._circuits: dict[tuple[CircuitOf, int], Circuit] = {}
        # Attempts of all of a provider's models together.
        self._traffic: dict[int, Recent] = {}
        # How often any was reset, and when in that count each was for the last time.
        self.resets = 0
        self._reset_at: dict[tuple[CircuitOf, int], int] = {}

    def admit(self, model_id: int, provider_id: int, *, forced: bool = False) -> "Permit | None":
        """Leave to try this model now, or None: it is open. Whoever gets a permit ends it.

        `forced` is for who has no other way: a probe before its time.
        """
        now = self._timer()
        probes = []
        for of, one in ((CircuitOf.PROVIDER, provider_id), (CircuitOf.MODEL, model_id)):
            circuit = self._circuits.get((of, one))
            if circuit is None or circuit.state is CircuitState.CLOSED:
                continue
            if not circuit.admits(now) and not (forced and circuit.may_be_forced(now)):
                return None
            probes.append((of, one))
        for key in probes:
            with_probe = self._circuits[key]
            with_probe.begin_probe(now)
            self._on_change(CircuitChange(*key, with_probe.state))
        return Permit(self, model_id, provider_id, frozenset(probes))

    def wait_seconds(self, model_id: int, provider_id: int) -> float:
        """How long until both circuits would let a probe through; 0 where they do."""
        now = self._timer()
        found = [
            circuit.probe_at - now
            for key in self._keys(model_id, provider_id)
            if (circuit := self._circuits.get(key)) is not None and circuit.probe_at is not None
        ]
        return max([0.0, *found])

    def opened_by(self, model_id: int, provider_id: int) -> FailureClass | None:
        """The class that opened the one that is open, the provider's first."""
        for key in self._keys(model_id, provider_id):
            circuit = self._circuits.get(key)
            if circuit is not None and circuit.opened_by is not None:
                return circuit.opened_by
        return None

    def health(self, of: CircuitOf, one: int) -> Health:
        """What is shown of a model or a provider."""
        now = self._timer()
        circuit = self._circuits.get((of, one))
        if circuit is None:
            return Health(CircuitState.CLOSED, None, None, RecentAttempts(0, 0, None, None))
        wait = None if circuit.probe_at is None else max(0.0, circuit.probe_at - now)
        return Health(circuit.state, wait, circuit.opened_by, circuit.recent.summary(now))

    def states(self) -> Iterable[tuple[CircuitOf, int, CircuitState]]:
        """Where each circuit stands that was ever needed."""
        for (of, one), circuit in self._circuits.items():
            yield of, one, circuit.state

    def traffic(self, provider_id: int) -> tuple[int, int]:
        """Attempts at a provider in the last thirty seconds, and how many of them failed."""
        recent = self._traffic.get(provider_id)
        return (0, 0) if recent is None else recent.counts(self._timer())

    def asked_providers(self) -> Collection[int]:
        """Those that were ever asked, or whose circuit is open."""
        return self._traffic.keys()

    def note_traffic(self, provider_id: int, *, succeeded: bool) -> None:
        """An attempt at a provider went well or not."""
        recent = self._traffic.get(provider_id)
        if recent is None:
            recent = self._traffic[provider_id] = Recent()
        recent.note(self._timer(), failed=not succeeded)

    def reset(self, of: CircuitOf, one: int) -> None:
        """Close it: its configuration changed, or a test of its connection succeeded. Attempts that
        are under way began before that, and say nothing of it any more.
        """
        self.resets += 1
        self._reset_at[of, one] = self.resets
        circuit = self._circuits.get((of, one))
        if circuit is not None:
            self._changed((of, one), circuit.close)

    def forget(self, of: CircuitOf, one: int) -> None:
        """It was deleted."""
        self._circuits.pop((of, one), None)
        self._reset_at.pop((of, one), None)
        if of is CircuitOf.PROVIDER:
            self._traffic.pop(one, None)

    def was_reset_since(self, key: tuple[CircuitOf, int], resets: int) -> bool:
        """Whether it was reset since there had been so many resets in all."""
        return self._reset_at.get(key, 0) > resets

    def note(self, key: tuple[CircuitOf, int], change: Callable[[Circuit, float], None]) -> None:
        """Change a circuit, and tell of it where its state is another by then."""
        circuit = self._circuits.setdefault(key, Circuit())
        now = self._timer()
        self._changed(key, lambda: change(circuit, now))

    def _changed(self, key: tuple[CircuitOf, int], change: Callable[[], None]) -> None:
        circuit = self._circuits[key]
        before = circuit.state
        change()
        if circuit.state is not before:
            self._on_change(CircuitChange(*key, circuit.state))

    @staticmethod
    def _keys(model_id: int, provider_id: int) -> tuple[tuple[CircuitOf, int], ...]:
        return (CircuitOf.PROVIDER, provider_id), (CircuitOf.MODEL, model_id)


class Permit:
    """One attempt's leave. Tell how it went, then `end` it; ended with nothing told, it was
    cancelled, and frees the place of a probe.
    """

    __slots__ = ("_breakers", "_model", "_probes", "_provider", "_resets")

    def __init__(
        self,
        breakers: Breakers,
        model_id: int,
        provider_id: int,
        probes: frozenset[tuple[CircuitOf, int]],
    ) -> None:
        self._breakers = breakers
        self._model = (CircuitOf.MODEL, model_id)
        self._provider = (CircuitOf.PROVIDER, provider_id)
        self._probes = probes
        self._resets = breakers.resets

    def succeeded(self, latency_ms: float) -> None:
        """The first token came, or a whole answer."""
        self._breakers.note_traffic(self._provider[1], succeeded=True)
        self._works(latency_ms)

    def failed(self, failure: AttemptFailure) -> None:
        """The attempt failed, before its first token or after it."""
        kind = failure.failure_class
        self._breakers.note_traffic(self._provider[1], succeeded=kind in _PROVES_IT_WORKS)
        if kind in _PROVES_IT_WORKS:
            self._works(None)
        elif kind is FailureClass.UNAVAILABLE:
            self._unavailable(failure.scope)
        else:
            asked = failure.wait_seconds
            longer = asked if asked is not None and asked > LONGEST_WAIT_SECONDS else None
            for key in self._concerned():
                if self._is_late_for(key):
                    continue
                probe = key in self._probes

                def fail(circuit: Circuit, now: float, *, probe: bool = probe) -> None:
                    circuit.failed(now, kind, longer, probe=probe)

                self._breakers.note(key, fail)
            self._probes = frozenset()

    def end(self) -> None:
        """It is over."""
        for key in self._probes:
            if not self._is_late_for(key):
                self._breakers.note(key, lambda circuit, _now: circuit.end_probe())
        self._probes = frozenset()

    def _unavailable(self, scope: str) -> None:
        # Of a step alone it says nothing of others that use the model.
        if scope == "step":
            return
        key = self._provider if scope == "provider" else self._model
        if self._is_late_for(key):
            return
        probe = key in self._probes
        self._breakers.note(key, lambda circuit, now: circuit.unavailable(now, probe=probe))
        self._probes -= {key}
        if scope == "model" and self._provider in self._probes:
            # It knows its models, so it lets us in.
            let_in = not self._is_late_for(self._provider)
            self._breakers.note(
                self._provider, lambda circuit, now: circuit.works(now, None, probe=let_in)
            )
            self._probes -= {self._provider}

    def _works(self, latency_ms: float | None) -> None:
        for key in self._concerned():
            probe = key in self._probes and not self._is_late_for(key)

            def work(circuit: Circuit, now: float, *, probe: bool = probe) -> None:
                circuit.works(now, latency_ms, probe=probe)

            self._breakers.note(key, work)
        self._probes = frozenset()

    def _is_late_for(self, key: tuple[CircuitOf, int]) -> bool:
        """Whether the circuit was reset since: it is another configuration's now."""
        return self._breakers.was_reset_since(key, self._resets)

    def _concerned(self) -> tuple[tuple[CircuitOf, int], ...]:
        """The model's circuit, and what else is being probed."""
        return (self._model, *(self._probes - {self._model}))
