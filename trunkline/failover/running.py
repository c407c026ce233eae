"""Runs a chain for one request: step after step, until one answers.

What is tried again, what is passed by and what ends the run is decided here, by the class of each
failure. An answer streams through as it comes, from its first token on; before that a failure costs
the caller nothing but time. Times are seconds of a clock that never goes back.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, Generic, Literal, TypeAlias, TypeVar

from db.vocabulary import Delivery
from trunkline.clock import Clock, system_clock
from trunkline.failover.attempts import (
    Attempt,
    AttemptFailed,
    AttemptRecord,
    Piece,
    ResolvedStep,
    Skipped,
)
from trunkline.failover.backoff import pause_before_retry
from trunkline.failover.breakers import Breakers, Permit
from trunkline.failover.classes import AttemptFailure, FailureClass
from trunkline.failover.held import HeldMemory
from trunkline.failover.outcomes import AnswerCut, ChainExhausted, RequestRefused, exhausted
from trunkline.failover.watchdog import CallLater, Watchdog

T = TypeVar("T")

REQUEST_SECONDS = 600.0
IDLE_SECONDS = 30.0
KEEP_ALIVE_SECONDS = 10.0

KEEP_ALIVE: Final = "keep-alive"
"""Said in place of a piece while an answer is held back: show the caller that we are there."""
Said: TypeAlias = Piece[T] | Literal["keep-alive"]

_REFUSED = frozenset({FailureClass.REJECTED, FailureClass.INVALID})


def _call_later(seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(seconds, callback)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What every run of a process works with."""

    breakers: Breakers
    held: HeldMemory = field(default_factory=HeldMemory)
    now: Callable[[], float] = time.monotonic
    clock: Clock = system_clock
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random
    call_later: CallLater = _call_later


@dataclass(slots=True)
class _Holding:
    """Bytes of an answer that are held back."""

    size: int = 0


