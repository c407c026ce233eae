"""Backups made beside a writer and restored elsewhere: all that was acknowledged is there."""

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy.engine import make_url

from db.engine import Database
from db.providers import find_provider_by_slug
from db.sealed import sealed_values
from db.vocabulary import ProviderKind
from server.backup import run_backup, run_restore
from server.credentials import credentials
from server.database_lock import DatabaseInUse, sole_server
from server.failures import CannotStart
from server.key_file import KeyFile
from server.settings import Settings, read_settings
from server.wiring import services_on
from tests.conftest import IN_CI, SECRET_KEY, EmptiedPostgres, administer, postgres_url
from tests.server.test_cli import serving
from tests.server.test_durability import check
from trunkline.providers.changes import NewProvider, create_provider, stored_api_key
from trunkline.secrets import Secrets
from trunkline.services import Services
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.recording import record_usage
from trunkline.usage.verifying import VerifyReport, verify_usage

KEY = "sk-a-key-that-is-backed-up-0123456789"


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADMIN_TOKEN", "SECRET_KEYS", "DATABASE_URL"):
        monkeypatch.delenv(f"TRUNKLINE_{name}", raising=False)


@pytest.fixture
def settings(sqlite_template: Path, tmp_path: Path) -> Settings:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    shutil.copy(sqlite_template, folder / "trunkline.db")
    KeyFile(folder / "secret-key").create()
    return read_settings(data_dir=folder)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*")}


@dataclass
class Writer:
    """Records usage without a pause."""

    services: Services
    acknowledged: set[str] = field(default_factory=set)

    async def run(self) -> None:
        while True:
            keys = [uuid4().hex for _ in range(5)]
            events = [
                NewUsageEvent(
                    idempotency_key=key, provider_slug="own", model_name="m", input_tokens=7,
                    agent="a", cost_nanos=3, latency_ms=5,
                )
                for key in keys
            ]  # fmt: skip
            await record_usage(self.services, events)
            self.acknowledged.update(keys)

    async def has_gone_on(self, before: set[str]) -> None:
        """Wait until more is acknowledged than this."""
        async with asyncio.timeout(30):
            while self.acknowledged == before:  # noqa: ASYNC110  # it is in other hands
                await asyncio.sleep(0.005)


@asynccontextmanager
async def being_written(url: str, secrets: Secrets) -> AsyncIterator[Writer]:
    """A database with a provider's key, to which usage is written all the while."""
    database = Database.open(url)
    async with services_on(database, secrets) as services:
        new = NewProvider(slug="own", name="Own", kind=ProviderKind.OLLAMA, api_key=KEY)
        await create_provider(services, new)
        writer = Writer(services)
        writing = asyncio.create_task(writer.run())
        while len(writer.acknowledged) < 50:  # noqa: ASYNC110  # it is in other hands
            await asyncio.sleep(0.005)
        yield writer
        assert not writing.done(), "the writer has been disturbed"
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    await database.close()


async def is_whole(url: str, secrets: Secrets, acknowledged: set[str]) -> None:
    """What was acknowledged is there, totals are what events sum up to, and keys open."""
    await check(url, acknowledged)
    database = Database.open(url)
    async with services_on(database, secrets) as services:
        report = VerifyReport()
        await verify_usage(services, report=report)
        assert report.differences == 0
        async with database.read() as connection:
            provider = await find_provider_by_slug(connection, "own")
        assert provider is not None
        assert stored_api_key(services, provider) == KEY
    await database.close()


