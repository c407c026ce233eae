"""`trunkline audit export`: the audit log as a file, beside a server or without one."""

from collections.abc import Sequence
from pathlib import Path

from server.audit_parameters import AuditAsked, audit_asked
from server.export_files import write_export
from server.failures import CannotStart
from server.logs import configure_logs
from server.settings import Settings
from server.store_commands import require_database, run_on_loop
from server.wiring import open_database
from trunkline.audit.exporting import export_audit
from trunkline.errors import BadRequest


def run_export(settings: Settings, given: Sequence[tuple[str, str]], output: Path | None) -> None:
    """Write an export. Raises `CannotStart`."""
    try:
        asked = audit_asked(given)
    except BadRequest as error:
        raise CannotStart(str(error)) from error
    require_database(settings)
    configure_logs(settings.log_format)
    run_on_loop(_export(settings, asked, output))


async def _export(settings: Settings, asked: AuditAsked, output: Path | None) -> None:
    async with open_database(settings) as database:
        parts = export_audit(database, asked.condition, after_id=asked.after_id)
        await write_export(parts, output)
