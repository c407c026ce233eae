"""What a round of a fault gives: counts, or what was violated."""

from collections import Counter
from dataclasses import dataclass, field


class Violation(AssertionError):
    """Something that no fault may cause."""


@dataclass
class Counts:
    """What happened in rounds of one fault, by what it is called in the report."""

    of: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, number: int = 1) -> None:
        """So many more of these."""
        self.of[name] += number

    def most(self, name: str, number: int) -> None:
        """The largest seen."""
        self.of[name] = max(self.of[name], number)


def demand(holds: object, violated: str) -> None:
    """Raise `Violation` unless it holds."""
    if not holds:
        raise Violation(violated)