class ChainRun(Generic[T]):
    """One request's way through the steps. Iterate over `pieces` once, and close it.

    `attempts` says what happened so far, and `answered_by` whose answer it is.
    """

    def __init__(
        self,
        steps: Sequence[ResolvedStep],
        attempt: Attempt[T],
        means: Means,
        *,
        streaming: bool,
        delivery: Delivery = Delivery.STREAMED,
        seconds: float = REQUEST_SECONDS,
    ) -> None:
        """`seconds` is for the whole run; without `streaming` the answer comes as one piece."""
        self.attempts: list[AttemptRecord] = []
        self.answered_by: ResolvedStep | None = None
        self._steps = steps
        self._attempt = attempt
        self._means = means
        self._streaming = streaming
        self._holds_back = delivery is Delivery.ASSURED and streaming
        self._until = means.now() + min(seconds, REQUEST_SECONDS)
        # The largest context window that the prompt didn't fit.
        self._too_small = 0
        # What providers asked to wait.
        self._asked: list[float] = []
        self._failure = _timed_out()

    def pieces(self) -> AsyncGenerator[Said[T]]:
        """The answer. Raises a `RunFailed` where there is none, or it broke off."""
        return self._held_back() if self._holds_back else self._answer(None)

    async def _held_back(self) -> AsyncGenerator[Said[T]]:
        holding = _Holding()
        task = asyncio.create_task(self._collect(holding))
        try:
            while not task.done():
                tick = asyncio.ensure_future(self._means.sleep(KEEP_ALIVE_SECONDS))
                await asyncio.wait({task, tick}, return_when=asyncio.FIRST_COMPLETED)
                tick.cancel()
                if not task.done():
                    yield KEEP_ALIVE
            for piece in task.result():
                yield piece
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._means.held.give_back(holding.size)

    async def _collect(self, holding: _Holding) -> list[Piece[T]]:
        async with aclosing(self._answer(holding)) as answer:
            return [piece async for piece in answer]

    async def _answer(self, holding: _Holding | None) -> AsyncGenerator[Piece[T]]:
        """The first answer of a step; with `holding` when it is whole, accounted for in there."""
        async with aclosing(self._ways()) as ways:
            async for step, permit in ways:
                async with aclosing(self._tried(step, permit, holding)) as pieces:
                    async for piece in pieces:
                        yield piece
                if self.answered_by is not None:
                    return
        raise self._exhausted()

    async def _ways(self) -> AsyncGenerator[tuple[ResolvedStep, Permit]]:
        """What to try, one after another: asked for the next, the last one has failed."""
        means = self._means
        for step in self._steps:
            for retry in range(step.max_retries + 1):
                permit = self._admitted(step, is_retry=retry > 0)
                if permit is None:
                    break
                yield step, permit
                pause = pause_before_retry(self._failure, retry, means.chance())
                if pause is None or means.now() + pause >= self._until:
                    break
                if retry < step.max_retries:
                    await means.sleep(pause)
            if means.now() >= self._until:
                return
        if any(one.was_sent for one in self.attempts):
            return
        for step in self._open_steps():
            permit = means.breakers.admit(step.model_id, step.provider_id, forced=True)
            if permit is not None:
                yield step, permit
                return

    def _admitted(self, step: ResolvedStep, *, is_retry: bool) -> Permit | None:
        """Leave to try a step, or None, which is noted."""
        skip = step.skip
        if skip is None and step.context_window and step.context_window <= self._too_small:
            skip = Skipped.TOO_SMALL
        if skip is None:
            permit = self._means.breakers.admit(step.model_id, step.provider_id)
            if permit is not None:
                return permit
        if not is_retry:
            self._note(step, skip or Skipped.OPEN)
        return None

    async def _tried(
        self, step: ResolvedStep, permit: Permit, holding: _Holding | None
    ) -> AsyncGenerator[Piece[T]]:
        """One attempt. Afterwards it is answered, or `_failure` says how it failed."""
        means = self._means
        began = means.now()
        record = self._note(step, None)
        record.cancelled = True  # Unless it is found to have ended.
        passed_on = False
        try:
            async with aclosing(self._watched(step, permit, began, holding)) as pieces:
                async for piece in pieces:
                    passed_on = holding is None
                    yield piece
            record.cancelled = False
            self.answered_by = step
        except (AttemptFailed, TimeoutError) as error:
            failure = error.failure if isinstance(error, AttemptFailed) else _timed_out()
            record.cancelled = False
            record.outcome, record.status = failure.failure_class, failure.status
            record.reason = failure.reason
            permit.failed(failure)
            self._remember(step, failure, passed_on=passed_on)
        finally:
            record.milliseconds = (means.now() - began) * 1_000
            permit.end()

    async def _watched(
        self, step: ResolvedStep, permit: Permit, began: float, holding: _Holding | None
    ) -> AsyncGenerator[Piece[T]]:
        """What the attempt gives, from its first token on, or once it is whole. Raises
        `TimeoutError`.
        """
        means = self._means
        until = min(began + step.timeout_seconds, self._until)
        first_until = until
        if self._streaming:
            first_until = min(until, began + step.first_token_timeout_seconds)
        # What came before the first token, or is held back: another step may answer instead.
        kept: list[Piece[T]] = []
        size = 0
        begun = False
        try:
            with Watchdog(means.now, means.call_later) as watchdog:
                watchdog.on(first_until)
                async with aclosing(self._attempt(step, until - began)) as attempt:
                    async for piece in attempt:
                        watchdog.off()
                        if piece.is_token and not begun:
                            begun = True
                            permit.succeeded((means.now() - began) * 1_000)
                        kept.append(piece)
                        if holding is not None:
                            means.held.take(piece.size, size)
                            holding.size += piece.size
                            size += piece.size
                        elif begun:
                            for one in kept:
                                yield one
                            kept.clear()
                        # By now: the caller may have taken long to read it.
                        ends = until if begun else first_until
                        if self._streaming:
                            ends = min(ends, means.now() + IDLE_SECONDS)
                        watchdog.on(ends)
        except (AttemptFailed, TimeoutError):
            if holding is not None:
                means.held.give_back(size)
                holding.size -= size
            raise
        if not begun:
            # Whole, and empty.
            permit.succeeded((means.now() - began) * 1_000)
        for one in kept:
            yield one

    def _remember(self, step: ResolvedStep, failure: AttemptFailure, *, passed_on: bool) -> None:
        """Remember a failure. Raises where the run ends with it."""
        if failure.failure_class in _REFUSED:
            raise RequestRefused(failure)
        if passed_on:
            raise AnswerCut(failure)
        self._failure = failure
        if failure.failure_class is FailureClass.TOO_LONG:
            self._too_small = max(self._too_small, step.context_window or 0)
        if failure.wait_seconds is not None:
            self._asked.append(failure.wait_seconds)

    def _note(self, step: ResolvedStep, outcome: Skipped | None) -> AttemptRecord:
        record = AttemptRecord(step, self._means.clock(), outcome)
        self.attempts.append(record)
        return record

    def _open_steps(self) -> list[ResolvedStep]:
        """Those that were passed by as their circuits are open, the soonest to be probed first."""
        breakers = self._means.breakers
        found = [one.step for one in self.attempts if one.outcome is Skipped.OPEN]
        return sorted(found, key=lambda one: breakers.wait_seconds(one.model_id, one.provider_id))

    def _exhausted(self) -> ChainExhausted:
        breakers = self._means.breakers
        open_steps = self._open_steps()
        waits = [breakers.wait_seconds(one.model_id, one.provider_id) for one in open_steps]
        reasons = {breakers.opened_by(one.model_id, one.provider_id) for one in open_steps}
        # When it may be worth to come back: the soonest that is known.
        return exhausted(
            self.attempts,
            retry_after=min([*waits, *self._asked], default=None),
            rate_limited=reasons == {FailureClass.RATE_LIMITED},
        )


def _timed_out() -> AttemptFailure:
    return AttemptFailure(FailureClass.TIMEOUT, None, None, "nothing came in time")
