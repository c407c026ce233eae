"""The changes of one kind of object since any earlier moment, for listeners that read at their own
pace.

One entry an object, that of its last change. Whoever stands before it is told once, and of what is
true by then: an object that was created and then updated is CREATED to those who hadn't heard of
it, UPDATED to the others.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, TypeVar

from db.vocabulary import ChangeKind
from trunkline.events import MOST_PENDING, Change, Event, Missed

C = TypeVar("C", bound=Change)


class Mark:
    """A moment between two changes: a position of `trunkline.listeners`."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


class ChangeLog(Generic[C]):
    """Hears changes of one type from an `EventBus`; `wake` is set at each.

    It keeps `MOST_PENDING` objects. Whoever stands before what it has forgotten is told `Missed`.
    Touched by the event loop only.
    """

    def __init__(
        self, kind: type[C], wake: asyncio.Event, *, wanted: Callable[[C], bool] = lambda _: True
    ) -> None:
        self._kind = kind
        self._wake = wake
        self._wanted = wanted
        self._newest = Mark(0)
        # Whoever stands before this has missed something.
        self._complete_from = 0
        # By the object's id, oldest change first: where the change stands, where the object's
        # creation does, and the change.
        self._changes: dict[int, tuple[Mark, int, C]] = {}

    def offer(self, event: Event) -> None:
        """Take an event, if it is of the kind and wanted."""
        if not isinstance(event, self._kind) or not self._wanted(event):
            return
        self._newest = Mark(self._newest.number + 1)
        _, created, _ = self._changes.pop(event.id, (None, 0, None))
        if event.kind is ChangeKind.CREATED:
            created = self._newest.number
        self._changes[event.id] = (self._newest, created, event)
        if len(self._changes) > MOST_PENDING:
            forgotten, _, _ = self._changes.pop(next(iter(self._changes)))
            self._complete_from = forgotten.number
        self._wake.set()

    def miss(self, kinds: tuple[type, ...]) -> None:
        """It isn't known what changed of these kinds."""
        if not any(issubclass(kind, self._kind) for kind in kinds):
            return
        self._newest = Mark(self._newest.number + 1)
        self._complete_from = self._newest.number
        self._changes.clear()
        self._wake.set()

    def after(self, position: object | None) -> tuple[C | Missed, Mark] | None:
        """What comes next for whoever stands at `position`; `Missed` is the first of all."""
        if position is None:
            return Missed(), self._newest
        assert isinstance(position, Mark)  # noqa: S101  # what it gave
        if position is self._newest:
            return None
        if position.number < self._complete_from:
            return Missed(), self._newest
        for mark, created, event in self._changes.values():
            if mark.number > position.number:
                return self._as_heard(event, created, position), mark
        return None

    def _as_heard(self, event: C, created: int, position: Mark) -> C:
        if event.kind is ChangeKind.UPDATED and created > position.number:
            return replace(event, kind=ChangeKind.CREATED)
        return event
