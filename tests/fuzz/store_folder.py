"""A folder with a store in it, broken as a case says, and what there is to see of it.

Every case gets one of its own: `data/` as a server left it, `backup.db`, `usage.ndjson`, and
`junk.db`, `empty.db` and `locked/`, which settings name. Its secrets are planted: they may come out
nowhere.
"""

import base64
import hashlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import orjson

from db.engine import Database
from db.migrate import migrate
from db.sealed import COLUMNS
from db.vocabulary import BudgetPeriod, ProviderKind
from server.key_file import SECRET_KEY_FILE
from server.wiring import services_on
from tests.fuzz.cases import bytes_of
from tests.fuzz.raw_http import EVENT
from trunkline.budgets.changes import create_budget
from trunkline.budgets.inputs import BudgetScope, NewBudget
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.providers.extra_headers import ExtraHeader
from trunkline.secrets import Secrets, is_secret_key

DATABASE = "data/trunkline.db"
KEY_FILE = f"data/{SECRET_KEY_FILE}"
KEY_DRAFT = "data/.secret-key.new"
SECRET_KEY = base64.urlsafe_b64encode(bytes(range(40, 72))).decode()
ANOTHER_KEY = base64.urlsafe_b64encode(bytes(range(140, 172))).decode()
API_KEY = "sk-planted-in-the-store-0123456789"
HEADER = "planted-in-a-header-0123456789"
ADMIN_TOKEN = "planted-admin-token-0123456789"
PASSWORD = "planted-password-0123456789"
SIDE_FILES = ("-wal", "-shm", "-journal", ".lock")
"""What SQLite and locks may leave beside a file, by the ends of names."""
_SMALL_BYTES = 1 << 24
_REPLACES = frozenset({"remove", "write", "folder", "link", "pipe", "mode"})

Seen = dict[str, tuple[Any, ...]]


async def make_store(path: Path) -> str:
    """A database with everything sealed that there may be; gives its webhook's secret."""
    database = Database.open(f"sqlite+aiosqlite:///{path}")
    await migrate(database)
    async with services_on(database, Secrets([SECRET_KEY])) as services:
        for number in range(3):
            await create_provider(
                services,
                NewProvider(
                    slug=f"p{number}", name="P", kind=ProviderKind.OLLAMA, api_key=API_KEY,
                    base_url="http://127.0.0.1:1",
                    extra_headers=[ExtraHeader(name="X-Team", value=HEADER)],
                ),
            )  # fmt: skip
        saved = await create_budget(
            services,
            NewBudget(
                name="All", scope=BudgetScope(everything=True), amount_nanos=10**9,
                period=BudgetPeriod.CALENDAR_MONTH, timezone="UTC", webhook_url="https://hooks.invalid/",
            ),
        )  # fmt: skip
    await database.close()
    assert saved.webhook_secret is not None
    return saved.webhook_secret


