"""Who listens to a source of pushes, and what brings each of them to the newest state.

A listener's position is the state that it was last given; None before the first. A source makes one
event for all that stand at the same position, so a thousand that keep up cost one. Whoever can't
take anything at the moment stays where it is and is brought forward in one step later: that is its
only slot, and nothing queues.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Protocol, TypeVar

E = TypeVar("E")

Step = tuple[E | None, object]
"""An event, and the position of whoever was given it. None: there is nothing to tell on the way."""


class Listeners(Protocol):
    """All listeners of one source. Positions are told apart by identity."""

    wake: asyncio.Event
    """To be set where something happened: there is news, somebody came, somebody can take again."""

    def positions(self) -> Iterable[object | None]:
        """The distinct positions of those who can take an event now."""

    def give(self, position: object | None, reached: object, /) -> None:
        """The source's next event goes to those at `position`, and brings them to `reached`."""

    def move(self, position: object | None, reached: object, /) -> None:
        """Those at `position` are at `reached`, without an event."""


class OneListener:
    """A single listener, which takes an event whenever it asks for one."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self._position: object | None = None

    def positions(self) -> Iterable[object | None]:
        """Its position."""
        return (self._position,)

    def give(self, _position: object | None, reached: object, /) -> None:
        """It is given the next event."""
        self._position = reached

    def move(self, _position: object | None, reached: object, /) -> None:
        """It was told nothing."""
        self._position = reached


async def pushes(
    step: Callable[[object | None], Step[E] | None], listeners: Listeners
) -> AsyncGenerator[E, None]:
    """The events of a source, each as soon as it is due to somebody who can take it.

    `step` says what brings a listener forward from a position, None where it has the newest. When
    the next event is asked for, the last one was given to those whom it was for.
    """
    while True:
        # Before looking: what happens from here on is another turn.
        listeners.wake.clear()
        found: E | None = None
        for position in listeners.positions():
            due = step(position)
            if due is None:
                continue
            found, reached = due
            if found is not None:
                listeners.give(position, reached)
                break
            listeners.move(position, reached)
        if found is None:
            await listeners.wake.wait()
        else:
            yield found
