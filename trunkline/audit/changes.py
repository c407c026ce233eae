"""What a use case that changes configuration gives back beside its result: the events to publish,
and the changes to enter in the audit log.

`Services.change` takes nothing else, and writes the entries in the transaction of the change. So a
use case says what it changed, or doesn't pass mypy.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

import orjson

from db.audit_log import Fields, NewAuditEntry, insert_audit_entries
from db.engine import Connection
from db.vocabulary import AuditObjectKind
from trunkline.audit.actions import Action
from trunkline.audit.actors import Actor
from trunkline.events import Event

T = TypeVar("T")

MOST_BYTES = 32 * 1024
"""Of JSON of the fields before a change, and of those after it."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the audit log shows of an object: its fields by the API's names, secrets as masks."""

    kind: AuditObjectKind
    id: int | None
    label: str
    fields: Fields = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """What happened to an object. `before` is None where it was created, `after` once deleted."""

    kind: AuditObjectKind
    id: int | None
    label: str
    before: Fields | None
    after: Fields | None


Changes = tuple[ObjectChange, ...]


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """The result of a use case, what it publishes, and what it changed: nothing where it found
    everything as it was to be.
    """

    result: T
    events: Sequence[Event]
    changes: Changes


def nothing_changed(result: T) -> Change[T]:
    """Everything was as it was to be: no event, no entry."""
    return Change(result, (), ())


def created(shown: Shown) -> Changes:
    """An object is there now: all of it."""
    return (ObjectChange(shown.kind, shown.id, shown.label, None, _bounded(shown.fields)),)


def deleted(shown: Shown) -> Changes:
    """An object is gone: all of it."""
    return (ObjectChange(shown.kind, shown.id, shown.label, _bounded(shown.fields), None),)


def updated(before: Shown, after: Shown, *, replaced: Sequence[str] = ()) -> Changes:
    """The fields that differ; nothing where none does.

    `replaced` are fields whose secret was replaced: they are entered also where what may be shown
    of them is the same. The label is the one it had before, by which people know it.
    """
    names = [
        name
        for name in dict.fromkeys([*before.fields, *after.fields])
        if name in replaced or before.fields.get(name) != after.fields.get(name)
    ]
    if not names:
        return ()
    return (
        ObjectChange(
            before.kind,
            before.id,
            before.label,
            _bounded({name: before.fields.get(name) for name in names}),
            _bounded({name: after.fields.get(name) for name in names}),
        ),
    )


async def leave_entries(
    connection: Connection, actor: Actor, action: Action, changes: Changes, now: datetime
) -> None:
    """Enter these changes, in the transaction that makes them, after every other row is written."""
    await insert_audit_entries(
        connection,
        [
            NewAuditEntry(
                at=now,
                actor=actor.row,
                request_id=actor.request_id,
                action=action,
                object_kind=change.kind,
                object_id=change.id,
                object_label=change.label,
                before=change.before,
                after=change.after,
            )
            for change in changes
        ],
    )


def _bounded(fields: Fields) -> Fields:
    """The fields, the longest of them replaced by their length until they fit."""
    sizes = {name: len(orjson.dumps(value)) for name, value in fields.items()}
    kept = dict(fields)
    while sum(sizes.values()) > MOST_BYTES:
        longest = max(sizes, key=lambda name: sizes[name])
        kept[longest] = f"({sizes[longest]:,} bytes of JSON: too long for the audit log)"
        sizes[longest] = 0
    return kept
