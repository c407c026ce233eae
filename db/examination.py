"""What may be seen of a database without changing it: versions, whole or not, rights, its clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import metadata

_MOST_FAULTS = 5
_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")


@dataclass(frozen=True, slots=True)
class Examined:
    """`faults` are the database's own words of what is broken, or of what it doesn't allow us.

    `revision` is None where no migration ran yet. `now` is its own clock, where it has one.
    """

    version: str
    revision: str | None
    faults: Sequence[str]
    now: datetime | None


async def examine(connection: AsyncConnection) -> Examined:
    """Look at the database of this connection. On SQLite it reads the whole file."""
    revision = await connection.run_sync(
        lambda sync: (
            sync.scalar(text("SELECT max(version_num) FROM alembic_version"))
            if inspect(sync).has_table("alembic_version")
            else None
        )
    )
    if connection.dialect.name == "sqlite":
        version = await connection.scalar(text("SELECT sqlite_version()"))
        rows = await connection.execute(text(f"PRAGMA quick_check({_MOST_FAULTS})"))
        faults = [str(row[0]) for row in rows if row[0] != "ok"]
        return Examined(f"SQLite {version}", revision, faults, None)
    version = await connection.scalar(text("SHOW server_version"))
    now = await connection.scalar(text("SELECT clock_timestamp()"))
    return Examined(f"PostgreSQL {version}", revision, await _withheld(connection), now)


async def _withheld(connection: AsyncConnection) -> list[str]:
    faults = []
    encoding = await connection.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8":
        faults.append(f"its encoding is {encoding}, and must be UTF8")
    may_create = "SELECT has_schema_privilege(current_schema(), 'CREATE')"
    if not await connection.scalar(text(may_create)):
        faults.append("this user may not CREATE in its schema, which migrations do")
    present = set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))
    for table in metadata.sorted_tables:
        if table.name in present:
            for right in _RIGHTS:
                may = text("SELECT has_table_privilege(:table, :right)")
                names = {"table": f'"{table.name}"', "right": right}
                if not await connection.scalar(may, names):
                    faults.append(f"this user may not {right} in {table.name}")
    return faults[:_MOST_FAULTS]
