"""Migrations make exactly the tables that the program uses, once, and refuse a newer database."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

import db.migrate
from db.access_tokens import find_token
from db.audit_log import last_audit_entry
from db.columns import to_microseconds
from db.engine import Database
from db.installation import installation_id
from db.migrate import DatabaseTooNew, migrate, newest_revision
from db.rollup_levels import KEY, SUMMED
from db.rollup_writing import sum_levels
from db.tables import metadata, usage_rollups
from db.usage import NewEventRow, insert_events
from tests.conftest import administer, postgres_url


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


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest) -> str:
    """Each database in turn. Asked for here, as the template can't be made within a loop."""
    found: str = request.param
    if found == "postgresql":
        request.getfixturevalue("postgres")  # Skips where there is no PostgreSQL.
    return found


@pytest.fixture
async def bare_database(dialect: str, tmp_path: Path) -> AsyncIterator[Database]:
    """An open database without any table."""
    if dialect == "sqlite":
        opened = Database.open(f"sqlite+aiosqlite:///{tmp_path / 'trunkline.db'}")
        yield opened
        await opened.close()
        return
    name = f"trunkline_bare_{uuid4().hex}"
    await administer(f'CREATE DATABASE "{name}"')
    opened = Database.open(postgres_url(name))
    yield opened
    await opened.close()
    await administer(f'DROP DATABASE "{name}" WITH (FORCE)')


def at_revision(revision: str, connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(db.migrate.__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


async def test_processes_that_migrate_an_empty_database_at_once_make_it_once(
    bare_database: Database,
) -> None:
    url = bare_database._writer.url.render_as_string(hide_password=False)
    every = [bare_database, *(Database.open(url) for _ in range(3))]
    done = await asyncio.gather(*map(migrate, every), return_exceptions=True)
    ids = await asyncio.gather(*map(installation_id, every), return_exceptions=True)
    for one in every:
        await one.close()
    assert done == [None] * 4
    assert ids == [await installation_id(bare_database)] * 4
    async with bare_database.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_rollups_of_the_first_schema_are_made_anew_on_every_level(
    bare_database: Database,
) -> None:
    chance = random.Random(4)
    events = [
        NewEventRow(
            idempotency_key=str(number),
            fingerprint=b"print",
            occurred_at=datetime(2026, 11, 1, tzinfo=UTC)
            + timedelta(seconds=chance.randrange(3 * 86_400)),
            provider_id=1,
            model_id=1,
            agent=chance.choice(["", "a", "ü"]),
            chain_id=chance.choice([0, 7]),
            succeeded=chance.random() < 0.8,
            input_tokens=chance.choice([0, 10]),
            cache_read_tokens=0,
            cache_write_tokens=0,
            output_tokens=chance.choice([0, 5]),
            reasoning_tokens=0,
            estimated=chance.random() < 0.1,
            cost_nanos=chance.choice([None, 12]),
            latency_ms=chance.choice([None, 0, 1, 9, chance.randrange(100_000), 86_400_000]),
        )
        for number in range(300)
    ]

    async def fill(connection: AsyncConnection) -> None:
        await connection.run_sync(lambda sync: at_revision("0001", sync))
        named = "id, name, name_folded, version, created_at, updated_at"
        await connection.execute(
            text(
                f"INSERT INTO providers ({named}, slug, kind, base_url, enabled, "
                "connection_revision) VALUES (1, 'a', 'a', 1, 1, 1, 'a', 'OLLAMA', '', true, 1)"
            )
        )
        await connection.execute(
            text(
                f"INSERT INTO models ({named}, provider_id, wire_name, search_text, "
                "price_tiered, enabled, deprecated, source) "
                "VALUES (1, 'a', 'a', 1, 1, 1, 1, 'a', 'a', false, true, false, 'CUSTOM')"
            )
        )
        await insert_events(connection, events, now=datetime.now(UTC))

    await bare_database.transact(fill)
    await migrate(bare_database)
    async with bare_database.read() as connection:
        rows = await connection.execute(
            select(*(usage_rollups.c[name] for name in (*KEY, *SUMMED)))
        )
        found = {
            (row.level, to_microseconds(row.bucket_start), *row[2 : len(KEY)]): row[len(KEY) :]
            for row in rows
        }
    assert found == {
        (level, *key): parts
        for level, sums in enumerate(sum_levels(events))
        for key, parts in sums.items()
    }


async def test_the_audit_log_begins_empty_in_a_database_that_has_had_none(
    bare_database: Database,
) -> None:
    async def fill(connection: AsyncConnection) -> None:
        await connection.run_sync(lambda sync: at_revision("0007", sync))
        await connection.execute(
            text(
                "INSERT INTO access_tokens (name, name_folded, token_hash, masked, scopes, "
                "created_at) VALUES ('t', 't', :hash, 'tl_…4f2A', '[\"READ\"]', 1)"
            ),
            {"hash": b"hash"},
        )

    await bare_database.transact(fill)
    await migrate(bare_database)
    async with bare_database.read() as connection:
        assert await connection.run_sync(differences) == []
        assert await find_token(connection, b"hash") is not None
        assert await last_audit_entry(connection) == 0


def test_files_are_named_after_their_revisions_in_order() -> None:
    """A start goes by the names, and asks Alembic only where the newest isn't there."""
    config = Config()
    folder = Path(db.migrate.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    script = ScriptDirectory.from_config(config)
    names = sorted(path.stem.partition("_")[0] for path in (folder / "versions").glob("[0-9]*.py"))
    assert names == sorted(one.revision for one in script.walk_revisions())
    assert [newest_revision()] == script.get_heads()
