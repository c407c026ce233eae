"""Which counters a server has seen, and so what it has yet to tell its subscribers and caches."""

from collections.abc import Mapping, Set
from enum import Enum

from db.change_counters import Counter

# Hostile messages could name ever new writers; the poll soon forgets those that aren't stored.
MOST_COUNTERS = 10_000


class Heard(Enum):
    """How a message's counter follows on what was seen."""

    NEXT = "next"
    GAP = "gap"
    OLD = "old"


class Seen:
    """The value of each counter up to which everything was told. Touched by the event loop only."""

    def __init__(self) -> None:
        self._values: dict[Counter, int] = {}

    def hear(self, counter: Counter, before: int, value: int) -> Heard:
        """Take what a message says of a counter for seen, and say how it follows."""
        seen = self._values.get(counter, 0)
        if value <= seen:
            return Heard.OLD
        if counter not in self._values and len(self._values) >= MOST_COUNTERS:
            return Heard.OLD
        self._values[counter] = value
        return Heard.NEXT if before == seen else Heard.GAP

    def follow(self, counter: Counter, before: int, value: int) -> None:
        """Take a commit of our own for seen; one that doesn't follow is left to the poll."""
        if self._values.get(counter, 0) == before:
            self._values[counter] = value

    def values(self) -> Mapping[Counter, int]:
        """What was seen up to now, to be given to `compare` with what is stored after now."""
        return dict(self._values)

    def is_behind(self, stored: Mapping[Counter, int]) -> bool:
        """Whether a counter is stored that is above what was seen."""
        return any(value > self._values.get(counter, 0) for counter, value in stored.items())

    def compare(self, heard: Mapping[Counter, int], stored: Mapping[Counter, int]) -> Set[str]:
        """Take what is stored for seen, and return the kinds of which something is yet to be told.

        `heard` is what was seen before `stored` was read. A commit can be read before any message
        tells of it, so what was heard by then and is not stored was made up: it is unlearned, and
        its kinds are told again, since true messages may have been taken for old meanwhile.
        """
        behind = set()
        for counter, value in heard.items():
            true = stored.get(counter)
            if true is None:
                # Made up, or forgotten after a long silence.
                del self._values[counter]
            elif true < value:
                self._values[counter] = true
                behind.add(counter[1])
        for counter, value in stored.items():
            if value > self._values.get(counter, 0):
                self._values[counter] = value
                behind.add(counter[1])
        return behind
