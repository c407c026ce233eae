"""The writing side: counts each commit in its own transaction, and sends word of it afterwards."""

from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

from db.change_counters import bump_counters
from db.columns import to_microseconds
from db.engine import Connection
from trunkline.clock import Clock
from trunkline.events import Event
from trunkline.processes.bus import Bus, NoBus
from trunkline.processes.messages import KINDS, Commit, Count, encoded
from trunkline.processes.seen import Seen

COMMAND_LINE = "command-line"
"""The writer that all commands share, so that many short ones don't leave many rows."""
_SEEDING = "seeding"
# More commits than are ever under way, so that a counter's first value is told from its next.
_ROOM = 1_000_000


def new_writer() -> str:
    """A name that no other process has."""
    return uuid4().hex


class Announcer:
    """One for each process: its name as a writer, and its way to the others.

    `seen` is what this process has told its own subscribers; a server's follower shares it.
    """

    def __init__(self, clock: Clock, *, writer: str | None = None, bus: Bus | None = None) -> None:
        self.writer = writer or new_writer()
        self.bus: Bus = bus or NoBus()
        self.seen = Seen()
        self._clock = clock
        self._last = 0

    async def count(self, connection: Connection, events: Sequence[Event]) -> Sequence[Count]:
        """Count a commit that publishes these events. The last statement of its transaction."""
        kinds = {KINDS[type(event)] for event in events}
        if not kinds:
            return ()
        now = self._clock()
        # Above all that went before and is under way, also where the clock was set back.
        first = max(to_microseconds(now), self._last + _ROOM)
        values = await bump_counters(connection, self.writer, sorted(kinds), first=first, now=now)
        return [
            # Two that begin a counter in one microsecond may be mistaken for each other here, which
            # costs their listeners a reading and no more.
            Count(kind, 0 if value == first else value - 1, value)
            for kind, value in sorted(values.items())
        ]

    def announce(self, counts: Sequence[Count], events: Sequence[Event]) -> None:
        """Send word of a commit. Call it after the commit, and after our own were told."""
        if not counts:
            return
        for one in counts:
            self._last = max(self._last, one.value)
            self.seen.follow((self.writer, one.kind), one.before, one.value)
        self.bus.send(encoded(Commit(self.writer, counts, events)))


async def count_seeding(
    connection: Connection, kinds: Sequence[type[Event]], now: datetime
) -> None:
    """Count what a start put into the store, before it can publish anything."""
    names = sorted(KINDS[kind] for kind in kinds)
    first = to_microseconds(now)
    await bump_counters(connection, _SEEDING, names, first=first, now=now)