async def test_a_backup_under_writes_is_restored_whole_and_served(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backup, restored = tmp_path / "kept.db", tmp_path / "restored"
    secrets = credentials(settings).secrets
    async with being_written(settings.database_url, secrets) as writer:
        acknowledged = set(writer.acknowledged)
        await asyncio.to_thread(run_backup, settings, backup)
        # It may have been over before the next write was.
        await writer.has_gone_on(acknowledged)
    said = capsys.readouterr().err
    assert "need the secret key " + secrets.key_ids[0] in said
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert names_in(tmp_path) == {"data", "kept.db"}, "one file, no more"

    again = read_settings(data_dir=restored)
    await asyncio.to_thread(run_restore, again, backup)
    assert "before that, restore" in capsys.readouterr().err
    assert stat.S_IMODE((restored / "trunkline.db").stat().st_mode) == 0o600
    shutil.copy(settings.data_dir / "secret-key", restored)
    await is_whole(again.database_url, credentials(again).secrets, acknowledged)
    with serving(restored):
        pass


def test_nothing_is_overwritten(settings: Settings, tmp_path: Path) -> None:
    run_backup(settings, tmp_path / "kept.db")
    before = (tmp_path / "kept.db").read_bytes()
    with pytest.raises(CannotStart, match="nothing is overwritten"):
        run_backup(settings, tmp_path / "kept.db")
    with pytest.raises(CannotStart, match="nothing is overwritten"):
        run_restore(settings, tmp_path / "kept.db")
    assert (tmp_path / "kept.db").read_bytes() == before
    # What a former database left would be taken for the restored one's.
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "trunkline.db-wal").write_bytes(b"of another")
    with pytest.raises(CannotStart, match=r"trunkline\.db-wal is there already"):
        run_restore(read_settings(data_dir=tmp_path / "other"), tmp_path / "kept.db")


def test_a_server_that_runs_there_is_not_disturbed(settings: Settings, tmp_path: Path) -> None:
    run_backup(settings, tmp_path / "kept.db")
    there = read_settings(data_dir=tmp_path / "restored")
    (tmp_path / "restored").mkdir()
    with sole_server(there.database_path), pytest.raises(DatabaseInUse):
        run_restore(there, tmp_path / "kept.db")


def test_a_lock_that_is_a_link_makes_no_database(settings: Settings, tmp_path: Path) -> None:
    run_backup(settings, tmp_path / "kept.db")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "trunkline.db.lock").symlink_to("trunkline.db")
    with pytest.raises(CannotStart, match=r"trunkline\.db\.lock can't be written"):
        run_restore(read_settings(data_dir=tmp_path / "other"), tmp_path / "kept.db")
    assert names_in(tmp_path / "other") == {"trunkline.db.lock"}


@pytest.mark.parametrize("content", [b"", b"no database at all", b"SQLite format 3\0" * 400])
def test_what_is_no_backup_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "kept.db").write_bytes(content)
    with pytest.raises(CannotStart, match=r"kept\.db"):
        run_restore(read_settings(data_dir=tmp_path / "data"), tmp_path / "kept.db")
    assert not (tmp_path / "data" / "trunkline.db").exists()


def test_a_damaged_backup_is_refused(settings: Settings, tmp_path: Path) -> None:
    run_backup(settings, tmp_path / "kept.db")
    with (tmp_path / "kept.db").open("r+b") as file:
        file.seek(4096 * 40)
        file.write(b"\xff" * 4096)
    with pytest.raises(CannotStart, match="it is damaged: "):
        run_restore(read_settings(data_dir=tmp_path / "other"), tmp_path / "kept.db")
    assert names_in(tmp_path / "other") == {"trunkline.db.lock"}


