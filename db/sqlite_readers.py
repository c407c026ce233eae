"""Connections to SQLite that answer questions: all that is asked at once in one trip, and in one
state of the store.
"""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy.exc import OperationalError

from db.one_trip import OneTripConnection, connected

PRAGMAS = ("busy_timeout=7000", "journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL")
"""Of every connection. FULL survives a power loss, not only a killed process; usage is money."""

READ_ONLY = "query_only=ON"

Put = tuple[str, tuple[Any, ...]]
"""A statement and what goes into it."""


class SqliteReaders:
    """At most so many connections; who asks meanwhile waits. Whoever made it awaits `close`."""

    def __init__(self, path: str, options: Mapping[str, Any], most: int) -> None:
        self._path = path
        self._options = options
        self._free = asyncio.Semaphore(most)
        # The one last used is taken first: its cache is warm, and the others may never be opened.
        self._idle: list[OneTripConnection] = []
        self._closed = False

    async def ask(self, put: Sequence[Put]) -> list[list[Any]]:
        """The rows of each. Cancelling the caller ends the statement that runs.

        What the store raises comes as SQLAlchemy's, like everything else that is read.
        """
        try:
            return await self._asked(put)
        except sqlite3.Error as error:
            raise OperationalError(None, None, error, hide_parameters=True) from error

    async def _asked(self, put: Sequence[Put]) -> list[list[Any]]:
        async with self._free:
            connection = self._idle.pop() if self._idle else await self._opened()
            try:
                found: list[list[Any]] = await connection.visit(_answers, connection._conn, put)  # noqa: SLF001  # the thread's own
            finally:
                # A statement that was interrupted has ended its transaction before the next begins.
                await self._give_back(connection)
            return found

    async def close(self) -> None:
        """Close every connection; one that is in use, when it is given back."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    async def _opened(self) -> OneTripConnection:
        opening = asyncio.ensure_future(_open(self._path, self._options))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            # It takes a moment, and whoever leaves it half open leaves it open for good. That it
            # can't be opened is no news to who is cancelled.
            with suppress(sqlite3.Error):
                await self._give_back(await opening)
            raise

    async def _give_back(self, connection: OneTripConnection) -> None:
        if self._closed:
            await connection.close()
        else:
            self._idle.append(connection)


async def _open(path: str, options: Mapping[str, Any]) -> OneTripConnection:
    connection = connected(path, reads=True, isolation_level=None, **options)
    await connection
    try:
        for pragma in (*PRAGMAS, READ_ONLY):
            await connection.run(f"PRAGMA {pragma}", (), many=False)
    except BaseException:
        await connection.close()
        raise
    return connection


def _answers(connection: sqlite3.Connection, put: Sequence[Put]) -> list[list[Any]]:
    if len(put) == 1:  # A statement is a snapshot by itself.
        return [connection.execute(*put[0]).fetchall()]
    connection.execute("BEGIN")
    try:
        return [connection.execute(*one).fetchall() for one in put]
    finally:
        connection.rollback()
