"""One server to a SQLite file.

Two would each believe that they see every change and every write, and subscribers of one would miss
what happened in the other. The lock is the operating system's: it ends with the process, however
that ends.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.failures import CannotStart
from server.private_files import open_lock


class DatabaseInUse(CannotStart):
    """Another server runs on this file."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"another server is running on {path}: stop it, or give this one another "
            "TRUNKLINE_DATA_DIR or TRUNKLINE_DATABASE_URL"
        )


@contextmanager
def sole_server(database: Path | None) -> Iterator[None]:
    """Hold the lock of a SQLite file; None, for PostgreSQL, needs none. Raises `DatabaseInUse`."""
    if database is None:
        yield
        return
    # Beside the database, not on it: SQLite's own locks are on that file.
    path = database.with_name(f"{database.name}.lock")
    try:
        file = open_lock(path)
    except OSError as error:
        raise CannotStart(
            f"TRUNKLINE_DATABASE_URL: {path} can't be written: {error.strerror}"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DatabaseInUse(database) from error
        yield
