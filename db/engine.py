"""The connection to the store: one `Database`, SQLite by file or PostgreSQL by URL.

Reads are snapshots. Writes are one transaction each, committed once, and survive the cancellation
of whoever asked. On SQLite writers take the write lock when they begin (`BEGIN IMMEDIATE`): the
driver's own mode loses updates without an error, and a plain BEGIN fails half of them.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from db.database_url import BadDatabaseUrl, parse_url
from db.failing import STORE_ERRORS, connection_to, failing
from db.one_trip import connected
from db.questions import Asked
from db.sqlite_readers import PRAGMAS, READ_ONLY, SqliteReaders
from db.transaction_watch import TransactionWatch
from db.write_watch import write_watch, writing

T = TypeVar("T")

Connection = AsyncConnection
"""What a transaction's work gets; the layers above pass it on and look no closer."""

_READERS = 4
_POSTGRESQL_CONNECTIONS = 10
_ATTEMPTS = 8
# Whoever was cancelled in the middle of a read gives its connection back within milliseconds.
_LAST_READS_SECONDS = 5.0
# Serialization failure and deadlock: another transaction won, and this one may simply run again.
_RETRYABLE_SQLSTATES = frozenset({"40001", "40P01"})
# A driver that finds no server raises the system's own error.
_STORE_ERRORS: tuple[type[Exception], ...] = (*STORE_ERRORS, OSError)


