"""What is known of a database's transactions: how many, how long, how they ended.

The time is whole, from asking for a connection to giving it back: a full pool and a held lock show
in it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from db.durations import Durations

Access = Literal["read", "write"]
Trace = Callable[[Access, float, bool], None]
"""Told of each transaction that ended: after how many seconds, and whether the store failed it."""


@dataclass(slots=True)
class TransactionWatch:
    """Of one `Database`. `failed` counts those that the store failed, not what callers refuse."""

    durations: dict[Access, Durations] = field(
        default_factory=lambda: {"read": Durations(), "write": Durations()}
    )
    failed: dict[Access, int] = field(default_factory=lambda: {"read": 0, "write": 0})
    retried: int = 0
    """Writes that ran again, as another transaction won the race."""
    trace: Trace | None = None

    def ended(self, access: Access, seconds: float, *, failed: bool) -> None:
        """One has ended."""
        self.durations[access].note(seconds)
        if failed:
            self.failed[access] += 1
        if self.trace is not None:
            self.trace(access, seconds, failed)
