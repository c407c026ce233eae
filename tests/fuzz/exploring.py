"""Plays what the corpus keeps, then cases that Hypothesis makes up."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Flaky

from tests.fuzz.cases import Case, Finding, Surface, kept
from tests.fuzz.subject import Subject

_SUSPECTS = 6
"""Cases that are played again, each alone, where a finding doesn't come again."""


@dataclass(frozen=True)
class Found:
    """A case, as small as it could be made, and what is wrong with what came of it."""

    case: Case
    why: str


class Explorer:
    """Plays cases of one surface. `played` counts them."""

    def __init__(self, surface: Surface, subject: Subject) -> None:
        self.surface = surface
        self.subject = subject
        self.played = 0

    def play(self, case: Case) -> None:
        """Play one. Raises `Finding`."""
        self.played += 1
        self.surface.play(self.subject, case)
        self.subject.check()

    def replay(self) -> list[Found]:
        """What is wrong with the cases of the corpus."""
        found = []
        for name, case in kept(self.surface.name):
            try:
                self.play(case)
            except Finding as finding:
                found.append(Found(case, f"{name}: {finding}"))
        return found

    def explore(self, examples: int, seed: int | None = None) -> Found | None:
        """Play so many new cases, always the same without a seed; the first that is a finding."""
        failed: list[Found] = []
        before: deque[Case] = deque(maxlen=_SUSPECTS)

        def one(case: Case) -> None:
            if not failed:
                before.append(case)
            try:
                self.play(case)
            except Finding as finding:
                failed.append(Found(case, str(finding)))
                raise

        test = settings(
            max_examples=examples,
            derandomize=seed is None,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        )(given(self.surface.cases)(one))
        if seed is not None:
            test = hypothesis.seed(seed)(test)
        try:
            test()
        except Finding:
            # What is played last is the smallest.
            return failed[-1]
        except Flaky:
            return self._suspected(before, failed[0])
        return None

    def _suspected(self, before: Sequence[Case], first: Found) -> Found:
        """What came but once may have been told of late: it may be of a case before."""
        for case in reversed(before):
            try:
                self.play(case)
                self.subject.settle()
            except Finding as finding:
                return Found(case, str(finding))
        return Found(first.case, f"{first.why} (not again with this case alone)")

    def finish(self) -> Found | None:
        """Look at what all of them left behind."""
        try:
            self.surface.conclude(self.subject)
            self.subject.settle()
        except Finding as finding:
            return Found({}, f"after {self.played} cases: {finding}")
        return None
