"""What the commands that work on the store have in common, beside a server or without one."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from db.failing import STORE_ERRORS, StoreUnavailable
from server.database_lock import DatabaseInUse, sole_server
from server.failures import CannotStart
from server.logs import configure_logs
from server.settings import PREFIX, Settings
from server.wiring import command_services
from trunkline.errors import Refused
from trunkline.services import Services

T = TypeVar("T")

_MAKE_WAY_SECONDS = 0.11


def require_database(settings: Settings) -> None:
    """A command sets up no database. Raises `CannotStart` where there is no file, or an empty one.

    Nothing is sealed in an empty one, so that a rotation would drop the key of the right one.
    """
    path = settings.database_path
    try:
        is_there = path is None or (path.is_file() and path.stat().st_size > 0)
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
    """Run a command's work to its end. Raises `CannotStart` where the database can't be used."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)
    except StoreUnavailable as error:
        raise CannotStart(str(error)) from error
    except STORE_ERRORS as error:
        raise CannotStart(
            f"the database can't be used: {first_line_of(error)}; `trunkline doctor` says more"
        ) from error


def run_on_services(settings: Settings, work: Callable[[Services], Awaitable[None]]) -> None:
    """Run a command's work on the store. Raises `CannotStart`, for what is refused too."""
    require_database(settings)
    configure_logs(settings.log_format)

    async def on_services() -> None:
        async with command_services(settings) as services:
            await work(services)

    try:
        run_on_loop(on_services())
    except Refused as refusal:
        raise CannotStart(str(refusal)) from refusal


def write_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of cells to stdout, in columns; the first names them."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def minute(at: datetime | None) -> str:
    """An instant in a table."""
    return "-" if at is None else at.strftime("%Y-%m-%d %H:%M UTC")


def first_line_of(error: Exception) -> str:
    """The first line of what a driver or the system says."""
    if isinstance(error, StoreUnavailable):
        return error.reason
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip().partition("\n")[0] or type(error).__name__
