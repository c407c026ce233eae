"""What the commands that work on the store have in common, beside a server or without one."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from server.database_lock import DatabaseInUse, sole_server
from server.failures import CannotStart
from server.settings import PREFIX, Settings

T = TypeVar("T")

_MAKE_WAY_SECONDS = 0.11


def require_database(settings: Settings) -> None:
    """A command sets up no database. Raises `CannotStart` where there is no file."""
    path = settings.database_path
    try:
        is_there = path is None or path.is_file()
    except OSError as error:  # Its name is too long, or a folder before it is closed to us.
        raise CannotStart(f"{PREFIX}DATA_DIR: {path} can't be read: {error.strerror}") from error
    if not is_there:
        raise CannotStart(
            f"there is no database at {path}: start `trunkline serve` first, "
            f"or give its {PREFIX}DATA_DIR"
        )


async def make_way(settings: Settings) -> None:
    """Let a server on the same file write. Await it between transactions."""
    if is_served(settings.database_path):
        await asyncio.sleep(_MAKE_WAY_SECONDS)


def is_served(database: Path | None) -> bool:
    """Whether a server runs on this SQLite file.

    Writers of different processes try for its lock now and then and in no order, so an import that
    never pauses would keep a server from recording until it gives up. PostgreSQL needs no such
    care.
    """
    if database is None:
        return False
    try:
        with sole_server(database):
            return False
    except DatabaseInUse:
        return True


def run_on_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work to its end."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def first_line_of(error: Exception) -> str:
    """The first line of what a driver or the system says."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip().partition("\n")[0] or type(error).__name__
