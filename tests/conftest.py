"""Fixtures that every layer's tests share: real databases, the services on them, the schema.

Whoever asks for `database` runs twice, on a SQLite file and on PostgreSQL. Where no PostgreSQL is
reachable its half is skipped with a reason, and fails instead when CI=true. Each test finds its
database as migrations leave it: SQLite's file is copied, and PostgreSQL, which takes half a second
to copy and drop one, has a database for each process that runs tests, emptied before each.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import hypothesis
import pytest
import structlog
from sqlalchemy import event
from sqlalchemy.engine import make_url

from db.engine import Database
from db.migrate import migrate
from resolvers.context import OperationContext, Viewer
from schema.root import schema
from server.settings import read_settings
from server.wiring import services_on
from tests.planted.plugin import pytest_configure, pytest_runtest_makereport
from trunkline.secrets import Secrets, generate_secret_key
from trunkline.services import Services

__all__ = ["pytest_configure", "pytest_runtest_makereport"]
"""What pytest is to find here though it is defined elsewhere: see `tests/planted`."""

POSTGRES_URL = os.environ.get(
    "TRUNKLINE_TEST_POSTGRES_URL", "postgresql+asyncpg://postgres@127.0.0.1:5432/test"
)
IN_CI = os.environ.get("CI") == "true"


def skip_or_fail(reason: str) -> None:
    """A laptop may lack what a test needs; our CI must not."""
    if IN_CI:
        pytest.fail(f"CI must have it: {reason}")
    pytest.skip(reason)


# Half of Hypothesis' own number: each runs at every commit, and `make fuzz` runs what has no end.
hypothesis.settings.register_profile("suite", max_examples=50)
hypothesis.settings.load_profile("suite")

# As the program does, without values of local variables. What structlog does by itself where rich
# is installed takes a second a traceback, on the event loop.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        ),
    ]
)

# Every test passes with TRUNKLINE_COMPILED=false, and with true.
schema.execute_compiled(compiled=read_settings().compiled)


class SetClock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        """Move on, by the keywords of `timedelta`."""
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> SetClock:
    """Ten in the morning in New York, three in the afternoon in UTC."""
    return SetClock(datetime(2026, 11, 23, 15, 0, tzinfo=UTC))


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("template") / "trunkline.db"
    asyncio.run(_migrate(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator["EmptiedPostgres"]:
    """A migrated PostgreSQL database, this process's own; skips where there is none."""
    name = f"trunkline_test_{uuid4().hex}"
    try:
        asyncio.run(administer(f'CREATE DATABASE "{name}"'))
    except (OSError, asyncpg.exceptions.PostgresError) as error:
        skip_or_fail(f"no PostgreSQL at {make_url(POSTGRES_URL).host}: {error}")
    asyncio.run(_migrate(postgres_url(name)))
    yield EmptiedPostgres(name)
    asyncio.run(administer(f'DROP DATABASE "{name}" WITH (FORCE)'))


_THROW_OUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


class EmptiedPostgres:
    """One database, put back to what migrations leave before each test."""

    def __init__(self, name: str) -> None:
        self.url = postgres_url(name)
        self._name = name
        self._putting_back = asyncio.run(self._read())

    async def put_back(self) -> None:
        """Whoever is still connected is thrown out: a test may have left a process behind."""
        await administer(self._putting_back, self._name)

    async def _read(self) -> str:
        """The statements that put it back."""
        connection = await asyncpg.connect(_asyncpg_url(self._name), timeout=30)
        try:
            tables = await connection.fetch(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            )
            sequences = await connection.fetch(
                "SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'"
            )
            statements = [
                _THROW_OUT,
                # Without foreign keys, so in any order.
                "SET session_replication_role = replica",
            ]
            for (table,) in tables:
                rows = await connection.fetch(f'SELECT to_json(t)::text FROM "{table}" t')
                statements.append(f'DELETE FROM "{table}"')
                statements += [
                    f'INSERT INTO "{table}" SELECT * FROM '
                    f'json_populate_record(NULL::"{table}", {_quoted(row)})'
                    for (row,) in rows
                ]
            statements += [f'ALTER SEQUENCE "{sequence}" RESTART' for (sequence,) in sequences]
        finally:
            await connection.close()
        return "; ".join(statements)


