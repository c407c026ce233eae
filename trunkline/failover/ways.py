"""The way through a chain's steps for one request: what to try next, and what came of each try.

What is tried again, what is passed by and what ends the run is decided here, by the class of each
failure; nothing here knows what an answer is made of.
"""

from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import Self

from trunkline.failover.attempts import (
    AttemptFailed,
    AttemptRecord,
    ResolvedStep,
    Skipped,
    StepSkipped,
)
from trunkline.failover.backoff import pause_before_retry
from trunkline.failover.breakers import Permit
from trunkline.failover.classes import AttemptFailure, FailureClass
from trunkline.failover.means import Means
from trunkline.failover.outcomes import AnswerCut, ChainExhausted, RequestRefused, exhausted

_REFUSED = frozenset({FailureClass.REJECTED, FailureClass.INVALID})
_TIMED_OUT = AttemptFailure(FailureClass.TIMEOUT, None, None, "nothing came in time")


class Ways:
    """Iterate over `trials`, and enter each: what it raises is taken in there."""

    __slots__ = (
        "_asked",
        "_failure",
        "_steps",
        "_too_small",
        "answered_by",
        "attempts",
        "means",
        "until",
        "waited_seconds",
    )

    def __init__(self, steps: Sequence[ResolvedStep], means: Means, seconds: float) -> None:
        self.attempts: list[AttemptRecord] = []
        self.answered_by: ResolvedStep | None = None
        self.means = means
        self.until = means.now() + seconds
        self.waited_seconds = 0.0
        """For a place, and before retries."""
        self._steps = steps
        # The largest context window that the prompt didn't fit.
        self._too_small = 0
        # What providers asked to wait.
        self._asked: list[float] = []
        # How the last attempt failed; None where nothing was sent.
        self._failure: AttemptFailure | None = None

    async def trials(self) -> AsyncGenerator["Trial"]:
        """What to try, one after another: asked for the next, the last one has failed."""
        means = self.means
        for step in self._steps:
            for retry in range(step.max_retries + 1):
                permit = self._admitted(step, is_retry=retry > 0)
                if permit is None:
                    break
                if not await self._has_place(step, permit):
                    break
                try:
                    yield Trial(self, step, permit)
                finally:
                    means.slots.give_back(step.provider_id)
                pause = self._pause(retry)
                if pause is None or means.now() + pause >= self.until:
                    break
                if retry < step.max_retries:
                    await means.sleep(pause)
                    self.waited_seconds += pause
            if means.now() >= self.until:
                return
        if any(one.was_sent for one in self.attempts):
            return
        for step in self._open_steps():
            permit = means.breakers.admit(step.model_id, step.provider_id, forced=True)
            if permit is not None and await self._has_place(step, permit):
                try:
                    yield Trial(self, step, permit)
                finally:
                    means.slots.give_back(step.provider_id)
                return

    def exhausted(self) -> ChainExhausted:
        """The end of a run that has no more to try."""
        breakers = self.means.breakers
        open_steps = self._open_steps()
        waits = [breakers.wait_seconds(one.model_id, one.provider_id) for one in open_steps]
        reasons = {breakers.opened_by(one.model_id, one.provider_id) for one in open_steps}
        # When it may be worth to come back: the soonest that is known.
        return exhausted(
            self.attempts,
            retry_after=min([*waits, *self._asked], default=None),
            rate_limited=reasons == {FailureClass.RATE_LIMITED},
        )

    def note(self, step: ResolvedStep, outcome: Skipped | None) -> AttemptRecord:
        """Begin the record of a try, or of why there is none."""
        record = AttemptRecord(step, self.means.clock(), outcome)
        self.attempts.append(record)
        return record

    def skipped(self, wait_seconds: float | None) -> None:
        """Nothing was sent; after so long it may be, where that is known."""
        self._failure = None
        if wait_seconds is not None:
            self._asked.append(wait_seconds)

    def failed(self, step: ResolvedStep, failure: AttemptFailure, *, passed_on: bool) -> None:
        """Remember how an attempt failed. Raises where the run ends with it."""
        self._failure = failure
        if failure.failure_class in _REFUSED:
            raise RequestRefused(failure)
        if passed_on:
            raise AnswerCut(failure)
        if failure.failure_class is FailureClass.TOO_LONG:
            self._too_small = max(self._too_small, step.context_window or 0)
        if failure.wait_seconds is not None:
            self._asked.append(failure.wait_seconds)

    def _pause(self, retry: int) -> float | None:
        if self._failure is None:
            return None
        return pause_before_retry(self._failure, retry, self.means.chance())

    def _admitted(self, step: ResolvedStep, *, is_retry: bool) -> Permit | None:
        """Leave to try a step, or None, which is noted."""
        skip = step.skip
        if skip is None and step.context_window and step.context_window <= self._too_small:
            skip = Skipped.TOO_SMALL
        if skip is None:
            permit = self.means.breakers.admit(step.model_id, step.provider_id)
            if permit is not None:
                return permit
        if not is_retry:
            self.note(step, skip or Skipped.OPEN)
        return None

    async def _has_place(self, step: ResolvedStep, permit: Permit) -> bool:
        """Whether the provider takes one more request, once those that came before are through. If
        not, that is noted.
        """
        means = self.means
        if means.slots.take(step.provider_id):
            return True
        began = means.now()
        has_place = False
        try:
            has_place = await means.slots.wait(
                step.provider_id, self.until - began, means.call_later
            )
        finally:
            self.waited_seconds += means.now() - began
            if not has_place:
                permit.end()
        if not has_place:
            self.note(step, Skipped.BUSY)
        return has_place

    def _open_steps(self) -> list[ResolvedStep]:
        """Those that were passed by as their circuits are open, the soonest to be probed first."""
        breakers = self.means.breakers
        found = [one.step for one in self.attempts if one.outcome is Skipped.OPEN]
        return sorted(found, key=lambda one: breakers.wait_seconds(one.model_id, one.provider_id))


