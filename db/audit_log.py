"""The audit log: who changed what of the configuration. Entries are inserted and read, and that is
all: nothing here changes or deletes one.

Ids are in the order of commits, so whoever reads on from the last that it saw misses none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Row, and_, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.advisory_lock import hold
from db.paging import PageRequest, Slice, decode_cursor, slice_of
from db.storable import storable
from db.tables import audit_entries, models, providers
from db.vocabulary import AuditActorKind, AuditObjectKind

Fields = Mapping[str, object]
"""What is shown of an object, by the API's names of its fields: values as JSON has them."""

LONGEST_LABEL = 300
_ORDER = "audit_log"
# "audit" in ASCII: any number that no other lock has.
_LOCK = 0x6175646974


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditActorRow:
    """Who made a change. `token_id` is of the access token, which may be revoked by now."""

    kind: AuditActorKind
    name: str
    token_id: int | None = None
    in_session: bool = False


@dataclass(frozen=True, slots=True)
class FieldChangeRow:
    """A field of an entry, its values as JSON; None where there was, or is, no object."""

    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAuditEntry:
    """An entry to insert. `before` is None of what was created, `after` of what was deleted."""

    at: datetime
    actor: AuditActorRow
    request_id: str | None
    action: str
    object_kind: AuditObjectKind
    object_id: int | None
    object_label: str
    before: Fields | None
    after: Fields | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntryRow(NewAuditEntry):
    """An entry as stored."""

    id: int

    @property
    def changes(self) -> Sequence[FieldChangeRow]:
        """Field by field, in the order in which the object is shown."""
        before, after = self.before or {}, self.after or {}
        return [
            FieldChangeRow(field, _json(self.before, field), _json(self.after, field))
            for field in dict.fromkeys([*before, *after])
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditCondition:
    """What entries are narrowed to; None: not by this. An empty list matches nothing.

    `objects` are kinds with ids. Of the instants `begin` is in and `end` out.
    """

    object_kinds: tuple[AuditObjectKind, ...] | None = None
    objects: tuple[tuple[AuditObjectKind, int], ...] | None = None
    actor_kinds: tuple[AuditActorKind, ...] | None = None
    actor_names: tuple[str, ...] | None = None
    token_ids: tuple[int, ...] | None = None
    actions: tuple[str, ...] | None = None
    begin: datetime | None = None
    end: datetime | None = None


EVERYTHING = AuditCondition()


async def insert_audit_entries(
    connection: AsyncConnection, entries: Sequence[NewAuditEntry]
) -> None:
    """Insert these, in their order.

    From here on until the transaction ends no other inserts any, so call it late: after every other
    row of the change is written.
    """
    if not entries:
        return
    # A sequence gives ids before the commit, and without the lock a later one could be seen first.
    await hold(connection, _LOCK)
    await connection.execute(insert(audit_entries), [_values(entry) for entry in entries])


async def page_audit_entries(
    connection: AsyncConnection, page: PageRequest, condition: AuditCondition = EVERYTHING
) -> Slice[AuditEntryRow]:
    """Those that match, the newest first. Raises `BadCursor`."""
    narrowed = _matching(condition)
    statement = select(audit_entries).where(*narrowed)
    if page.after is not None:
        (last_id,) = decode_cursor(_ORDER, page.after, (int,))
        statement = statement.where(audit_entries.c.id < last_id)
    statement = statement.order_by(audit_entries.c.id.desc()).limit(page.first + 1)
    found = [_entry(row) for row in await connection.execute(statement)]
    total = None
    if page.with_total:
        counted = select(func.count()).select_from(audit_entries).where(*narrowed)
        total = await connection.scalar(counted)
    return slice_of(page, found, lambda row: (row.id,), _ORDER, total)


async def load_audit_entries(
    connection: AsyncConnection, ids: Sequence[int]
) -> Mapping[int, AuditEntryRow]:
    """These, by id."""
    statement = select(audit_entries).where(audit_entries.c.id.in_(ids))
    return {row.id: _entry(row) for row in await connection.execute(statement)}


async def last_audit_entry(connection: AsyncConnection) -> int:
    """The newest entry's id; 0 where there is none."""
    return await connection.scalar(select(func.max(audit_entries.c.id))) or 0


async def audit_entries_after(
    connection: AsyncConnection,
    last_id: int,
    condition: AuditCondition = EVERYTHING,
    *,
    most: int,
    up_to_id: int,
) -> list[AuditEntryRow]:
    """Those that match and were committed after the one with this id: the first so many, oldest
    first, none that is newer than `up_to_id`.
    """
    statement = (
        select(audit_entries)
        .where(audit_entries.c.id > last_id, audit_entries.c.id <= up_to_id, *_matching(condition))
        .order_by(audit_entries.c.id)
        .limit(most)
    )
    return [_entry(row) for row in await connection.execute(statement)]


async def model_labels(connection: AsyncConnection, ids: Sequence[int]) -> Mapping[int, str]:
    """`<provider slug>/<wire name>` of these models, by id."""
    statement = (
        select(models.c.id, (providers.c.slug + "/" + models.c.wire_name).label("label"))
        .join(providers, providers.c.id == models.c.provider_id)
        .where(models.c.id.in_(ids))
    )
    return {row.id: row.label for row in await connection.execute(statement)}


def _matching(condition: AuditCondition) -> list[ColumnElement[bool]]:
    columns = audit_entries.c
    listed: tuple[tuple[ColumnElement[Any], Sequence[object] | None], ...] = (
        (columns.object_kind, condition.object_kinds),
        (columns.actor_kind, condition.actor_kinds),
        (columns.actor_name, condition.actor_names),
        (columns.actor_token_id, condition.token_ids),
        (columns.action, condition.actions),
    )
    found: list[ColumnElement[bool]] = [
        column.in_(values) for column, values in listed if values is not None
    ]
    if condition.objects is not None:
        by_kind: dict[AuditObjectKind, list[int]] = {kind: [] for kind, _ in condition.objects}
        for kind, object_id in condition.objects:
            by_kind[kind].append(object_id)
        found.append(
            or_(
                columns.id.in_([]),
                *(
                    and_(columns.object_kind == kind.value, columns.object_id.in_(ids))
                    for kind, ids in by_kind.items()
                ),
            )
        )
    if condition.begin is not None:
        found.append(columns.at >= condition.begin)
    if condition.end is not None:
        found.append(columns.at < condition.end)
    return found


def _values(entry: NewAuditEntry) -> dict[str, object]:
    return {
        "at": entry.at,
        "actor_kind": entry.actor.kind.value,
        "actor_name": storable(entry.actor.name, longest=LONGEST_LABEL),
        "actor_token_id": entry.actor.token_id,
        "in_session": entry.actor.in_session,
        "request_id": entry.request_id,
        "action": entry.action,
        "object_kind": entry.object_kind.value,
        "object_id": entry.object_id,
        "object_label": storable(entry.object_label, longest=LONGEST_LABEL),
        "before": None if entry.before is None else orjson.dumps(entry.before).decode(),
        "after": None if entry.after is None else orjson.dumps(entry.after).decode(),
    }


def _entry(row: Row[Any]) -> AuditEntryRow:
    return AuditEntryRow(
        id=row.id,
        at=row.at,
        actor=AuditActorRow(
            kind=AuditActorKind(row.actor_kind),
            name=row.actor_name,
            token_id=row.actor_token_id,
            in_session=row.in_session,
        ),
        request_id=row.request_id,
        action=row.action,
        object_kind=AuditObjectKind(row.object_kind),
        object_id=row.object_id,
        object_label=row.object_label,
        before=None if row.before is None else orjson.loads(row.before),
        after=None if row.after is None else orjson.loads(row.after),
    )


def _json(fields: Fields | None, field: str) -> str | None:
    return None if fields is None or field not in fields else orjson.dumps(fields[field]).decode()
