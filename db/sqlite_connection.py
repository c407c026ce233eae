"""A connection to a SQLite file whose statement ends when nobody waits for it any more.

Cancelling a task does not reach the thread that runs its statement, which would go on reading for
as long as it takes, and keep whoever closes the connection waiting.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any

from aiosqlite import Connection

_ROWS_AT_ONCE = 64


class InterruptedConnection(Connection):
    """For reading: what it interrupts leaves nothing half done."""

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # Everything that it does goes through here.
        try:
            return await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]  # theirs
        except asyncio.CancelledError:
            if self._connection is not None:
                self._connection.interrupt()
            raise


def interrupted_connection(database: str, **options: Any) -> InterruptedConnection:
    """One that opens when it is awaited; takes what `sqlite3.connect` takes."""
    connection = InterruptedConnection(partial(sqlite3.connect, database, **options), _ROWS_AT_ONCE)
    # As SQLAlchemy does with its own: a process that ends doesn't wait for it.
    connection._thread.daemon = True  # noqa: SLF001  # it offers no other way
    return connection