class Trial:
    """One attempt. Entered, it is under way; left, it is answered, or the run remembers how it
    failed. Leaving raises where the run ends with the failure.
    """

    __slots__ = ("_permit", "_record", "_ways", "_works", "began", "passed_on", "step")

    def __init__(self, ways: Ways, step: ResolvedStep, permit: Permit) -> None:
        self._ways = ways
        self._permit = permit
        self._works = False
        self.step = step
        self.passed_on = False
        """Whether the caller has a part of its answer."""

    def __enter__(self) -> Self:
        self.began = self._ways.means.now()
        self._record = self._ways.note(self.step, None)
        self._record.cancelled = True  # Unless it is found to have ended.
        return self

    @property
    def until(self) -> float:
        """When its time is over."""
        return min(self.began + self.step.timeout_seconds, self._ways.until)

    def works(self) -> None:
        """Its first token came, or a whole answer."""
        if not self._works:
            self._works = True
            self._permit.succeeded((self._ways.means.now() - self.began) * 1_000)

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> bool:
        record, ways = self._record, self._ways
        record.milliseconds = (ways.means.now() - self.began) * 1_000
        try:
            match error:
                case None:
                    self.works()  # Also where it is whole, and empty.
                    record.cancelled = False
                    ways.answered_by = self.step
                case AttemptFailed():
                    self._fail(error.failure)
                case TimeoutError():
                    self._fail(_TIMED_OUT)
                case StepSkipped():
                    record.cancelled = False
                    record.outcome, record.reason = error.skip, str(error)
                    ways.skipped(error.wait_seconds)
                case _:
                    return False
        finally:
            self._permit.end()
        return True

    def _fail(self, failure: AttemptFailure) -> None:
        record = self._record
        record.cancelled = False
        record.outcome, record.status = failure.failure_class, failure.status
        record.reason = failure.reason
        self._permit.failed(failure)
        self._ways.failed(self.step, failure, passed_on=self.passed_on)
