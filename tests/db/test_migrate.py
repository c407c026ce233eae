"""Migrations make exactly the tables that the program uses, once, and refuse a newer database."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from db.engine import Database
from db.migrate import DatabaseTooNew, migrate
from db.tables import metadata


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


async def test_the_migrated_schema_is_the_declared_one(database: Database) -> None:
    async with database.read() as connection:
        assert await connection.run_sync(differences) == []
        names = await connection.run_sync(lambda sync: set(inspect(sync).get_table_names()))
    assert names == {*metadata.tables, "alembic_version"}


async def test_migrating_again_at_the_same_time_changes_nothing(database: Database) -> None:
    await asyncio.gather(*(migrate(database) for _ in range(5)))
    async with database.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_database_of_a_newer_version_is_refused(database: Database) -> None:
    await database.transact(
        lambda connection: connection.execute(
            text("UPDATE alembic_version SET version_num = 'from-the-future'")
        )
    )
    with pytest.raises(DatabaseTooNew, match="newer version"):
        await migrate(database)


async def test_every_table_is_strict_on_sqlite(database: Database) -> None:
    if database.dialect != "sqlite":
        pytest.skip("STRICT is SQLite's own")
    async with database.read() as connection:
        lax = await connection.scalars(
            text(
                "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' "
                "AND NOT strict AND name NOT LIKE 'sqlite_%' AND name <> 'alembic_version'"
            )
        )
        assert list(lax) == []
