"""Bring a database to this program's schema.

Runs at every start, in one transaction under a lock in the database, so that several processes may
start at once. A database made by a newer program is refused: opening it could lose what it holds.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database

# Any constant will do, as long as nobody else in this PostgreSQL database takes it.
ADVISORY_LOCK = 0x7472756E6B


class DatabaseTooNew(Exception):
    """The database was made by a newer version of the program."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"the database is at revision {revision}, which this version does not know: "
            "start the newer version that made it, or restore a backup"
        )


async def migrate(database: Database) -> None:
    """Make or upgrade the schema; nothing happens where it is current. Raises `DatabaseTooNew`."""

    async def upgrade(connection: AsyncConnection) -> None:
        if database.dialect == "postgresql":
            await connection.execute(
                text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK}
            )
        await connection.run_sync(_upgrade)

    await database.transact(upgrade)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    script = ScriptDirectory.from_config(config)
    known = {revision.revision for revision in script.walk_revisions()}
    for revision in MigrationContext.configure(connection).get_current_heads():
        if revision not in known:
            raise DatabaseTooNew(revision)
    if set(script.get_heads()) != set(MigrationContext.configure(connection).get_current_heads()):
        command.upgrade(config, "head")
