"""Circuit breakers: what opens them, who may probe, what closes them."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from trunkline.failover.breakers import Breakers, CircuitChange, CircuitOf, Permit
from trunkline.failover.circuits import CircuitState
from trunkline.failover.classes import AttemptFailure, FailureClass, Scope
from trunkline.failover.recent import MOST_LATENCIES, WINDOW_SECONDS, Recent

MODEL, PROVIDER = 1, 7
CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
TRANSIENT, LIMITED = FailureClass.TRANSIENT, FailureClass.RATE_LIMITED
COUNTED = (TRANSIENT, LIMITED, FailureClass.TIMEOUT)


class World:
    """Breakers on a clock that is set."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.told: list[tuple[CircuitOf, CircuitState]] = []
        self.breakers = Breakers(lambda: self.now, self._note)

    def _note(self, change: CircuitChange) -> None:
        self.told.append((change.of, change.state))

    def admit(self, *, forced: bool = False) -> Permit | None:
        return self.breakers.admit(MODEL, PROVIDER, forced=forced)

    def permit(self) -> Permit:
        found = self.admit()
        assert found is not None
        return found

    def fail(self, kind: FailureClass = TRANSIENT, asked: float | None = None) -> None:
        permit = self.permit()
        permit.failed(AttemptFailure(kind, 500, asked, "it failed"))
        permit.end()

    def unavailable(self, scope: str) -> None:
        permit = self.permit()
        permit.failed(
            AttemptFailure(
                FailureClass.UNAVAILABLE,
                401,
                None,
                "no",
                scope=scope,  # type: ignore[arg-type]  # one of them
            )
        )
        permit.end()

    def succeed(self) -> None:
        permit = self.permit()
        permit.succeeded(100.0)
        permit.end()

    def state(self, of: CircuitOf = CircuitOf.MODEL) -> CircuitState:
        return self.breakers.health(of, MODEL if of is CircuitOf.MODEL else PROVIDER).state


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("kind", COUNTED)
def test_five_failures_in_a_row_open_it(world: World, kind: FailureClass) -> None:
    for _ in range(4):
        world.fail(kind)
    assert world.state() is CLOSED
    world.fail(kind)
    assert world.state() is OPEN
    assert world.admit() is None
    assert world.breakers.opened_by(MODEL, PROVIDER) is kind
    assert world.breakers.wait_seconds(MODEL, PROVIDER) == 10
    assert world.state(CircuitOf.PROVIDER) is CLOSED
    # Another model of the same provider goes on.
    assert world.breakers.admit(MODEL + 1, PROVIDER) is not None


@pytest.mark.parametrize(
    "kind", [FailureClass.REJECTED, FailureClass.INVALID, FailureClass.TOO_LONG, None]
)
def test_what_shows_that_it_works_begins_the_count_anew(
    world: World, kind: FailureClass | None
) -> None:
    for _ in range(3):
        for _ in range(4):
            world.fail()
            world.now += WINDOW_SECONDS  # So that their share doesn't count.
        world.succeed() if kind is None else world.fail(kind)
    assert world.state() is CLOSED


def test_half_of_ten_within_thirty_seconds_open_it(world: World) -> None:
    for number in range(9):
        world.succeed() if number % 2 else world.fail()
    assert world.state() is CLOSED, "nine are too few"
    world.succeed()
    assert world.state() is CLOSED, "a success opens nothing"
    world.fail()
    assert world.state() is OPEN, "six of eleven"


def test_older_failures_don_t_count(world: World) -> None:
    for _ in range(4):
        world.fail()
    world.succeed()
    world.now += WINDOW_SECONDS + 1
    for _ in range(6):
        world.succeed()
    for _ in range(4):
        world.fail()
    assert world.state() is CLOSED, "four of ten"


def test_one_probe_after_ten_seconds_then_every_twenty(world: World) -> None:
    for _ in range(5):
        world.fail()
    world.now += 9.9
    assert world.admit() is None
    world.now += 0.1
    probe = world.permit()
    assert world.state() is HALF_OPEN
    assert world.admit() is None, "one at a time"
    probe.failed(AttemptFailure(TRANSIENT, 500, None, "still"))
    probe.end()
    assert world.state() is OPEN
    world.now += 19.9
    assert world.admit() is None
    world.now += 0.1
    world.succeed()
    assert world.state() is CLOSED
    assert world.told == [
        (CircuitOf.MODEL, state) for state in (OPEN, HALF_OPEN, OPEN, HALF_OPEN, CLOSED)
    ]
    # It begins with nothing held against it.
    for _ in range(4):
        world.fail()
    assert world.state() is CLOSED


