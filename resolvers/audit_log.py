"""Fields about the audit log. Whoever reads an entry, by whatever way, has the scope ADMIN."""

from collections.abc import Mapping, Sequence

from db import audit_log as store
from db.audit_log import AuditCondition, AuditEntryRow
from db.paging import PageRequest, Slice
from db.vocabulary import AccessScope
from resolvers.context import OperationContext
from trunkline.services import Services


async def list_entries(
    context: OperationContext, page: PageRequest, condition: AuditCondition
) -> Slice[AuditEntryRow]:
    """A page of entries, the newest first."""
    async with context.services.database.read() as connection:
        return await store.page_audit_entries(connection, page, condition)


async def entry_by_id(context: OperationContext, entry_id: int) -> AuditEntryRow | None:
    """The entry with this id. Raises `Forbidden`."""
    context.require(AccessScope.ADMIN)
    return await context.load(_load_entries, entry_id)


async def _load_entries(services: Services, ids: Sequence[int]) -> Mapping[int, AuditEntryRow]:
    async with services.database.read() as connection:
        return await store.load_audit_entries(connection, ids)
