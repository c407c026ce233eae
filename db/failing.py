"""When the database can't be used for now: what drivers say of it, in one error of ours.

A disk that is full, a lock that another process holds, a server that is away. Whoever asked may ask
again; what was to be written is not, unless the connection broke while it was being committed.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_AWAY = "its server can't be reached"
_SQLITE = {
    "database or disk is full": "its disk is full",
    "database is locked": "another process holds its lock",
    "database table is locked": "another process holds its lock",
    "disk I/O error": "its disk can't be used",
    "unable to open database file": "its file can't be opened",
    "attempt to write a readonly database": "its file can't be written",
}
# Classes of https://www.postgresql.org/docs/current/errcodes-appendix.html.
_POSTGRESQL = {
    "08": _AWAY,
    "53": "its server has no room left",
    "57P": "its server is stopping or starting",
    "58": "its server's disk can't be used",
}


class StoreUnavailable(Exception):
    """The database can't be used just now; `reason` says why, and nothing of what was asked."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the database can't be used just now: {reason}. Try again in a moment")
        self.reason = reason


STORE_ERRORS: tuple[type[Exception], ...] = (StoreUnavailable, SQLAlchemyError)
"""What reading and writing raise of a database that can't be used, or is broken."""


@contextmanager
def failing(*, connecting: bool = False) -> Iterator[None]:
    """Errors of a database that can't be used are raised as `StoreUnavailable`.

    `connecting` says that the block does nothing else, so that any error of the system is one.
    """
    try:
        yield
    except (DBAPIError, NoConnection) as error:
        reason = _reason(error)
        if reason is None:
            raise
        raise StoreUnavailable(reason) from error
    except OSError as error:
        if not connecting:
            raise
        raise StoreUnavailable(_AWAY) from error


@asynccontextmanager
async def connection_to(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection; whatever keeps it from being made is raised as `StoreUnavailable`."""
    async with AsyncExitStack() as stack:
        with failing(connecting=True):
            connection = await stack.enter_async_context(engine.connect())
        yield connection


def _reason(error: DBAPIError | NoConnection) -> str | None:
    if isinstance(error, NoConnection):
        return "all its connections are busy"
    state = getattr(error.orig, "sqlstate", None)
    if isinstance(state, str):
        for start, reason in _POSTGRESQL.items():
            if state.startswith(start):
                return reason
    if error.connection_invalidated:
        return _AWAY
    said = str(error.orig)
    return next((reason for words, reason in _SQLITE.items() if words in said), None)