@pytest.mark.parametrize(
    "name", [":memory:", "a?mode=memory", "50%41", "file:x", "\udcff", "o" * 245, "a\nb"]
)
def test_a_backup_and_a_data_directory_may_have_any_name(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    output = Path("elsewhere", name)
    run_backup(settings, output)
    restored = read_settings(data_dir=Path(name))
    run_restore(restored, output)
    assert names_in(tmp_path) == {"data", "elsewhere", name}
    assert names_in(tmp_path / name) == {"trunkline.db", "trunkline.db.lock"}


@pytest.mark.parametrize("name", ["o" * 250, "o" * 256, "o/" * 3_000])
def test_a_name_that_is_too_long_is_told(settings: Settings, tmp_path: Path, name: str) -> None:
    with pytest.raises(CannotStart, match="can't be written: File name too long"):
        run_backup(settings, tmp_path / name)
    with pytest.raises(CannotStart, match=r"can't be read: File name too long|is no file"):
        run_restore(read_settings(data_dir=tmp_path / "other"), tmp_path / name)
    assert names_in(tmp_path) == {"data"}


@pytest.mark.parametrize("ending", ["-wal", "-shm", "-journal"])
def test_a_backup_takes_no_name_of_sqlites(settings: Settings, tmp_path: Path, ending: str) -> None:
    with pytest.raises(CannotStart, match=r"is SQLite's own beside .*/trunkline\.db"):
        run_backup(settings, settings.data_dir / f"trunkline.db{ending}")
    (tmp_path / f"kept.db{ending}").write_bytes(b"of another")
    with pytest.raises(CannotStart, match=f"kept.db{ending} is there already"):
        run_backup(settings, tmp_path / "kept.db")
    assert names_in(tmp_path) == {"data", f"kept.db{ending}"}


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("DROP TABLE alembic_version", "holds no database of Trunkline's"),
        ("UPDATE alembic_version SET version_num = x'30'", "holds no database of Trunkline's"),
        ("UPDATE alembic_version SET version_num = '9999'", "is at revision 9999"),
        ("DROP TABLE providers", "no such table: providers"),
    ],
)
def test_what_could_not_be_restored_is_not_backed_up(
    settings: Settings, tmp_path: Path, script: str, words: str
) -> None:
    with closing(sqlite3.connect(settings.data_dir / "trunkline.db")) as opened, opened:
        opened.execute(script)
    shutil.copy(settings.data_dir / "trunkline.db", tmp_path / "copied.db")
    with pytest.raises(CannotStart, match=words):
        run_backup(settings, tmp_path / "kept.db")
    with pytest.raises(CannotStart, match=words):
        run_restore(read_settings(data_dir=tmp_path / "other"), tmp_path / "copied.db")
    assert names_in(tmp_path) - {"other"} == {"data", "copied.db"}
    assert not (tmp_path / "other" / "trunkline.db").exists()


async def test_a_broken_key_file_is_told_of_and_holds_nothing_up(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with being_written(settings.database_url, credentials(settings).secrets):
        pass
    (settings.data_dir / "secret-key").write_text("broken")
    await asyncio.to_thread(run_backup, settings, tmp_path / "kept.db")
    told = "secret-key: each line is 32 random bytes in URL-safe base64: restore it"
    assert told in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    shutil.copy(settings.data_dir / "secret-key", tmp_path / "other")
    there = read_settings(data_dir=tmp_path / "other")
    await asyncio.to_thread(run_restore, there, tmp_path / "kept.db")
    assert told in capsys.readouterr().err


async def test_postgresql_is_backed_up_by_its_own_tools_as_documented(
    postgres: EmptiedPostgres, tmp_path: Path
) -> None:
    if shutil.which("pg_dump") is None or shutil.which("pg_restore") is None:
        if IN_CI:
            pytest.fail("CI must have pg_dump and pg_restore")
        pytest.skip("pg_dump and pg_restore are not installed")
    await postgres.put_back()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TRUNKLINE_SECRET_KEYS", SECRET_KEY)
        given = read_settings(data_dir=tmp_path, database_url=postgres.url)
    with pytest.raises(CannotStart, match="pg_dump"):
        run_backup(given, tmp_path / "kept.db")
    name = f"trunkline_restored_{uuid4().hex}"
    await administer(f'CREATE DATABASE "{name}"')
    try:
        async with being_written(postgres.url, Secrets([SECRET_KEY])) as writer:
            acknowledged = set(writer.acknowledged)
            await asyncio.to_thread(
                tool, "pg_dump", "--format=custom", "--no-owner", f"--file={tmp_path}/kept.dump",
                plain(postgres.url),
            )  # fmt: skip
        await asyncio.to_thread(
            tool, "pg_restore", "--no-owner", "--exit-on-error", "--single-transaction",
            f"--dbname={plain(postgres_url(name))}", f"{tmp_path}/kept.dump",
        )  # fmt: skip
        await is_whole(postgres_url(name), Secrets([SECRET_KEY]), acknowledged)
        database = Database.open(postgres_url(name))
        async with database.read() as connection:
            assert len(await sealed_values(connection)) == 1
        await database.close()
    finally:
        await administer(f'DROP DATABASE "{name}" WITH (FORCE)')


def plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def tool(*arguments: str) -> None:
    done = subprocess.run(
        arguments, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]}
    )
    if "server version mismatch" in done.stderr:
        pytest.skip(f"{arguments[0]} is older than the server")
    assert done.returncode == 0, done.stderr
