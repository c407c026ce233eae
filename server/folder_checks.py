"""Checks of what is on this machine: the data directory and its files, disk space."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from server.credentials import ADMIN_TOKEN_FILE
from server.failures import CannotStart
from server.findings import Finding, bad, doubtful, good
from server.key_file import SECRET_KEY_FILE
from server.settings import PREFIX, Settings
from server.store_commands import first_line_of, is_served

AS_OWNER = "run as the server's user, or give the folder to it with chown"
"""What to do where files can't be looked at."""
_FEW_BYTES = 1 << 30
_TOO_FEW_BYTES = 100 << 20
_BIG_WAL_BYTES = 1 << 30
_MIB = 1 << 20


def folder_findings(settings: Settings) -> Iterator[Finding]:
    """Look at the data directory, the modes of its files and the space that is left."""
    try:
        yield from _findings(settings)
    except PermissionError as error:
        yield bad("files", f"{error.filename} can't be read: {error.strerror}", AS_OWNER)
    except OSError as error:
        yield bad(
            "data directory",
            f"{settings.data_dir} can't be read: {first_line_of(error)}",
            f"give another {PREFIX}DATA_DIR",
        )


def is_running_on(database: Path) -> bool:
    """Whether a server holds this file, without making the lock's file where there is none."""
    return database.with_name(f"{database.name}.lock").exists() and is_served(database)


def _findings(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir
    try:
        is_there = folder.is_dir()
    except PermissionError as error:  # A folder before it is closed to this user.
        yield bad("data directory", f"{folder} can't be read: {error.strerror}", AS_OWNER)
        return
    if not is_there:
        if settings.database_path is None and settings.secret_keys and settings.admin_token:
            yield good("data directory", "none is needed: everything is in the settings")
        else:
            yield bad(
                "data directory",
                f"there is no {folder}",
                f"start `trunkline serve` once, or give its {PREFIX}DATA_DIR",
            )
        return
    yield _owned(folder)
    yield from _open_to_others(settings)
    yield from _space(settings)


def _owned(folder: Path) -> Finding:
    found = folder.stat()
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return bad(
            "data directory",
            f"{folder} can't be read and written by this user",
            AS_OWNER,
        )
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        return doubtful(
            "data directory", f"{folder} is open to others ({mode:04o})", f"chmod 700 {folder}"
        )
    return good("data directory", f"{folder} is its owner's alone")


def _open_to_others(settings: Settings) -> Iterator[Finding]:
    paths = [settings.data_dir / SECRET_KEY_FILE, settings.data_dir / ADMIN_TOKEN_FILE]
    if settings.database_path is not None:
        paths.append(settings.database_path)
    there = [path for path in paths if path.is_file()]
    loose = [path for path in there if stat.S_IMODE(path.stat().st_mode) & 0o077]
    for path in loose:
        yield bad("files", f"{path} can be read by others", f"chmod 600 {path}")
    if there and not loose:
        yield good("files", f"{', '.join(path.name for path in there)}: their owner's alone")


def _space(settings: Settings) -> Iterator[Finding]:
    database = settings.database_path
    folder = settings.data_dir if database is None or not database.exists() else database.parent
    free = shutil.disk_usage(folder).free
    said = f"{free / _MIB:,.0f} MiB are free where {folder} is"
    if free < _TOO_FEW_BYTES:
        yield bad("disk", said, "free some: a full disk loses what comes in")
    elif free < _FEW_BYTES:
        yield doubtful(
            "disk", said, "free some, or let usage expire (TRUNKLINE_EVENT_RETENTION_DAYS)"
        )
    else:
        yield good("disk", said)
    if database is None or not database.is_file():
        return
    wal = database.with_name(f"{database.name}-wal")
    size = wal.stat().st_size if wal.exists() else 0
    if size > _BIG_WAL_BYTES:
        yield doubtful(
            "disk",
            f"{wal.name} has {size / _MIB:,.0f} MiB",
            "something reads the database without end: restart the server",
        )
    try:
        served = "a server runs on it" if is_running_on(database) else "no server runs on it"
        yield good("server", f"{database}: {served}")
    except CannotStart as error:
        yield bad("server", str(error), "take it away: the next start makes it anew")
