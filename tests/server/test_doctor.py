"""`trunkline doctor`: says what is wrong and what to do, and changes nothing."""

import errno
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from db.engine import Connection, Database
from db.vocabulary import ProviderKind
from server import doctor
from server.credentials import credentials
from server.key_file import KeyFile
from server.settings import read_settings, unknown_variables
from server.simulated.app import running_simulator
from server.simulated.behaviour import Behaviour
from server.wiring import services_on
from tests.conftest import SECRET_KEY
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.secrets import Secrets, generate_secret_key

KEY = "sk-the-doctor-never-shows-this-0123456789"
Findings = dict[str, dict[str, Any]]


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADMIN_TOKEN", "SECRET_KEYS", "DATABASE_URL", "BUS_URL"):
        monkeypatch.delenv(f"TRUNKLINE_{name}", raising=False)
    for name in unknown_variables():
        monkeypatch.delenv(name)
    monkeypatch.setattr(doctor, "configure_logs", lambda log_format: None)


@pytest.fixture
def data_dir(sqlite_template: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    shutil.copy(sqlite_template, folder / "trunkline.db")
    (folder / "trunkline.db").chmod(0o600)
    KeyFile(folder / "secret-key").create()
    credentials(read_settings(data_dir=folder))
    return folder


def seen(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.glob("*")}


async def examined(
    folder: Path, capsys: pytest.CaptureFixture[str], *, ask: bool = False
) -> Findings:
    """What it finds, by check; fails where it leaves anything behind, or shows the key."""
    before = seen(folder)
    flags: dict[str, object] = {"data_dir": folder}
    found = await doctor._all(providers=ask, as_json=False, flags=flags)
    assert seen(folder) == before
    said = capsys.readouterr()
    assert KEY not in said.out + said.err
    assert len(said.out.splitlines()) == len(found)
    return {
        one.check: {"health": one.health.value, "message": one.message, "advice": one.advice}
        for one in found
    }


async def test_a_healthy_store_is_found_so(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = await examined(data_dir, capsys)
    assert {name for name, one in found.items() if one["health"] != "OK"} == set()
    assert set(found) == {
        "settings", "data directory", "files", "disk", "server", "database", "migrations", "clock",
        "secrets", "bus", "prices", "proxies",
    }  # fmt: skip


async def test_a_variable_that_no_setting_is_called_is_told(
    data_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_MOST_COST", "5000")
    monkeypatch.setenv("TRUNKLINE_MOST_COSTS", "sk-not-shown")
    told = (await examined(data_dir, capsys))["variables"]
    assert told["health"] == "WARN"
    assert told["message"] == "TRUNKLINE_MOST_COSTS: no setting is called so"


def test_the_command_prints_json_and_exits_1_where_something_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "nowhere"
    assert doctor.run_doctor(providers=False, as_json=True, data_dir=missing) == 1
    told = json.loads(capsys.readouterr().out)
    assert not told["ok"]
    failing = {one["check"]: one for one in told["checks"] if one["health"] == "FAIL"}
    assert set(failing) == {"data directory", "database"}
    assert "trunkline serve" in failing["database"]["advice"]
    assert not missing.exists()
    assert doctor.run_doctor(providers=False, as_json=True, database_url="mysql://h/d") == 1
    (told,) = json.loads(capsys.readouterr().out)["checks"]
    assert (told["check"], told["health"]) == ("settings", "FAIL")


@pytest.mark.parametrize("closed", ["the data directory", "a folder before it"])
def test_who_is_another_user_is_told_so(
    data_dir: Path,
    closed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shut = data_dir if closed == "the data directory" else data_dir.parent
    stat = Path.stat

    def refused(path: Path, **options: Any) -> os.stat_result:
        if shut in path.parents:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refused)
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    assert doctor.run_doctor(providers=False, as_json=True, data_dir=data_dir) == 1
    told = json.loads(capsys.readouterr().out)
    failing = {one["check"]: one for one in told["checks"] if one["health"] == "FAIL"}
    assert {"data directory", "database", "secrets"} <= set(failing)
    assert "can't be read" in failing["data directory"]["message"]
    assert "Permission denied" in failing["database"]["message"]
    assert "the server's user" in failing["database"]["advice"]


async def test_a_key_that_this_user_may_not_read_is_not_said_to_be_lost(
    data_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def refused(path: Any, *options: Any, **more: Any) -> int:
        if Path(path).name == "secret-key":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *options, **more)

    monkeypatch.setattr(os, "open", refused)
    found = (await examined(data_dir, capsys))["secrets"]
    assert found["health"] == "FAIL"
    assert "Permission denied" in found["message"]
    assert "the server's user" in found["advice"]
    assert "backup" not in found["advice"]


def test_json_comes_of_whatever_names_files_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.run_doctor(providers=False, as_json=True, data_dir=tmp_path / "\udcff") == 1
    told = json.loads(capsys.readouterr().out)
    assert "/�" in next(one["message"] for one in told["checks"] if one["check"] == "database")


def test_a_name_that_is_too_long_is_a_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.run_doctor(providers=False, as_json=False, data_dir=tmp_path / ("d" * 256)) == 1
    said = capsys.readouterr().out
    assert "FAIL  data directory: " in said
    assert "can't be read: File name too long" in said


async def test_a_lock_that_cannot_be_held_is_a_finding(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data_dir / "trunkline.db.lock").mkdir()
    found = await examined(data_dir, capsys)
    assert (found["server"]["health"], found["database"]["health"]) == ("FAIL", "OK")
    assert "trunkline.db.lock can't be written: Is a directory" in found["server"]["message"]


def loosen(folder: Path) -> None:
    folder.chmod(0o755)
    (folder / "secret-key").chmod(0o644)


def lose_the_key(folder: Path) -> None:
    with sqlite3.connect(folder / "trunkline.db") as opened:
        _with_sealed(opened)
    opened.close()
    (folder / "secret-key").unlink()


def _with_sealed(opened: sqlite3.Connection) -> None:
    sealed = Secrets([generate_secret_key()]).seal(KEY, provider_id=1, origin="o")
    opened.execute(
        "INSERT INTO providers (slug, name, name_folded, kind, base_url, enabled,"
        " api_key_encrypted, api_key_masked, api_key_set_at, connection_revision, version,"
        " created_at, updated_at)"
        " VALUES ('own', 'Own', 'own', 'OLLAMA', 'http://127.0.0.1:1', 1, ?, '…', 0, 1, 1, 0, 0)",
        (sealed,),
    )


def change(statement: str) -> Callable[[Path], None]:
    def run(folder: Path) -> None:
        opened = sqlite3.connect(folder / "trunkline.db")
        opened.execute(statement)
        opened.commit()
        opened.close()

    return run


def break_a_page(folder: Path) -> None:
    with (folder / "trunkline.db").open("r+b") as file:
        file.seek(4096 * 20)
        file.write(b"\xff" * 4096)


@pytest.mark.parametrize(
    ("fault", "check", "health", "words"),
    [
        (loosen, "data directory", "WARN", "chmod 700"),
        (loosen, "files", "FAIL", "chmod 600"),
        (lose_the_key, "secrets", "FAIL", "--forget-unreadable"),
        (change("UPDATE alembic_version SET version_num = '9999'"), "migrations", "FAIL", "newer"),
        (change("UPDATE alembic_version SET version_num = '0001'"), "migrations", "WARN", "back"),
        (change("UPDATE usage_clock SET as_of = 9999999999000000"), "clock", "WARN", "NTP"),
        (break_a_page, "database", "FAIL", "backup"),
        (lambda folder: (folder / "trunkline.db").write_text("no database"), "database", "FAIL",
         "TRUNKLINE_DATABASE_URL"),
        (lambda folder: (folder / "secret-key").write_text("hunter2"), "secrets", "FAIL", "backup"),
        (lambda folder: KeyFile(folder / "secret-key").replace([generate_secret_key()] * 2),
         "secrets", "WARN", "--resume` once something is sealed"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_named_with_what_to_do(
    data_dir: Path,
    capsys: pytest.CaptureFixture[str],
    fault: Callable[[Path], object],
    check: str,
    health: str,
    words: str,
) -> None:
    fault(data_dir)
    found = (await examined(data_dir, capsys))[check]
    assert found["health"] == health, found
    assert words in found["advice"]
    assert "hunter2" not in str(found)


async def test_each_provider_is_asked_and_nothing_is_stored_of_it(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = read_settings(data_dir=data_dir)
    async with running_simulator(Behaviour(api_key=KEY)) as simulator:
        database = Database.open(settings.database_url)
        async with services_on(database, credentials(settings).secrets) as services:
            for slug, key in {"good": KEY, "wrong": KEY[:-1] + "x"}.items():
                new = NewProvider(
                    slug=slug, name=slug, kind=ProviderKind.OPENAI_COMPATIBLE, api_key=key,
                    base_url=f"{simulator}/v1",
                )  # fmt: skip
                await create_provider(services, new)
            # Beside a server: its files are there, and it has the database open.
            found = await examined(data_dir, capsys, ask=True)
        await database.close()
    assert found["provider good"]["health"] == "OK"
    assert found["provider wrong"]["health"] == "FAIL"
    assert "updateProvider" in found["provider wrong"]["advice"]


async def test_postgresql_and_redis_are_looked_at_too(
    database: Database,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    if database.dialect == "sqlite":
        pytest.skip("the others are on SQLite")
    monkeypatch.setenv("TRUNKLINE_DATABASE_URL", database_url)
    monkeypatch.setenv("TRUNKLINE_SECRET_KEYS", SECRET_KEY)
    monkeypatch.setenv("TRUNKLINE_ADMIN_TOKEN", "a-token-that-was-given")
    monkeypatch.setenv("TRUNKLINE_BUS_URL", "redis://user:hunter2@127.0.0.1:1")
    found = await examined(tmp_path / "nowhere", capsys)
    assert {name: one["health"] for name, one in found.items() if one["health"] != "OK"} == {
        "bus": "WARN"
    }
    assert "PostgreSQL" in found["database"]["message"]

    async def spoil(connection: Connection) -> None:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    await database.transact(spoil)
    assert (await examined(tmp_path / "nowhere", capsys))["migrations"]["health"] == "FAIL"
