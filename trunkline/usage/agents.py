"""Which agents usage may be recorded for: a bounded number of names, so that a bug in an agent's
name (an id of each run, say) can't fill the store and every chart.
"""

from collections.abc import Sequence

from db import agents as store
from db.engine import Connection
from trunkline.changes import Problems
from trunkline.errors import ProblemCode
from trunkline.usage.intake import NewUsageEvent


class KnownAgents:
    """The names that are known to be stored, at most `most`. Names are never taken back, so what
    is known stays true; what others add is looked up when it comes.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # Touched by the event loop's thread only.
        self._names: set[str] = set()

    def knows(self, name: str) -> bool:
        """Whether this name is known to be stored."""
        return name in self._names

    def remember(self, names: Sequence[str]) -> None:
        """Names that are stored and committed."""
        self._names.update(names)

    async def admit(
        self, connection: Connection, events: Sequence[NewUsageEvent], problems: Problems
    ) -> Sequence[str]:
        """Store the new names among these events', as many as there is room for.

        Notes TOO_MANY for each event whose agent has no room, and returns the names to remember
        once they are committed. Events whose agents are all known cost no statement.
        """
        named = {event.agent for event in events if event.agent is not None}
        unknown = named - self._names
        if not unknown:
            return ()
        stored = await store.stored_agents(connection, sorted(unknown))
        if unknown <= stored:
            return sorted(stored)
        count = await store.hold_agents(connection)
        # Again: somebody may have added some while we waited.
        stored = await store.stored_agents(connection, sorted(unknown))
        room = max(0, self._most - count)
        # In the order in which they come, so that it can be told whose are too many.
        new = list(
            dict.fromkeys(
                event.agent
                for event in events
                if event.agent is not None and event.agent in unknown - stored
            )
        )
        refused = frozenset(new[room:])
        for place, event in enumerate(events):
            if event.agent in refused:
                problems.add(
                    ProblemCode.TOO_MANY,
                    ("events", str(place), "agent"),
                    f"usage is kept for {self._most} agents already, and this would be another: "
                    "see that agents' names hold no id of a run, or raise TRUNKLINE_MOST_AGENTS",
                )
        await store.insert_agents(connection, new[:room])
        return sorted({*stored, *new[:room]})
