"""Subscriptions to changes of objects: READY, then each change with the object as it stands."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from db.vocabulary import ChangeKind
from resolvers.context import OperationContext
from trunkline.change_log import ChangeLog
from trunkline.events import Change, Missed
from trunkline.listeners import pushes
from trunkline.patience import patiently
from trunkline.services import Services

T = TypeVar("T")
C = TypeVar("C", bound=Change)


@dataclass(frozen=True, slots=True)
class ChangeRow(Generic[T]):
    """One message. `changed_id` is None in READY only; `subject` also once it is deleted."""

    kind: ChangeKind
    changed_id: int | None = None
    subject: T | None = None


async def watch_changes(
    context: OperationContext,
    event_type: type[C],
    load: Callable[[Services, Sequence[int]], Awaitable[Mapping[int, T]]],
    *,
    slug_of: Callable[[C], str],
    slugs: Sequence[str] | None,
) -> AsyncIterator[ChangeRow[T]]:
    """Changes of one type, those whose slug is in `slugs`, or all where that is None.

    Listening begins before READY is said. A change waits until the store can be read. More missed
    than is worth listing is READY again.
    """
    services = context.services
    listeners = context.listeners()
    wanted = None if slugs is None else frozenset(slugs)
    log = ChangeLog(
        event_type,
        listeners.wake,
        wanted=lambda event: wanted is None or slug_of(event) in wanted,
    )
    with services.events.telling(log):
        async with aclosing(pushes(log.after, listeners)) as events:
            async for event in events:
                if isinstance(event, Missed):
                    yield ChangeRow(ChangeKind.READY)
                    continue
                found = await patiently(partial(load, services, [event.id]))
                subject = found.get(event.id)
                # Deleted since: say so now, whatever the event said; its own event merges with it.
                kind = event.kind if subject is not None else ChangeKind.DELETED
                yield ChangeRow(kind, event.id, subject)