class Database:
    """`ask` and `read()` for snapshots, `transact()` for one write transaction.

    Made by `Database.open`; whoever opened it awaits `close()`.
    """

    def __init__(
        self, reader: AsyncEngine, writer: AsyncEngine, readers: SqliteReaders | None = None
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._readers = readers
        self.watch = TransactionWatch()
        self._under_way: set[asyncio.Future[Any]] = set()
        self._reads = 0
        # Set when the last read has ended; there once somebody closes.
        self._closing: asyncio.Event | None = None

    @classmethod
    def open(cls, url: str) -> "Database":
        """Prepare connections to `url`; none is made before the first use.

        Raises `BadDatabaseUrl` where the URL is neither SQLite on a file nor PostgreSQL.
        """
        parsed = parse_url(url)
        try:
            if parsed.get_backend_name() == "sqlite":
                reader = _sqlite(parsed, "BEGIN", read_only=True)
                writer = _sqlite(parsed, "BEGIN IMMEDIATE")
                (path,), options = reader.dialect.create_connect_args(parsed)
                return cls(reader, writer, SqliteReaders(path, options, _READERS))
            return cls(*_postgresql(parsed))
        except (ArgumentError, ValueError) as error:
            raise BadDatabaseUrl("one of its parameters has a value that can't be read") from error

    @classmethod
    def examine(cls, url: str) -> "Database":
        """Prepare connections that change nothing at all, also not a file beside the database.

        For `read()` only; the database must be there. Raises `BadDatabaseUrl`.
        """
        parsed = parse_url(url)
        if parsed.get_backend_name() != "sqlite":
            return cls.open(url)
        path = Path(parsed.database or "").absolute()
        # Whoever has a database open in WAL mode has this file beside it. Where nobody has, reading
        # would make one, unless nobody is said to write either.
        served = path.with_name(f"{path.name}-wal").exists()
        given = URL.create(
            "sqlite+aiosqlite",
            database=f"file:{quote(os.fsencode(path))}",
            query={"mode": "ro", "uri": "true"} | ({} if served else {"immutable": "1"}),
        )
        engine = _sqlite(given, "BEGIN", read_only=True, pragmas=("busy_timeout=7000",))
        return cls(engine, engine)

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        """Which database this is."""
        return "sqlite" if self._writer.dialect.name == "sqlite" else "postgresql"

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection that sees one state of the store, however many statements it runs.

        Raises `StoreUnavailable` where it can't be used, here and at each statement.
        Cancelling the caller ends the statement that runs, on both databases.
        """
        with self._reading():
            async with connection_to(self._reader) as connection, connection.begin():
                yield connection

    async def ask(self, *asked: Asked) -> list[Sequence[Any]]:
        """The answer to each of these, all of one state of the store. Raises as `read` does.

        Cancelling the caller ends the statement that runs, on both databases.
        """
        with self._reading():
            texts = [one.question.text(self._writer.dialect) for one in asked]
            put = [
                (text.sql, text.values(one.given)) for text, one in zip(texts, asked, strict=True)
            ]
            if self._readers is not None:
                found = await self._readers.ask(put)
            else:
                async with connection_to(self._reader) as connection, connection.begin():
                    found = [
                        list((await connection.exec_driver_sql(sql, values)).all())
                        for sql, values in put
                    ]
        return [text.answer(rows) for text, rows in zip(texts, found, strict=True)]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        self._reads += 1
        began, failed = perf_counter(), False
        try:
            with failing():
                yield
        except _STORE_ERRORS:
            failed = True
            raise
        finally:
            self._reads -= 1
            if self._closing is not None and not self._reads:
                self._closing.set()
            self.watch.ended("read", perf_counter() - began, failed=failed)

    async def transact(
        self,
        work: Callable[[AsyncConnection], Awaitable[T]],
        *,
        after: Callable[[T], None] | None = None,
    ) -> T:
        """Run `work` in one write transaction, commit it, and return what it returned.

        `after` gets that too, once it is committed, also where the caller is gone by then.

        Raises `StoreUnavailable` where the database can't be used. What `work` raises rolls
        everything back. It runs again when another transaction won the race, so it must not touch
        anything but the connection. Cancelling the caller neither interrupts nor undoes it: only
        its end says whether the change was made. Who watches the operation's writes
        (`write_watch.py`) may withdraw one that has not begun.
        """
        task = asyncio.ensure_future(self._transact(work, after))
        self._under_way.add(task)
        task.add_done_callback(self._finished)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            watch = write_watch()
            if watch is not None and watch.withdrawn:
                # It still waits for its turn: a write that has begun is not withdrawn.
                task.cancel()
            raise

    @property
    def under_way(self) -> tuple[int, int]:
        """How many reads and writes are under way, those that wait for their turn among them."""
        return self._reads, len(self._under_way)

    async def close(self) -> None:
        """Wait for the writes and reads under way, then close every connection.

        A read is waited for at most 5 seconds. Its connection can't be closed by anybody else:
        given back later, it would stay open for as long as the process lives.
        """
        if self._under_way:
            await asyncio.wait(self._under_way)
        if self._reads:
            self._closing = asyncio.Event()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _LAST_READS_SECONDS)
        if self._readers is not None:
            await self._readers.close()
        await self._reader.dispose()
        await self._writer.dispose()

    async def _transact(
        self, work: Callable[[AsyncConnection], Awaitable[T]], after: Callable[[T], None] | None
    ) -> T:
        began, failed = perf_counter(), False
        try:
            with failing():
                result = await self._committed(work)
        except _STORE_ERRORS:
            failed = True
            raise
        finally:
            self.watch.ended("write", perf_counter() - began, failed=failed)
        if after is not None:
            after(result)
        return result

    async def _committed(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._attempt(work)
            except DBAPIError as error:
                if attempt == _ATTEMPTS or not _is_retryable(error):
                    raise
                self.watch.retried += 1
        raise AssertionError("unreachable")

    async def _attempt(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        with writing() as begin:
            async with connection_to(self._writer) as connection, connection.begin():
                begin()
                return await work(connection)

    def _finished(self, task: "asyncio.Future[Any]") -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # Seen, in case the caller is gone: asyncio would warn otherwise.


def _postgresql(url: URL) -> tuple[AsyncEngine, AsyncEngine]:
    engine = create_async_engine(
        url,
        hide_parameters=True,
        pool_size=_POSTGRESQL_CONNECTIONS,
        max_overflow=0,
        pool_pre_ping=True,
    )
    reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return reader, engine


def _sqlite(
    url: URL, begin: str, *, read_only: bool = False, pragmas: Sequence[str] = PRAGMAS
) -> AsyncEngine:
    engine = create_async_engine(
        url,
        connect_args={
            "isolation_level": None,
            "async_creator_fn": partial(connected, reads=read_only),
        },
        # Parameters hold names, masks and hashes; an error's text ends in a log.
        hide_parameters=True,
        pool_size=_READERS if read_only else 1,
        max_overflow=0,
        pool_timeout=60,
    )

    def on_connect(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in (*pragmas, *([READ_ONLY] if read_only else [])):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def on_begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "connect", on_connect)
    event.listen(engine.sync_engine, "begin", on_begin)
    return engine


def _is_retryable(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) in _RETRYABLE_SQLSTATES
