"""The audit log, for whoever asserts that something left an entry in it."""

from collections.abc import Sequence

from db.audit_log import AuditEntryRow, audit_entries_after
from trunkline.services import Services


async def entries_of(services: Services) -> Sequence[AuditEntryRow]:
    """Every entry, oldest first."""
    async with services.database.read() as connection:
        return await audit_entries_after(connection, 0, most=10_000, up_to_id=2**62)
