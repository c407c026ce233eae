"""What this process has counted since it began, by provider: for the metrics that it shows.

Added to after each commit, so that it holds what is stored and nothing else: the sums are those of
the usage events that this process recorded. Touched by the event loop's thread only.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from db.usage import NewEventRow

Source = Literal["gateway", "reported"]
"""Whether a request went through the gateway, or somebody reported it."""


@dataclass(slots=True)
class Tallied:
    """Of one provider. As in an event, cached tokens are part of input, reasoning of output.

    `cost_nanos` is in nanodollars, of the events whose price is known; `unpriced` counts the rest.
    """

    events: int = 0
    failed: int = 0
    estimated: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nanos: int = 0
    unpriced: int = 0

    def add(self, row: NewEventRow) -> None:
        """Count one event."""
        self.events += 1
        self.failed += not row.succeeded
        self.estimated += row.estimated
        self.input_tokens += row.input_tokens
        self.cache_read_tokens += row.cache_read_tokens
        self.cache_write_tokens += row.cache_write_tokens
        self.output_tokens += row.output_tokens
        self.reasoning_tokens += row.reasoning_tokens
        if row.cost_nanos is None:
            self.unpriced += 1
        else:
            self.cost_nanos += row.cost_nanos


class UsageTally:
    """All of it. As many providers are in it as are configured at most."""

    def __init__(self) -> None:
        self.by_provider: dict[tuple[int, Source], Tallied] = {}

    def add(self, rows: Iterable[NewEventRow], source: Source) -> None:
        """Count events that were committed."""
        for row in rows:
            key = (row.provider_id, source)
            tallied = self.by_provider.get(key)
            if tallied is None:
                tallied = self.by_provider[key] = Tallied()
            tallied.add(row)
