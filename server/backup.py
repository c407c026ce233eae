"""`trunkline backup` and `restore`: a SQLite database as one file, while a server writes to it.

The secret keys are not in it: who finds the file alone can read no key. PostgreSQL has tools of its
own, see docs/backup.md. Raises `CannotStart` for whatever an operator can put right.
"""

import os
import secrets as randomness
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from db.engine import Database
from db.migrate import newest_revision
from db.sealed import SealedValue, sealed_values
from db.sqlite_copy import OWN_FILES, copy_database, revision_of
from server.credentials import held_secrets, make_data_dir
from server.database_lock import sole_server
from server.failures import CannotStart
from server.printed import say
from server.private_files import MODE, sync_folder
from server.secret_check import named, unreadable_among
from server.settings import PREFIX, BadSettings, Settings
from server.sqlite_url import url_of
from server.store_commands import first_line_of, require_database, run_on_loop

_LONGEST_SHOWN = 40


@dataclass(frozen=True, slots=True)
class _Copied:
    """A database that was copied, checked, and named."""

    size_bytes: int
    revision: str
    sealed: Sequence[SealedValue]


def run_backup(settings: Settings, output: Path) -> None:
    """Write the database as it stands now into a new file, for its owner alone."""
    database = _file_of(settings, "pg_dump")
    require_database(settings)
    _require_free(output)
    for path in _own_files(output):
        # What a former file left beside it would be taken for the new one's.
        _require_free(path)
    if output.absolute() in _own_files(database):
        raise CannotStart(f"{output} is SQLite's own beside {database}: give another name")
    copied = _copy(database, output)
    say(f"{output}: {copied.size_bytes:,} bytes, revision {copied.revision}, checked")
    if not copied.sealed:
        say("no key or secret is sealed in it")
        return
    try:
        held, key_file = held_secrets(settings)
    except BadSettings as error:
        say(f"its {len(copied.sealed)} sealed values need a secret key, and {error}")
        return
    used = {held.key_of(value.sealed) for value in copied.sealed}
    ids = [name for place, name in enumerate(held.key_ids) if place in used]
    where = f"{PREFIX}SECRET_KEYS" if key_file is None else str(key_file.path)
    say(
        f"its {len(copied.sealed)} sealed values need the secret key "
        f"{' and '.join(ids) or '(unknown)'} of {where}, which is not in it: keep that elsewhere, "
        "it opens them"
    )


def run_restore(settings: Settings, source: Path) -> None:
    """Put a backup where the settings have the database; there must be none, and no server."""
    database = _file_of(settings, "pg_restore")
    if not _is_file(source):
        raise CannotStart(f"{source} is no file")
    _require_known(source, revision_of(source))
    make_data_dir(settings)
    with sole_server(database):
        for path in (database, *_own_files(database)):
            _require_free(path)
        copied = _copy(source, database)
    say(f"{database} is restored; start `trunkline serve`")
    try:
        held, key_file = held_secrets(settings)
    except BadSettings as error:
        say(f"before that: {error}")
        return
    unreadable = unreadable_among(copied.sealed, held)
    if unreadable:
        where = f"{PREFIX}SECRET_KEYS" if key_file is None else str(key_file.path)
        say(f"before that, restore {where} too: it does not open {named(unreadable)}")


def _file_of(settings: Settings, tool: str) -> Path:
    path = settings.database_path
    if path is None:
        raise CannotStart(f"the database is PostgreSQL, whose {tool} does this: see docs/backup.md")
    return path


def _own_files(database: Path) -> list[Path]:
    """What SQLite may have beside it."""
    return [database.absolute().with_name(f"{database.name}{ending}") for ending in OWN_FILES]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        raise CannotStart(f"{path} can't be read: {first_line_of(error)}") from error


def _require_free(path: Path) -> None:
    try:
        is_taken = path.exists() or path.is_symlink()
    except OSError as error:
        raise CannotStart(f"{path} can't be written: {first_line_of(error)}") from error
    if is_taken:
        raise CannotStart(f"{path} is there already: nothing is overwritten, move it away first")


def _require_known(source: Path, revision: str | None) -> str:
    if revision is None:
        raise CannotStart(f"{source} holds no database of Trunkline's")
    if revision > newest_revision():
        raise CannotStart(
            f"{source} is at revision {revision[:_LONGEST_SHOWN]}, which this version does not "
            "know: use the version that made it, or a newer one"
        )
    return revision


def _copy(source: Path, target: Path) -> _Copied:
    """Copy a database in one snapshot, beside writers; it gets its name when it is whole."""
    # Without the target's name, to which nothing might be added.
    draft = target.with_name(f".{randomness.token_hex(8)}.part")
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE))
        copy_database(source, draft)
        revision = _require_known(source, revision_of(draft))
        copied = _Copied(draft.stat().st_size, revision, run_on_loop(_sealed_in(draft, revision)))
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        # A link fails where the name was taken meanwhile, which a rename would overwrite.
        os.link(draft, target)
        sync_folder(target.parent)
    except FileExistsError:
        _require_free(target)
        raise
    except CannotStart:
        raise
    except Exception as error:
        # A driver's, of any kind: what is damaged breaks anywhere.
        said = first_line_of(error)
        raise CannotStart(f"{source} can't be copied to {target}: {said}") from error
    finally:
        for ending in ("", *OWN_FILES):
            with suppress(OSError):
                draft.with_name(f"{draft.name}{ending}").unlink(missing_ok=True)
    return copied


async def _sealed_in(path: Path, revision: str) -> Sequence[SealedValue]:
    """What is sealed in it; nothing where it is of an older version, whose columns differ."""
    if revision != newest_revision():
        return []
    database = Database.examine(url_of(path))
    try:
        async with database.read() as connection:
            return await sealed_values(connection)
    finally:
        await database.close()
