"""Running a chain: what is tried after which failure, and what the caller gets of it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

from db.vocabulary import Delivery
from tests.trunkline.failover.simulated_time import SimulatedTime
from trunkline.failover import held, running
from trunkline.failover.attempts import AttemptFailed, Piece, ResolvedStep, Skipped, StepSkipped
from trunkline.failover.breakers import Breakers, CircuitOf
from trunkline.failover.circuits import CircuitState
from trunkline.failover.classes import AttemptFailure, FailureClass
from trunkline.failover.held import HeldMemory
from trunkline.failover.means import Means
from trunkline.failover.outcomes import AnswerCut, ChainExhausted, RequestRefused, TooMuchHeld
from trunkline.failover.running import KEEP_ALIVE, ChainRun, Said

Failure = FailureClass
RETRIED = (Failure.TRANSIENT, Failure.RATE_LIMITED)
PASSED_BY = (Failure.TIMEOUT, Failure.TOO_LONG, Failure.UNAVAILABLE)
REFUSED = (Failure.REJECTED, Failure.INVALID)

Doing = str | float | AttemptFailure
"""A token, "~" for a sign of life, seconds that go by, or the failure that ends it."""


def fails(
    kind: FailureClass = Failure.TRANSIENT, asked: float | None = None, status: int | None = 500
) -> AttemptFailure:
    words = "their words" if kind in REFUSED else None
    return AttemptFailure(kind, status, asked, "it failed", words)


@dataclass
class World:
    """Providers that do as they are told, on a clock of their own."""

    time: SimulatedTime = field(default_factory=SimulatedTime)
    chance: float = 1.0
    # By model: what each attempt does, the last one for all that follow.
    scripts: dict[int, list[Sequence[Doing]]] = field(default_factory=dict)
    # Model and time of each attempt; then of each that was let go of before its end.
    seen: list[tuple[int, float]] = field(default_factory=list)
    let_go: list[tuple[int, float]] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)
    # Of each run.
    pieces: dict[ChainRun, Callable[[], AsyncGenerator[Said[str]]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.held = HeldMemory()
        self.breakers = Breakers(lambda: self.time.now)
        self.means = Means(
            breakers=self.breakers,
            held=self.held,
            now=lambda: self.time.now,
            clock=self.time.clock,
            sleep=self.time.sleep,
            chance=lambda: self.chance,
            call_later=self.time.call_later,
        )

    async def attempt(self, step: ResolvedStep, seconds: float) -> AsyncGenerator[Piece[str]]:
        self.seen.append((step.model_id, self.time.now))
        self.limits.append(seconds)
        scripts = self.scripts[step.model_id]
        script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
        ended = False
        try:
            for doing in script:
                if isinstance(doing, AttemptFailure):
                    ended = True
                    raise AttemptFailed(doing)
                if isinstance(doing, str):
                    yield Piece(doing, is_token=doing != "~", size=len(doing))
                else:
                    await self.time.sleep(doing)
            ended = True
        finally:
            if not ended:
                self.let_go.append((step.model_id, self.time.now))

    def run(self, *steps: ResolvedStep, **options: Any) -> ChainRun:
        delivery = options.pop("delivery", Delivery.STREAMED)
        made = ChainRun(steps, self.means, **options)
        self.pieces[made] = partial(made.pieces, self.attempt, delivery)
        return made

    async def answer(self, run: ChainRun) -> str:
        return await self.time.run(self.joined(run))

    async def refused(self, run: ChainRun, kind: type[Exception] = ChainExhausted) -> Any:
        with pytest.raises(kind) as caught:
            await self.answer(run)
        return caught.value

    async def ask(self, step: ResolvedStep, seconds: float) -> str:
        async with aclosing(self.attempt(step, seconds)) as pieces:
            return "".join([piece.payload async for piece in pieces])

    async def plain(self, run: ChainRun) -> str:
        return await self.time.run(run.answer(self.ask))

    async def joined(self, run: ChainRun) -> str:
        async with aclosing(self.pieces[run]()) as pieces:
            return "".join([said.payload async for said in pieces if said != KEEP_ALIVE])

    @property
    def models(self) -> list[int]:
        return [model for model, _ in self.seen]


def step(model: int, **fields: Any) -> ResolvedStep:
    given: dict[str, Any] = {
        "id": model, "model_id": model, "provider_id": model, "label": f"model {model}",
        "max_retries": 2, "timeout_seconds": 120.0, "first_token_timeout_seconds": 15.0,
    }  # fmt: skip
    return ResolvedStep(**given | fields)


@pytest.fixture
def world() -> World:
    return World(scripts={1: [["one"]], 2: [["two"]], 3: [["three"]]})


async def test_the_first_step_answers(world: World) -> None:
    world.scripts[1] = [["~", "Hel", 0.1, "lo"]]
    run = world.run(step(1), step(2))
    assert await world.answer(run) == "~Hello"
    assert run.answered_by == step(1)
    [record] = run.attempts
    assert (record.outcome, record.was_sent, record.cancelled) == (None, True, False)
    assert record.milliseconds == pytest.approx(100)
    assert world.models == [1]


@pytest.mark.parametrize("kind", RETRIED)
async def test_what_may_be_gone_in_a_moment_is_tried_again_then_the_next_step(
    world: World, kind: FailureClass
) -> None:
    world.scripts[1] = [[fails(kind)]]
    run = world.run(step(1), step(2))
    assert await world.answer(run) == "two"
    assert world.seen == [(1, 0), (1, 0.5), (1, 1.5), (2, 1.5)]
    assert [one.outcome for one in run.attempts] == [kind, kind, kind, None]
    assert run.answered_by == step(2)


async def test_a_second_try_may_do(world: World) -> None:
    world.scripts[1] = [[fails()], ["at last"]]
    assert await world.answer(world.run(step(1), step(2))) == "at last"
    assert world.models == [1, 1]


@pytest.mark.parametrize("kind", PASSED_BY)
async def test_what_won_t_be_mended_goes_to_the_next_step_at_once(
    world: World, kind: FailureClass
) -> None:
    world.scripts[1] = [[fails(kind)]]
    assert await world.answer(world.run(step(1), step(2))) == "two"
    assert world.seen == [(1, 0), (2, 0)]


@pytest.mark.parametrize("kind", REFUSED)
async def test_a_request_that_is_refused_ends_it_with_the_provider_s_words(
    world: World, kind: FailureClass
) -> None:
    world.scripts[1] = [[fails(kind, status=422)]]
    error = await world.refused(world.run(step(1), step(2)), RequestRefused)
    assert (str(error), error.status) == ("their words", 422)
    assert world.models == [1]


async def test_a_wait_that_is_asked_for_is_kept_or_the_next_step_taken(world: World) -> None:
    limited = Failure.RATE_LIMITED
    world.scripts[1] = [[fails(limited, asked=3)], [fails(limited, asked=0.2)], ["one"]]
    assert await world.answer(world.run(step(1))) == "one"
    assert [when for _, when in world.seen] == pytest.approx([0, 3, 3.2])
    world.seen.clear()
    world.scripts[2] = [[fails(limited, asked=60)]]
    assert await world.answer(world.run(step(2), step(3))) == "three"
    assert world.models == [2, 3]
    # Its circuit is open for as long: the next request doesn't even ask.
    assert await world.answer(world.run(step(2), step(3))) == "three"
    assert world.models == [2, 3, 3]


async def test_a_prompt_that_is_too_long_goes_to_a_larger_window_or_one_unknown(
    world: World,
) -> None:
    for model in (1, 2, 4):
        world.scripts[model] = [[fails(Failure.TOO_LONG)]]
    run = world.run(
        step(1, context_window=8_000),
        step(2, context_window=8_000),
        step(4, context_window=16_000),
        step(3),
    )
    assert await world.answer(run) == "three"
    assert world.models == [1, 4, 3]
    assert [one.outcome for one in run.attempts] == [
        Failure.TOO_LONG, Skipped.TOO_SMALL, Failure.TOO_LONG, None
    ]  # fmt: skip


async def test_steps_that_can_t_be_used_cost_no_request(world: World) -> None:
    run = world.run(step(1, skip=Skipped.DISABLED), step(2, skip=Skipped.NO_API_KEY), step(3))
    assert await world.answer(run) == "three"
    assert world.models == [3]
    assert [one.was_sent for one in run.attempts] == [False, False, True]


@pytest.mark.parametrize(
    ("script", "when"),
    [
        ([100.0], 15.0),  # nothing at all
        (["~", 10.0, "~", 10.0], 15.0),  # signs of life, and no token
        (["a", 100.0], 30.0),  # then silence
        (["a", *[20.0, "~"] * 10], 120.0),  # alive, and never done
    ],
)
async def test_silence_ends_an_attempt_and_lets_go_of_it(
    world: World, script: list[Doing], when: float
) -> None:
    world.scripts[1] = [script]
    run = world.run(step(1), step(2))
    if script[0] == "a":
        await world.refused(run, AnswerCut)
        assert world.models == [1]
    else:
        assert await world.answer(run) == "two"
    assert world.let_go == [(1, when)]
    assert run.attempts[0].outcome is Failure.TIMEOUT


@pytest.mark.parametrize("script", [["a", 100.0], ["~", 100.0], [1.0, "a", 1.0, "b", 100.0]])
async def test_silence_within_a_stream_is_noticed_however_patient_the_first_token_was_awaited(
    world: World, script: list[Doing]
) -> None:
    world.scripts[1] = [script]
    run = world.run(step(1, first_token_timeout_seconds=90.0))
    await world.refused(run, AnswerCut if "a" in script else ChainExhausted)
    began = sum(one for one in script[:-1] if isinstance(one, float))
    assert world.let_go[0] == (1, began + 30.0)


async def test_a_plain_answer_has_the_whole_of_its_time(world: World) -> None:
    world.scripts[1] = [[100.0, "whole"]]
    run = world.run(step(1), step(2))
    assert await world.plain(run) == "whole"
    assert run.answered_by == step(1)


@pytest.mark.parametrize("kind", [*RETRIED, *PASSED_BY])
async def test_a_plain_request_falls_through_like_a_stream(
    world: World, kind: FailureClass
) -> None:
    world.scripts[1] = [[fails(kind)]]
    streamed = world.run(step(1), step(2))
    assert await world.answer(streamed) == "two"
    seen, world.seen[:] = [*world.seen], []
    world.time.now, world.breakers = 0.0, Breakers(lambda: world.time.now)
    world.means = replace(world.means, breakers=world.breakers)
    run = world.run(step(1), step(2))
    assert await world.plain(run) == "two"
    assert world.seen == seen
    assert [one.outcome for one in run.attempts] == [one.outcome for one in streamed.attempts]


async def test_a_plain_request_is_cut_off_when_its_time_is_over(world: World) -> None:
    world.scripts[1] = [[100.0, "late"]]
    run = world.run(step(1, timeout_seconds=20.0), step(2))
    assert await world.plain(run) == "two"
    assert world.let_go == [(1, 20)]
    assert run.attempts[0].outcome is Failure.TIMEOUT


async def test_a_plain_request_is_refused_with_the_provider_s_words(world: World) -> None:
    world.scripts[1] = [[fails(Failure.INVALID, status=422)]]
    with pytest.raises(RequestRefused, match="their words") as caught:
        await world.plain(world.run(step(1), step(2)))
    assert caught.value.status == 422
    assert world.models == [1]


async def test_a_step_that_cannot_do_it_is_passed_by_and_nothing_is_held_against_it(
    world: World,
) -> None:
    async def ask(step: ResolvedStep, seconds: float) -> str:
        if step.model_id == 1:
            raise StepSkipped(Skipped.UNSUPPORTED, "no pictures here")
        return await world.ask(step, seconds)

    run = world.run(step(1), step(2))
    assert await world.time.run(run.answer(ask)) == "two"
    first, second = run.attempts
    assert (first.outcome, first.reason, first.was_sent) == (
        Skipped.UNSUPPORTED,
        "no pictures here",
        False,
    )
    assert second.outcome is None
    assert world.breakers.health(CircuitOf.MODEL, 1).recent.attempts == 0


async def test_where_no_step_can_do_it_the_request_is_wrong(world: World) -> None:
    async def ask(_step: ResolvedStep, _seconds: float) -> str:
        raise StepSkipped(Skipped.UNSUPPORTED, "no pictures here")

    with pytest.raises(ChainExhausted, match="no pictures here") as caught:
        await world.time.run(world.run(step(1), step(2)).answer(ask))
    assert caught.value.status == 400


async def test_a_slow_caller_is_no_silent_provider(world: World) -> None:
    world.scripts[1] = [["a", "b", "c"]]

    async def read() -> list[str]:
        found = []
        async with aclosing(world.pieces[world.run(step(1), step(2))]()) as pieces:
            async for said in pieces:
                assert said != KEEP_ALIVE
                found.append(said.payload)
                await world.time.sleep(50)
        return found

    assert await world.time.run(read()) == ["a", "b", "c"]


async def test_words_of_two_models_are_never_joined(world: World) -> None:
    world.scripts[1] = [["Once upon", fails()]]
    run = world.run(step(1), step(2))
    error = await world.refused(run, AnswerCut)
    assert "it failed" in str(error)
    assert world.models == [1]
    assert run.answered_by is None


async def test_what_comes_before_the_first_token_is_kept_from_the_caller(world: World) -> None:
    world.scripts[1] = [["~", "~", fails()]]
    world.scripts[2] = [["~", "two"]]
    assert await world.answer(world.run(step(1, max_retries=0), step(2))) == "~two"


async def test_what_is_kept_before_the_first_token_is_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "LARGEST_BEGINNING", 3)
    world.scripts[1] = [["~", "~", "~", "one"]]
    run = world.run(step(1), step(2))
    assert await world.answer(run) == "~~~one"
    world.scripts[1] = [["~"] * 1_000]
    run = world.run(step(1, max_retries=0), step(2))
    assert await world.answer(run) == "two"
    assert run.attempts[0].outcome is Failure.TRANSIENT
    assert "before its first token" in run.attempts[0].reason


async def test_an_empty_answer_is_an_answer(world: World) -> None:
    world.scripts[1] = [["~"]]
    run = world.run(step(1), step(2))
    assert await world.answer(run) == "~"
    assert run.answered_by == step(1)


@pytest.mark.parametrize(
    ("kinds", "status"),
    [
        ((Failure.TRANSIENT, Failure.RATE_LIMITED), 502),
        ((Failure.RATE_LIMITED, Failure.RATE_LIMITED), 429),
        ((Failure.TIMEOUT, Failure.TIMEOUT), 504),
        ((Failure.TOO_LONG, Failure.TOO_LONG), 400),
        ((Failure.UNAVAILABLE, Failure.UNAVAILABLE), 502),
    ],
)
async def test_when_all_have_failed_the_status_says_how(
    world: World, kinds: tuple[FailureClass, ...], status: int
) -> None:
    world.scripts = {place: [[fails(kind)]] for place, kind in enumerate(kinds, 1)}
    error = await world.refused(world.run(step(1, max_retries=0), step(2, max_retries=0)))
    assert error.status == status
    lines = str(error).splitlines()
    assert lines[1] == f"1. model 1: {kinds[0]}, status 500, 0 ms: it failed"
    assert len(lines) == 3


async def test_it_says_when_to_come_back(world: World) -> None:
    world.scripts[1] = [[fails(Failure.RATE_LIMITED, asked=40)]]
    world.scripts[2] = [[fails(Failure.RATE_LIMITED, asked=30)]]
    error = await world.refused(world.run(step(1), step(2)))
    assert (error.status, error.retry_after) == (429, 30)


async def test_where_all_are_open_one_probes_and_the_others_are_told_when(world: World) -> None:
    world.scripts[1] = [[5.0, fails()]]
    for _ in range(5):
        await world.refused(world.run(step(1, max_retries=0)))
    began = len(world.seen)
    several = [asyncio.ensure_future(world.joined(world.run(step(1)))) for _ in range(4)]
    found = await world.time.run(gathered(several))
    assert len(world.seen) == began + 1
    statuses = sorted(error.status for error in found)
    assert statuses == [502, 503, 503, 503]
    assert all(error.retry_after is not None for error in found)


async def gathered(tasks: Sequence["asyncio.Future[str]"]) -> list[Any]:
    return list(await asyncio.gather(*tasks, return_exceptions=True))


async def test_a_rate_that_opened_them_all_is_told_as_such(world: World) -> None:
    world.scripts[1] = [[fails(Failure.RATE_LIMITED, asked=100)]]
    await world.refused(world.run(step(1)))
    await world.refused(world.run(step(1)))  # The probe.
    error = await world.refused(world.run(step(1)))
    assert (error.status, error.retry_after) == (429, 100)


@pytest.mark.parametrize("seconds", [2.0, 12.0])
async def test_the_whole_has_a_deadline(world: World, seconds: float) -> None:
    world.scripts = {1: [[fails()]], 2: [[100.0]], 3: [["three"]]}
    run = world.run(step(1), step(2), step(3), seconds=seconds)
    await world.refused(run)
    assert world.time.now == seconds
    assert world.let_go == [(2, seconds)]
    # The second gets what remains.
    assert world.limits[-1] == pytest.approx(seconds - 1.5)


async def test_nobody_sleeps_past_the_deadline(world: World) -> None:
    world.scripts[1] = [[fails(Failure.RATE_LIMITED, asked=4)]]
    assert await world.answer(world.run(step(1), step(2), seconds=3)) == "two"
    assert world.time.now == 0


@pytest.mark.parametrize("script", [[100.0], ["a", 100.0], [fails()]])
@pytest.mark.parametrize("delivery", Delivery)
async def test_a_caller_that_leaves_lets_go_of_everything(
    world: World, script: Sequence[Doing], delivery: Delivery
) -> None:
    for _ in range(5):  # So that the next is a probe.
        world.scripts[1] = [[fails()]]
        await world.refused(world.run(step(1, max_retries=0)))
    world.time.now += 10
    world.scripts[1] = [script]
    run = world.run(step(1), delivery=delivery)
    task = asyncio.ensure_future(world.joined(run))
    await world.time.settled()
    world.time.step() if script == [fails()] else None
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    if script != [fails()]:
        assert [model for model, _ in world.let_go] == [1]
        assert run.attempts[-1].cancelled
    assert world.held.used == 0
    assert world.breakers.health(CircuitOf.MODEL, 1).state is not CircuitState.HALF_OPEN


async def test_an_assured_answer_falls_through_also_in_the_middle(world: World) -> None:
    scripts: list[Sequence[Doing]] = [["a", fails()], ["a", 100.0]]
    for script in scripts:
        world.scripts[1] = [script]
        run = world.run(step(1, max_retries=0), step(2), delivery=Delivery.ASSURED)
        assert await world.answer(run) == "two"
        assert run.answered_by == step(2)
        assert world.held.used == 0


async def test_an_assured_answer_keeps_the_caller_s_connection_alive(world: World) -> None:
    world.scripts[1] = [["a", 14.0, "b", 14.0, "c"]]

    async def read() -> list[object]:
        run = world.run(step(1), delivery=Delivery.ASSURED)
        async with aclosing(world.pieces[run]()) as pieces:
            return [
                (world.time.now, said if said == KEEP_ALIVE else said.payload)
                async for said in pieces
            ]

    assert await world.time.run(read()) == [
        (10, KEEP_ALIVE), (20, KEEP_ALIVE), (28, "a"), (28, "b"), (28, "c")
    ]  # fmt: skip


async def test_what_is_held_back_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "LARGEST_ANSWER", 10)
    world.scripts[1] = [["12345", "12345", "1"]]
    error = await world.refused(world.run(step(1), step(2), delivery=Delivery.ASSURED), TooMuchHeld)
    assert error.status == 503
    assert "8 MiB" in str(error)
    assert world.held.used == 0
    world.held._most = 12
    world.scripts[1] = [["12345", 1.0, "6789"]]
    runs = [world.joined(world.run(step(1), delivery=Delivery.ASSURED)) for _ in range(2)]
    found = await world.time.run(gathered([asyncio.ensure_future(one) for one in runs]))
    assert sorted(type(one).__name__ for one in found) == ["TooMuchHeld", "str"]
    assert world.held.used == 0


async def test_an_outage_is_bridged_and_its_end_is_noticed(world: World) -> None:
    """Twenty requests over a minute's outage: all answered, the dead model tried a few times."""

    def script() -> list[Doing]:
        return [fails()] if world.time.now < 60 else ["one"]

    class Now(list[Any]):
        def __getitem__(self, _place: Any) -> Any:
            return script()

    world.scripts[1] = Now([[]])
    for _ in range(20):
        answer = await world.answer(world.run(step(1), step(2)))
        assert answer == "two"
        await world.time.until(world.time.now + 3)
    tried = [when for model, when in world.seen if model == 1]
    assert len(tried) <= 10
    # Back within half a minute of its recovery.
    await world.time.until(max(world.time.now, 60))
    answered: Callable[[], Any] = lambda: world.answer(world.run(step(1), step(2)))  # noqa: E731  # asked again and again
    while await answered() != "one":
        await world.time.until(world.time.now + 1)
    assert world.time.now <= 90
    assert await answered() == "one"
