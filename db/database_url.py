"""The URL of a database: which ones are taken, and what is wrong with another."""

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

# Those of Python's driver; others are SQLite's own.
_SQLITE_PARAMETERS = frozenset(
    {"timeout", "isolation_level", "detect_types", "check_same_thread", "cached_statements"}
)


class BadDatabaseUrl(ValueError):
    """The URL names no database that Trunkline can use."""


def parse_url(url: str) -> URL:
    """The same with the name of our driver. Raises `BadDatabaseUrl`."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # ValueError: of a port that is no number.
        raise BadDatabaseUrl("it is no database URL") from error
    if parsed.drivername in {"postgresql", "postgresql+asyncpg"}:
        return parsed.set(drivername="postgresql+asyncpg")
    if parsed.drivername in {"sqlite", "sqlite+aiosqlite"}:
        in_memory = parsed.database == ":memory:" or parsed.query.get("mode") == "memory"
        if not parsed.database or in_memory:
            raise BadDatabaseUrl("SQLite needs a file: sqlite+aiosqlite:///path/to/trunkline.db")
        if "uri" not in parsed.query and parsed.query.keys() - _SQLITE_PARAMETERS:
            # They would be left out, with a warning.
            raise BadDatabaseUrl("SQLite's own parameters, such as mode, need file: and uri=true")
        return parsed.set(drivername="sqlite+aiosqlite")
    raise BadDatabaseUrl("give sqlite+aiosqlite:///… or postgresql+asyncpg://…")