@pytest.mark.parametrize(
    "kind", [FailureClass.REJECTED, FailureClass.INVALID, FailureClass.TOO_LONG]
)
def test_a_probe_that_is_answered_at_all_closes_it(world: World, kind: FailureClass) -> None:
    for _ in range(5):
        world.fail()
    world.now += 10
    world.fail(kind)
    assert world.state() is CLOSED


def test_a_probe_that_is_cancelled_frees_its_place(world: World) -> None:
    for _ in range(5):
        world.fail()
    world.now += 10
    world.permit().end()
    assert world.state() is OPEN
    world.succeed()
    assert world.state() is CLOSED


def test_what_began_before_it_opened_neither_closes_nor_shortens_it(world: World) -> None:
    early = [world.permit() for _ in range(3)]
    for _ in range(5):
        world.fail()
    world.now += 5
    early[0].succeeded(10.0)
    early[1].failed(AttemptFailure(TRANSIENT, 500, None, "late"))
    assert world.state() is OPEN
    assert world.breakers.wait_seconds(MODEL, PROVIDER) == 5
    world.now += 5
    probe = world.permit()
    early[2].failed(AttemptFailure(TRANSIENT, 500, None, "later"))
    assert world.state() is HALF_OPEN, "the probe keeps its place"
    probe.succeeded(1.0)
    assert world.state() is CLOSED


def test_a_wait_that_is_longer_than_ours_opens_it_until_then(world: World) -> None:
    world.fail(LIMITED, asked=5)
    assert world.state() is CLOSED
    world.fail(LIMITED, asked=42)
    assert world.state() is OPEN
    assert world.breakers.wait_seconds(MODEL, PROVIDER) == 42
    world.now += 42
    world.fail(LIMITED, asked=86_400)
    assert world.breakers.wait_seconds(MODEL, PROVIDER) == 300, "five minutes at most"


def test_a_bad_key_opens_the_provider_for_a_minute_or_until_it_is_mended(world: World) -> None:
    world.unavailable("provider")
    assert (world.state(), world.state(CircuitOf.PROVIDER)) == (CLOSED, OPEN)
    assert world.breakers.admit(MODEL + 1, PROVIDER) is None, "all of its models"
    assert world.breakers.admit(MODEL, PROVIDER + 1) is not None
    world.now += 60
    world.unavailable("provider")
    assert world.breakers.wait_seconds(MODEL, PROVIDER) == 60
    world.breakers.reset(CircuitOf.PROVIDER, PROVIDER)
    world.succeed()
    assert world.state(CircuitOf.PROVIDER) is CLOSED


@pytest.mark.parametrize("scope", ["provider", "model"])
def test_what_began_before_it_was_mended_says_nothing_of_it_after(
    world: World, scope: Scope
) -> None:
    of, one = (CircuitOf.PROVIDER, PROVIDER) if scope == "provider" else (CircuitOf.MODEL, MODEL)
    refused = AttemptFailure(FailureClass.UNAVAILABLE, 401, None, "no", scope=scope)
    early = world.permit()
    world.breakers.reset(of, one)
    early.failed(refused)
    early.end()
    assert world.breakers.health(of, one).state is CLOSED
    # So is a probe, and it leaves its successor's place alone.
    world.unavailable(scope)
    world.now += 60
    probe = world.permit()
    world.breakers.reset(of, one)
    world.unavailable(scope)
    world.now += 60
    second = world.permit()
    probe.failed(refused)
    probe.end()
    assert world.breakers.health(of, one).state is HALF_OPEN
    assert world.admit() is None
    second.succeeded(1.0)
    second.end()
    assert world.breakers.health(of, one).state is CLOSED


def test_failures_from_before_it_was_mended_do_not_add_up(world: World) -> None:
    early = [world.permit() for _ in range(9)]
    world.breakers.reset(CircuitOf.MODEL, MODEL)
    for permit in early:
        permit.failed(AttemptFailure(TRANSIENT, 503, 90.0, "it failed"))
        permit.end()
    assert world.breakers.health(CircuitOf.MODEL, MODEL).state is CLOSED
    for _ in range(4):
        world.fail()
    assert world.breakers.health(CircuitOf.MODEL, MODEL).state is CLOSED
    world.fail()
    assert world.breakers.health(CircuitOf.MODEL, MODEL).state is OPEN


def test_a_missing_model_opens_the_model_alone(world: World) -> None:
    world.unavailable("model")
    assert (world.state(), world.state(CircuitOf.PROVIDER)) == (OPEN, CLOSED)
    world.now += 60
    world.succeed()
    assert world.state() is CLOSED


