"""A SQLite database as a file: copied in one snapshot while it is written to, and recognised."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

OWN_FILES = ("-wal", "-shm", "-journal")
"""What SQLite may have beside a database, by the endings of their names."""


class CannotCopy(Exception):
    """The database can't be read, is damaged, or its copy can't be written."""


def copy_database(source: Path, target: Path) -> None:
    """Copy it into a file that is there and empty, and check the copy. Raises `CannotCopy`."""
    try:
        with closing(_opened(source)) as read, closing(sqlite3.connect(target)) as written:
            # In one step: in several it would begin anew at each write of another process.
            read.backup(written)
            (found,) = written.execute("PRAGMA quick_check(1)").fetchone()
    except (sqlite3.Error, UnicodeError) as error:
        # What is said of a damaged schema may hold bytes of it, which Python can't decode.
        raise CannotCopy(str(error)) from error
    if found != "ok":
        raise CannotCopy(f"it is damaged: {found}")


def revision_of(path: Path) -> str | None:
    """What migrations have made of it, or None where it is no database of ours."""
    try:
        with closing(_opened(path)) as opened:
            found = opened.execute("SELECT max(version_num) FROM alembic_version").fetchone()
    except (sqlite3.Error, UnicodeError):
        return None
    revision = None if found is None else found[0]
    return revision if isinstance(revision, str) else None


def _opened(path: Path) -> sqlite3.Connection:
    # Read and write, as SQLite wants it of whoever reads beside writers; it makes no database.
    how = "mode=rw" if os.access(path, os.W_OK) else "mode=ro&immutable=1"
    name = quote(os.fsencode(path.absolute()))
    return sqlite3.connect(f"file:{name}?{how}", uri=True, timeout=30)
