"""SQLite's driver with one trip to its thread for a statement, where it takes four.

aiosqlite gives each connection a thread, and asks it to make a cursor, to execute, to fetch and
to close: each is a trip of some 50 µs, and a page of the catalog took twenty. Everything is done
on the first here. `BEGIN` goes with the statement that follows it, which loses nothing: a plain
`BEGIN` takes no snapshot and no lock before that.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any

import aiosqlite
from aiosqlite.core import _STOP_RUNNING_SENTINEL  # what ends its thread

_ROWS_AT_ONCE = 1_000

Executed = tuple[sqlite3.Cursor | None, Any, list[Any], int, int | None]
"""The cursor while it has more rows, its description, the first rows, their count, the last id."""


class Result:
    """A cursor as SQLAlchemy's adapter uses one: most often all of its rows are here at once."""

    arraysize = 1

    def __init__(self, connection: "OneTripConnection") -> None:
        self._connection = connection
        # Open in the thread while it has more rows than are here.
        self._cursor: sqlite3.Cursor | None = None
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> "Result":
        return self

    async def execute(self, sql: str, parameters: Iterable[Any] = ()) -> "Result":
        """Execute, and fetch the first rows."""
        await self._run(sql, parameters, many=False)
        return self

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> "Result":
        """Execute for each."""
        await self._run(sql, parameters, many=True)
        return self

    async def fetchone(self) -> Any:
        """The next row, or None."""
        rows = await self.fetchmany(1)
        return rows[0] if rows else None

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next rows."""
        wanted = self.arraysize if size is None else size
        if self._cursor is not None and len(self._rows) < wanted:
            self._rows += await self._connection.visit(
                self._cursor.fetchmany, max(wanted, _ROWS_AT_ONCE)
            )
        rows, self._rows = self._rows[:wanted], self._rows[wanted:]
        return rows

    async def fetchall(self) -> list[Any]:
        """The rows that are left."""
        rows, self._rows = self._rows, []
        if self._cursor is not None:
            rows += await self._connection.visit(self._cursor.fetchall)
        return rows

    async def close(self) -> None:
        """Close what is open in the thread."""
        cursor, self._cursor, self._rows = self._cursor, None, []
        if cursor is not None:
            await self._connection.visit(cursor.close)

    async def _run(self, sql: str, parameters: Iterable[Any], *, many: bool) -> None:
        await self.close()
        found = await self._connection.run(sql, parameters, many=many)
        if found is not None:
            self._cursor, self.description, self._rows, self.rowcount, self.lastrowid = found


class OneTripConnection(aiosqlite.Connection):
    """A connection of aiosqlite."""

    _begins = False
    _told_to_stop = False

    def stop(self) -> "asyncio.Future[Any] | None":
        """Have the thread close the connection and end. Once: told again, it would answer never,
        and who was cancelled while closing waited for that until the end of the process.

        Nobody need wait for the answer.
        """
        if self._told_to_stop:
            return None
        self._told_to_stop = True
        self._running = False
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # A collected one stops itself, wherever that is.
            self._tx.put_nowait((None, self._close_and_stop))
            return None
        stopped = loop.create_future()
        self._tx.put_nowait((stopped, self._close_and_stop))
        return stopped

    def _close_and_stop(self) -> object:
        """In its thread."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        return _STOP_RUNNING_SENTINEL

    def cursor(self) -> Result:  # type: ignore[override]  # what SQLAlchemy's adapter enters
        """Made here; the thread makes its own."""
        return Result(self)

    async def visit(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """One trip to the thread."""
        return await self._execute(work, *arguments)  # type: ignore[no-untyped-call]  # its own

    async def run(self, sql: str, parameters: Iterable[Any], *, many: bool) -> "Executed | None":
        """Execute a statement; None for a `BEGIN`, which waits for the next."""
        if sql == "BEGIN":
            self._begins = True
            return None
        begins, self._begins = self._begins, False
        executed: Executed = await self.visit(_executed, self._conn, sql, parameters, begins, many)
        return executed

    async def commit(self) -> None:
        """Commit, where something was begun."""
        if self._left():
            await super().commit()

    async def rollback(self) -> None:
        """Roll back, where something was begun."""
        if self._left():
            await super().rollback()

    def _left(self) -> bool:
        """Whether there is a transaction to end. One that only began needs no end."""
        self._begins = False
        return self._connection is not None and self._connection.in_transaction


class OneTripReader(OneTripConnection):
    """One that only reads: nobody waits for the end of its transactions, and a statement that
    nobody waits for any more is ended. The thread would go on with it for as long as it takes, and
    keep whoever closes the connection waiting.
    """

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # Everything that it does goes through here.
        try:
            return await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]  # theirs
        except asyncio.CancelledError:
            if self._connection is not None:
                self._connection.interrupt()
            raise

    async def commit(self) -> None:
        """Let the thread end it, before whatever it is asked for next."""
        if self._left():
            self._tx.put_nowait((None, self._conn.commit))


def connected(
    database: str, *, reads: bool, isolation_level: None, **options: Any
) -> OneTripConnection:
    """A connection to await, as `aiosqlite.connect` gives one. It leaves transactions to us."""

    def connect() -> sqlite3.Connection:
        made: sqlite3.Connection = sqlite3.connect(
            database, isolation_level=isolation_level, **options
        )
        return made

    connection = (OneTripReader if reads else OneTripConnection)(connect, 64)
    # A daemon, as SQLAlchemy makes it: a program may end without closing the connection.
    connection._thread = Thread(target=_work, args=(connection._tx,), daemon=True)  # noqa: SLF001
    return connection


def _work(tasks: "SimpleQueue[tuple[asyncio.Future[Any] | None, Callable[[], Any]]]") -> None:
    """What the thread does. aiosqlite's own ends with a traceback where the loop is closed before
    the answer is there: that of a read which was cancelled as the program ended.
    """
    result: Any = None
    while result is not _STOP_RUNNING_SENTINEL:
        future, task = tasks.get()
        error: BaseException | None = None
        try:
            result = task()
        except BaseException as raised:  # noqa: BLE001  # whoever waits for it is told
            result, error = None, raised
        if future is not None:
            with suppress(RuntimeError):
                future.get_loop().call_soon_threadsafe(_answer, future, result, error)


def _answer(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _executed(
    connection: sqlite3.Connection,
    sql: str,
    parameters: Any,
    begins: bool,  # noqa: FBT001
    many: bool,  # noqa: FBT001
) -> Executed:
    if begins:
        connection.execute("BEGIN").close()
    cursor = connection.cursor()
    try:
        (cursor.executemany if many else cursor.execute)(sql, parameters)
        rows = cursor.fetchmany(_ROWS_AT_ONCE) if cursor.description else []
    except BaseException:
        cursor.close()
        raise
    found = cursor.description, rows, cursor.rowcount, cursor.lastrowid
    if len(rows) == _ROWS_AT_ONCE:
        return cursor, *found
    cursor.close()
    return None, *found