def lay_out(folder: Path, store: Path, steps: list[list[Any]]) -> None:
    """Make the folder anew, and do to it what a case says."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data").mkdir(mode=0o700, parents=True)
    (folder / "locked").mkdir(mode=0o500)
    for name in (DATABASE, "backup.db"):
        shutil.copy(store, folder / name)
        (folder / name).chmod(0o600)
    for name, text in ((KEY_FILE, SECRET_KEY), ("data/admin-token", ADMIN_TOKEN)):
        (folder / name).write_text(f"{text}\n")
        (folder / name).chmod(0o600)
    (folder / "usage.ndjson").write_bytes(orjson.dumps(EVENT | {"providerSlug": "p0"}) + b"\n")
    (folder / "junk.db").write_bytes(b"this is no database\0" * 300)
    (folder / "empty.db").touch()
    for how, name, *given in steps:
        # A step may be about what a former one took away, or put a pipe or device in its place.
        with suppress(OSError, sqlite3.Error, UnicodeError):
            if how in _REPLACES or _is_small_file(folder / name):
                _do(folder / name, how, given)


def _do(path: Path, how: str, given: list[Any]) -> None:
    match how:
        case "remove":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        case "write":
            path.unlink(missing_ok=True)
            path.write_bytes(bytes_of(given[0]))
        case "edit":  # From a place on, so many bytes are others.
            data = path.read_bytes()
            at = given[0] % (len(data) + 1)
            path.write_bytes(data[:at] + bytes_of(given[2]) + data[at + given[1] :])
        case "cut":
            os.truncate(path, given[0] % (path.stat().st_size + 1))
        case "grow":
            os.truncate(path, given[0])
        case "folder":
            path.unlink(missing_ok=True)
            path.mkdir()
        case "link":
            path.unlink(missing_ok=True)
            path.symlink_to(given[0])
        case "pipe":
            path.unlink(missing_ok=True)
            os.mkfifo(path)
        case "mode":
            path.chmod(given[0])
        case "sql":
            with closing(sqlite3.connect(path)) as opened, opened:
                opened.executescript(given[0])
        case "killed":  # A server that had written this and nothing into the database's own file.
            _leave_wal(path, given[0])
        case _:
            raise ValueError(how)


def _leave_wal(path: Path, script: str) -> None:
    with tempfile.TemporaryDirectory() as scratch, closing(sqlite3.connect(path)) as opened:
        wal = path.with_name(f"{path.name}-wal")
        opened.executescript(f"PRAGMA wal_autocheckpoint = 0; {script}")
        kept = [shutil.copy(one, scratch) for one in (path, wal)]
        opened.close()
        for one in kept:
            shutil.copy(one, path.parent)


def seen_in(folder: Path) -> Seen:
    """All that is there, by its path: what it is, and what it holds."""
    return dict(_entries(folder, folder))


def _entries(top: Path, folder: Path) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for path in folder.iterdir():
        name = str(path.relative_to(top))
        mode = path.lstat().st_mode
        if path.is_symlink():
            yield name, ("link", path.readlink())
        elif path.is_dir():
            yield name, ("folder", mode)
            yield from _entries(top, path)
        elif path.is_file():
            size = path.stat().st_size
            held = hashlib.sha256(path.read_bytes()).digest() if _is_small_file(path) else size
            yield name, ("file", mode, held)
        else:
            yield name, ("other", mode)


def keys_in(folder: Path) -> set[str]:
    """The secret keys in the folder's file of them, broken as it may be."""
    file = folder / KEY_FILE
    if not _is_small_file(file):
        return set()
    return _keys_of(file.read_bytes().decode("utf-8", "replace"))


def openable(folder: Path, environment: Mapping[str, str]) -> set[tuple[str, int]]:
    """Which sealed values the keys at hand open; none of a database that can't be read."""
    given = environment.get("TRUNKLINE_SECRET_KEYS")
    keys = keys_in(folder) if not given else _keys_of(given)
    if not keys or not _is_small_file(folder / DATABASE):
        return set()
    secrets = Secrets([*keys])
    found = set()
    # A look at the database itself would take away what a killed server left beside it.
    with tempfile.TemporaryDirectory() as scratch, suppress(OSError, sqlite3.Error, UnicodeError):
        for ending in ("", "-wal"):
            if _is_small_file(folder / f"{DATABASE}{ending}"):
                shutil.copy(folder / f"{DATABASE}{ending}", Path(scratch) / f"x{ending}")
        with closing(sqlite3.connect(Path(scratch) / "x")) as opened:
            for kind, column in COLUMNS.items():
                asked = f"SELECT id, {column.name} FROM {column.table.name}"  # ours
                for row, sealed in opened.execute(asked):
                    if isinstance(sealed, bytes) and secrets.opens(sealed):
                        found.add((kind.value, row))
    return found


def _keys_of(text: str) -> set[str]:
    return {key for key in text.replace(",", "\n").split() if is_secret_key(key)}


def _is_small_file(path: Path) -> bool:
    """Whether it may be read whole: it has an end, and that is near."""
    try:
        return path.is_file() and path.stat().st_size < _SMALL_BYTES
    except OSError:
        return False