@pytest.fixture(params=["sqlite", "postgresql"])
def template(request: pytest.FixtureRequest) -> "Path | EmptiedPostgres":
    """What this run's database is made from."""
    found: Path | EmptiedPostgres = request.getfixturevalue(
        "sqlite_template" if request.param == "sqlite" else "postgres"
    )
    return found


@pytest.fixture
async def database_url(template: "Path | EmptiedPostgres", tmp_path: Path) -> str:
    """The URL of an empty migrated database, one test's own."""
    if isinstance(template, Path):
        path = tmp_path / "trunkline.db"
        shutil.copy(template, path)
        return f"sqlite+aiosqlite:///{path}"
    await template.put_back()
    return template.url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open, migrated, empty database: SQLite, then PostgreSQL."""
    opened = Database.open(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def sqlite_database(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """The same on SQLite alone: where no database has a say in what is tested."""
    path = tmp_path / "trunkline.db"
    shutil.copy(sqlite_template, path)
    opened = Database.open(f"sqlite+aiosqlite:///{path}")
    yield opened
    await opened.close()


class Statements(list[str]):
    """The SQL that ran while it was counted, without BEGIN and what follows from it."""


@pytest.fixture
def count_statements(database: Database) -> Callable[[], Any]:
    """`with count_statements() as statements:` collects what the block ran."""

    @contextmanager
    def counting() -> Iterator[Statements]:
        statements = Statements()

        def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            if statement.startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")):
                statements.append(statement)

        engines = [database._writer.sync_engine]
        if database.dialect == "sqlite":  # On PostgreSQL both share one engine and its events.
            engines.append(database._reader.sync_engine)
        for engine in engines:
            event.listen(engine, "before_cursor_execute", note)
        readers = database._readers
        if readers is not None:  # On PostgreSQL questions go through the engine.
            ask = readers.ask

            async def noted(put: Any) -> Any:
                statements.extend(sql for sql, _ in put)
                return await ask(put)

            readers.ask = noted  # type: ignore[method-assign]
        try:
            yield statements
        finally:
            if readers is not None:
                readers.ask = ask  # type: ignore[method-assign]
            for engine in engines:
                event.remove(engine, "before_cursor_execute", note)

    return counting


def postgres_url(name: str) -> str:
    """The URL of another database of the same server."""
    return make_url(POSTGRES_URL).set(database=name).render_as_string(hide_password=False)


async def _migrate(url: str) -> None:
    database = Database.open(url)
    await migrate(database)
    await database.close()


async def administer(statement: str, name: str | None = None) -> None:
    """Run what needs no transaction of ours, on the database of this name or the given one."""
    connection = await asyncpg.connect(_asyncpg_url(name), timeout=30)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _asyncpg_url(name: str | None) -> str:
    url = make_url(POSTGRES_URL).set(drivername="postgresql")
    return (url.set(database=name) if name else url).render_as_string(hide_password=False)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


Execute = Callable[..., Awaitable[dict[str, Any]]]


SECRET_KEY = generate_secret_key()


@pytest.fixture
async def services(database: Database, clock: SetClock) -> AsyncIterator[Services]:
    """Every part of a running Trunkline on an empty database, with a clock that is set."""
    async with services_on(database, Secrets([SECRET_KEY]), clock=clock) as made:
        yield made


@pytest.fixture
def context(services: Services) -> OperationContext:
    """The context of somebody who is signed in."""
    return OperationContext(services, Viewer("tests"), "request-1")


@pytest.fixture
def execute(context: OperationContext) -> Execute:
    """Run an operation in process and return its data; errors fail the test."""

    async def run(query: str, **variables: Any) -> dict[str, Any]:
        result = await schema.execute(query, variables, context_value=context.fresh())
        assert not result.errors, result.errors
        data: dict[str, Any] = result.data or {}
        return data

    return run
