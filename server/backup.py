"""`trunkline backup` and `restore`: a SQLite database as one file, while a server writes to it.

The secret keys are not in it: who finds the file alone can read no key. PostgreSQL has tools of its
own, see docs/backup.md. Raises `CannotStart` for whatever an operator can put right.
"""

import os
import secrets as randomness
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from db.engine import Database
from db.migrate import newest_revision
from db.sealed import SealedValue, sealed_values
from db.sqlite_copy import OWN_FILES, CannotCopy, copy_database, revision_of
from server.credentials import held_secrets, make_data_dir
from server.database_lock import sole_server
from server.failures import CannotStart
from server.private_files import MODE, sync_folder
from server.secret_check import named, unreadable_among
from server.settings import PREFIX, Settings
from server.store_commands import first_line_of, require_database, run_on_loop


def run_backup(settings: Settings, output: Path) -> None:
    """Write the database as it stands now into a new file, for its owner alone."""
    database = _file_of(settings, "pg_dump")
    require_database(settings)
    _require_free(output)
    _copy(database, output)
    values = run_on_loop(_sealed_in(output))
    size = output.stat().st_size
    _say(f"{output}: {size:,} bytes, revision {revision_of(output)}, checked")
    if not values:
        _say("no key or secret is sealed in it")
        return
    held, key_file = held_secrets(settings)
    used = {held.key_of(value.sealed) for value in values}
    ids = [name for place, name in enumerate(held.key_ids) if place in used]
    where = f"{PREFIX}SECRET_KEYS" if key_file is None else str(key_file.path)
    _say(
        f"its {len(values)} sealed values need the secret key {' and '.join(ids) or '(unknown)'} "
        f"of {where}, which is not in it: keep that elsewhere, it opens them"
    )


def run_restore(settings: Settings, source: Path) -> None:
    """Put a backup where the settings have the database; there must be none, and no server."""
    database = _file_of(settings, "pg_restore")
    if not source.is_file():
        raise CannotStart(f"{source} is no file")
    _require_known(source)
    make_data_dir(settings)
    with sole_server(database):
        _require_free(database)
        for ending in OWN_FILES:
            _require_free(database.with_name(f"{database.name}{ending}"))
        _copy(source, database)
    _say(f"{database} is restored; start `trunkline serve`")
    held, key_file = held_secrets(settings)
    unreadable = unreadable_among(run_on_loop(_sealed_in(database)), held)
    if unreadable:
        where = f"{PREFIX}SECRET_KEYS" if key_file is None else str(key_file.path)
        _say(f"before that, restore {where} too: it does not open {named(unreadable)}")


def _file_of(settings: Settings, tool: str) -> Path:
    path = settings.database_path
    if path is None:
        raise CannotStart(f"the database is PostgreSQL, whose {tool} does this: see docs/backup.md")
    return path


def _require_free(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise CannotStart(f"{path} is there already: nothing is overwritten, move it away first")


def _require_known(source: Path) -> None:
    revision = revision_of(source)
    if revision is None or revision > newest_revision():
        raise CannotStart(
            f"{source} holds no database of Trunkline's"
            if revision is None
            else f"{source} is at revision {revision}, which this version does not know: "
            "restore it with the version that made it, or a newer one"
        )


def _copy(source: Path, target: Path) -> None:
    """Copy a database in one snapshot, beside writers; it gets its name when it is whole."""
    draft = target.with_name(f".{target.name}.{randomness.token_hex(8)}.part")
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE))
        copy_database(source, draft)
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        # A link fails where the name was taken meanwhile, which a rename would overwrite.
        os.link(draft, target)
        sync_folder(target.parent)
    except FileExistsError:
        _require_free(target)
        raise
    except (OSError, CannotCopy) as error:
        said = first_line_of(error)
        raise CannotStart(f"{source} can't be copied to {target}: {said}") from error
    finally:
        for ending in ("", *OWN_FILES):
            with suppress(OSError):
                draft.with_name(f"{draft.name}{ending}").unlink(missing_ok=True)


async def _sealed_in(path: Path) -> Sequence[SealedValue]:
    """What is sealed in it; nothing where it is of an older version, whose columns differ."""
    # Nothing is served by this loop, so a look at the file may block it.
    if revision_of(path) != newest_revision():
        return []
    database = Database.examine(f"sqlite+aiosqlite:///{path}")
    try:
        async with database.read() as connection:
            return await sealed_values(connection)
    finally:
        await database.close()


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
