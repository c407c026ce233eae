"""Runs a chain for one request: step after step, until one answers.

An answer streams through as it comes, from its first token on; before that a failure costs the
caller nothing but time. Times are seconds of a clock that never goes back.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, TypeVar

from db.vocabulary import Delivery
from trunkline.failover.attempts import (
    Ask,
    Attempt,
    AttemptFailed,
    AttemptRecord,
    Piece,
    ResolvedStep,
)
from trunkline.failover.classes import AttemptFailure, FailureClass
from trunkline.failover.held import HeldMemory
from trunkline.failover.means import Means
from trunkline.failover.watchdog import Watchdog
from trunkline.failover.ways import Trial, Ways

T = TypeVar("T")

REQUEST_SECONDS = 600.0
IDLE_SECONDS = 30.0
KEEP_ALIVE_SECONDS = 10.0
LARGEST_BEGINNING = 8 * 2**20
"""Bytes that are kept before the first token; a stream that sends more is broken."""

KEEP_ALIVE: Final = "keep-alive"
"""Said in place of a piece while an answer is held back: show the caller that we are there."""
Said: TypeAlias = Piece[T] | Literal["keep-alive"]


_NEVER_BEGINS = AttemptFailure(
    FailureClass.TRANSIENT, None, None, "the stream is larger than 8 MiB before its first token"
)


class ChainRun:
    """One request's way through the steps. Take its `answer`, or iterate over its `pieces`, once.

    `attempts` says what happened so far, and `answered_by` whose answer it is.
    """

    __slots__ = ("_means", "_ways")

    def __init__(
        self, steps: Sequence[ResolvedStep], means: Means, *, seconds: float = REQUEST_SECONDS
    ) -> None:
        """`seconds` is for the whole run."""
        self._means = means
        self._ways = Ways(steps, means, min(seconds, REQUEST_SECONDS))

    @property
    def attempts(self) -> list[AttemptRecord]:
        """Every try so far, and every step that was passed by, in order."""
        return self._ways.attempts

    @property
    def answered_by(self) -> ResolvedStep | None:
        """The step whose answer was whole."""
        return self._ways.answered_by

    @property
    def waited_seconds(self) -> float:
        """How long it waited for a place at a provider, and before retries."""
        return self._ways.waited_seconds

    async def answer(self, ask: Ask[T]) -> T:
        """The answer, whole. Raises a `RunFailed` where there is none."""
        means = self._means
        async with aclosing(self._ways.trials()) as trials:
            async for trial in trials:
                with trial:
                    until = trial.until
                    with Watchdog(means.now, means.call_later) as watchdog:
                        watchdog.on(until)
                        return await ask(trial.step, until - trial.began)
        raise self._ways.exhausted()

    def pieces(
        self, attempt: Attempt[T], delivery: Delivery = Delivery.STREAMED
    ) -> AsyncGenerator[Said[T]]:
        """The answer as it comes, or once it is whole. Close it. Raises a `RunFailed` where there
        is no answer, or it broke off.
        """
        if delivery is Delivery.ASSURED:
            return self._held_back(attempt)
        return self._streamed(attempt, None)

    async def _held_back(self, attempt: Attempt[T]) -> AsyncGenerator[Said[T]]:
        holding = _Holding(self._means.held)
        task = asyncio.create_task(self._collect(attempt, holding))
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
            holding.drop()

    async def _collect(self, attempt: Attempt[T], holding: "_Holding") -> list[Piece[T]]:
        async with aclosing(self._streamed(attempt, holding)) as answer:
            return [piece async for piece in answer]

    async def _streamed(
        self, attempt: Attempt[T], holding: "_Holding | None"
    ) -> AsyncGenerator[Piece[T]]:
        """The first step's answer that has a first token; with `holding` the first that is whole,
        accounted for in there.
        """
        means = self._means
        async with aclosing(self._ways.trials()) as trials:
            async for trial in trials:
                # What came before the first token, or is held back: another step may answer yet.
                kept: list[Piece[T]] = []
                unsaid = 0
                with trial:
                    begun = False
                    until = trial.until
                    first_until = _first_token_until(trial)
                    with Watchdog(means.now, means.call_later) as watchdog:
                        watchdog.on(first_until)
                        async with aclosing(attempt(trial.step, until - trial.began)) as coming:
                            async for piece in coming:
                                watchdog.off()
                                if piece.is_token and not begun:
                                    begun = True
                                    trial.works()
                                if holding is not None:
                                    holding.take(piece.size)
                                    kept.append(piece)
                                elif begun:
                                    trial.passed_on = True
                                    for one in kept:
                                        yield one
                                    kept.clear()
                                    yield piece
                                else:
                                    kept.append(piece)
                                    unsaid += piece.size
                                    if unsaid > LARGEST_BEGINNING:
                                        raise AttemptFailed(_NEVER_BEGINS)
                                # By now: the caller may have taken long to read it.
                                ends = until if begun else first_until
                                watchdog.on(min(ends, means.now() + IDLE_SECONDS))
                    trial.works()
                    for one in kept:
                        trial.passed_on = holding is None
                        yield one
                if self._ways.answered_by is not None:
                    return
                if holding is not None:
                    holding.drop()
        raise self._ways.exhausted()


@dataclass(slots=True)
class _Holding:
    """Bytes of an answer that are held back."""

    memory: HeldMemory
    size: int = 0

    def take(self, size: int) -> None:
        """Hold so many more. Raises `TooMuchHeld`."""
        self.memory.take(size, self.size)
        self.size += size

    def drop(self) -> None:
        """They are passed on, or another answer takes their place."""
        self.memory.give_back(self.size)
        self.size = 0


def _first_token_until(trial: Trial) -> float:
    return min(trial.until, trial.began + trial.step.first_token_timeout_seconds)
