"""Bring a database to this program's schema.

Runs at every start, in one transaction under a lock in the database, so that several processes may
start at once. A database made by a newer program is refused: opening it could lose what it holds.
"""

from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database

# Any constant will do, as long as nobody else in this PostgreSQL database takes it.
ADVISORY_LOCK = 0x7472756E6B

_MIGRATIONS = Path(__file__).parent / "migrations"


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


async def present_revision(connection: AsyncConnection) -> str:
    """The revision that a migrated database is at."""
    found = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    return str(found)


def newest_revision() -> str:
    """The revision that this program wants; files are named after their revisions, in order."""
    return max(path.stem.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py"))


def _upgrade(connection: Connection) -> None:
    if _present_revisions(connection) == [newest_revision()]:
        return
    # Only here: it takes a tenth of a second and 7 MB, and mostly there is nothing to do.
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    script = ScriptDirectory.from_config(config)
    known = {revision.revision for revision in script.walk_revisions()}
    for revision in MigrationContext.configure(connection).get_current_heads():
        if revision not in known:
            raise DatabaseTooNew(revision)
    if set(script.get_heads()) != set(MigrationContext.configure(connection).get_current_heads()):
        command.upgrade(config, "head")


def _present_revisions(connection: Connection) -> list[str]:
    if not inspect(connection).has_table("alembic_version"):
        return []
    return [*connection.execute(text("SELECT version_num FROM alembic_version")).scalars()]