def test_a_provider_that_knows_its_models_lets_us_in(world: World) -> None:
    world.unavailable("provider")
    world.now += 60
    world.unavailable("model")
    assert (world.state(), world.state(CircuitOf.PROVIDER)) == (OPEN, CLOSED)


def test_a_step_alone_says_nothing_of_others(world: World) -> None:
    for _ in range(20):
        world.unavailable("step")
    assert (world.state(), world.state(CircuitOf.PROVIDER)) == (CLOSED, CLOSED)


def test_where_all_is_open_one_request_a_second_may_probe(world: World) -> None:
    for _ in range(5):
        world.fail()
    forced = world.admit(forced=True)
    assert forced is not None
    assert world.admit(forced=True) is None
    forced.failed(AttemptFailure(TRANSIENT, 500, None, "still"))
    assert world.admit(forced=True) is None
    world.now += 1
    forced = world.admit(forced=True)
    assert forced is not None
    forced.succeeded(1.0)
    assert world.state() is CLOSED


def test_health_shows_shares_and_percentiles(world: World) -> None:
    for latency in range(1, 101):
        permit = world.permit()
        permit.succeeded(float(latency))
        permit.end()
    world.fail()
    recent = world.breakers.health(CircuitOf.MODEL, MODEL).recent
    assert recent.attempts == 101
    assert recent.success_share == pytest.approx(100 / 101)
    assert (recent.latency_p50_ms, recent.latency_p95_ms) == (50, 95)
    assert world.breakers.health(CircuitOf.MODEL, 99).recent.success_share is None
    world.breakers.forget(CircuitOf.MODEL, MODEL)
    assert world.breakers.health(CircuitOf.MODEL, MODEL).recent.attempts == 0


def test_memory_stays_however_many_are_tried() -> None:
    recent = Recent()
    for number in range(100_000):
        recent.succeeded(number / 1_000, 1.0)
    assert len(recent._seconds) <= WINDOW_SECONDS + 1
    assert len(recent._latencies) == MOST_LATENCIES
    # Whole seconds are forgotten at once, so a little less than all of them is seen.
    attempts, failures = recent.counts(99.999)
    assert (29_000 <= attempts <= 31_000, failures) == (True, 0)


@given(latencies=st.lists(st.integers(1, 1_000), min_size=1, max_size=MOST_LATENCIES))
def test_percentiles_are_of_the_nearest_rank(latencies: list[int]) -> None:
    recent = Recent()
    for latency in latencies:
        recent.succeeded(0.0, float(latency))
    ranked = sorted(latencies)
    summary = recent.summary(0.0)
    assert summary.latency_p50_ms == ranked[math.ceil(0.5 * len(ranked)) - 1]
    assert summary.latency_p95_ms == ranked[math.ceil(0.95 * len(ranked)) - 1]


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens: never two probes, never open without a cause, never open for good."""

    permits: Bundle[Permit] = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.probes: set[Permit] = set()
        self.failed = False

    @rule(target=permits, forced=st.booleans())
    def admit(self, forced: bool) -> Permit:
        half_open = self.world.state() is HALF_OPEN
        found = self.world.admit(forced=forced)
        if found is None:
            return self.idle()
        assert not half_open
        if self.world.state() is HALF_OPEN:
            self.probes.add(found)
        return found

    def idle(self) -> Permit:
        """A permit of other breakers, of which nothing is asked."""
        return World().permit()

    @rule(permit=consumes(permits), latency=st.floats(1, 1_000))
    def succeed(self, permit: Permit, latency: float) -> None:
        permit.succeeded(latency)
        self.close(permit)

    @rule(
        permit=consumes(permits),
        kind=st.sampled_from(COUNTED),
        asked=st.none() | st.floats(0, 10_000),
    )
    def fail(self, permit: Permit, kind: FailureClass, asked: float | None) -> None:
        self.failed = True
        permit.failed(AttemptFailure(kind, None, asked, "it failed"))
        self.close(permit)

    @rule(permit=consumes(permits))
    def cancel(self, permit: Permit) -> None:
        self.close(permit)

    @rule(seconds=st.floats(0, 60))
    def wait(self, seconds: float) -> None:
        self.world.now += seconds

    def close(self, permit: Permit) -> None:
        permit.end()
        self.probes.discard(permit)

    @invariant()
    def one_probe_at_most(self) -> None:
        assert len(self.probes) <= 1
        assert (self.world.state() is HALF_OPEN) == bool(self.probes)

    @invariant()
    def opens_with_a_cause(self) -> None:
        assert self.failed or self.world.state() is CLOSED

    @invariant()
    def lets_somebody_through_within_five_minutes(self) -> None:
        assert self.world.breakers.wait_seconds(MODEL, PROVIDER) <= 300 + 1e-6


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
