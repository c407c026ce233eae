"""A database of any released version is migrated with all that is in it, also by one that was
killed in the middle of it before.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from db.engine import Database
from db.migrate import migrate, newest_revision, present_revision
from db.tables import metadata
from tests.conftest import administer, postgres_url
from tests.db.old_databases import Rows, at_revision, fill, lost, read, revisions, tables_of

REBUILT = {"0002": {"usage_rollups"}}
"""Tables that a revision makes anew, from others: tests/db/test_migrate.py has those."""


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest) -> str:
    """Each database in turn."""
    found: str = request.param
    if found == "postgresql":
        request.getfixturevalue("postgres")  # Skips where there is no PostgreSQL.
    return found


@pytest.fixture
async def bare(dialect: str, tmp_path: Path) -> AsyncIterator[Database]:
    """An open database without any table."""
    name = f"trunkline_old_{uuid4().hex}"
    if dialect == "postgresql":
        await administer(f'CREATE DATABASE "{name}"')
        url = postgres_url(name)
    else:
        url = f"sqlite+aiosqlite:///{tmp_path / 'trunkline.db'}"
    opened = Database.open(url)
    yield opened
    await opened.close()
    if dialect == "postgresql":
        await administer(f'DROP DATABASE "{name}" WITH (FORCE)')


def without(rows: Rows, tables: Collection[str]) -> Rows:
    """The others."""
    return {name: found for name, found in rows.items() if name not in tables}


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


def one_more(connection: Connection, revision: str) -> tuple[Rows, Rows]:
    """Go on to this revision, and add rows that its own version could have: all that is there
    before that, and all that is there then.
    """
    at_revision(revision, connection)
    tables = tables_of(connection)
    migrated = read(connection, tables)
    fill(connection, tables, revision)
    return migrated, read(connection, tables)


def everything(connection: Connection) -> Rows:
    """All that is there."""
    return read(connection, tables_of(connection))


@pytest.mark.slow
async def test_every_released_schema_is_migrated_with_its_data(bare: Database) -> None:
    """At each revision there are rows of that one and of all before it."""
    every = revisions()
    assert (every[0], every[-1]) == ("0001", newest_revision())
    before: Rows = {}
    for revision in every:
        migrated, filled = await bare.transact(
            lambda connection, revision=revision: connection.run_sync(  # type: ignore[misc]
                one_more, revision
            )
        )
        missing = lost(without(before, REBUILT.get(revision, ())), migrated)
        assert missing == [], f"revision {revision}"
        before = filled
    async with bare.read() as connection:
        assert await connection.run_sync(_differences) == []


@pytest.mark.slow
async def test_a_migration_that_was_killed_is_done_whole_by_the_next(bare: Database) -> None:
    _, before = await bare.transact(lambda connection: connection.run_sync(one_more, "0001"))
    url = bare._writer.url.render_as_string(hide_password=False)
    for statement in (8, 40):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.db.killed_migration", url, str(statement)
        )
        assert await process.wait() == -signal.SIGKILL
        async with bare.read() as connection:
            assert await present_revision(connection) == "0001"
            assert lost(before, await connection.run_sync(everything)) == []
    await migrate(bare)
    async with bare.read() as connection:
        assert await present_revision(connection) == newest_revision()
        after = await connection.run_sync(everything)
        assert await connection.run_sync(_differences) == []
    assert lost(without(before, REBUILT["0002"]), after) == []
