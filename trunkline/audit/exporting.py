"""The audit log on its way out: NDJSON, oldest first, a transaction a page.

Fields: `docs/audit.md`.
"""

from collections.abc import AsyncGenerator

import orjson

from db import audit_log as store
from db.audit_log import AuditCondition, AuditEntryRow
from db.engine import Database
from trunkline.audit.showing import TYPE_NAMES
from trunkline.global_ids import global_id
from trunkline.instants import format_instant
from trunkline.usage.exporting import Part

PAGE_ENTRIES = 500
"""Of one transaction and one part: 250 kB of usual entries, 32 MB of the largest there can be."""


async def export_audit(
    database: Database, condition: AuditCondition, *, after_id: int = 0
) -> AsyncGenerator[Part, None]:
    """Every entry that matches, was committed when this began, and follows the one with this id.

    Each once and in the order of commits, so the last one's id is where to go on another day.
    """
    async with database.read() as connection:
        newest = await store.last_audit_entry(connection)
    full = True
    while full:
        async with database.read() as connection:
            entries = await store.audit_entries_after(
                connection, after_id, condition, most=PAGE_ENTRIES, up_to_id=newest
            )
        full = len(entries) == PAGE_ENTRIES
        if entries:
            after_id = entries[-1].id
            yield Part(b"".join(map(_line, entries)), len(entries))


def _line(entry: AuditEntryRow) -> bytes:
    actor = entry.actor
    return orjson.dumps(
        {
            "id": global_id("AuditEntry", entry.id),
            "at": format_instant(entry.at),
            "actor": {
                "kind": actor.kind.value,
                "name": actor.name,
                "accessTokenId": None
                if actor.token_id is None
                else global_id("AccessToken", actor.token_id),
                "inSession": actor.in_session,
            },
            "requestId": entry.request_id,
            "action": entry.action,
            "objectKind": entry.object_kind.value,
            "objectId": object_id(entry),
            "objectLabel": entry.object_label,
            "before": entry.before,
            "after": entry.after,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def object_id(entry: AuditEntryRow) -> str | None:
    """The global id of what an entry is about, also once that is deleted."""
    type_name = TYPE_NAMES.get(entry.object_kind)
    if type_name is None or entry.object_id is None:
        return None
    return global_id(type_name, entry.object_id)
