"""Generated credentials: for their owner alone, whole or not at all, never written again."""

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from db.engine import Database
from server.credentials import credentials, make_data_dir
from server.key_file import KeyFile
from server.secret_check import require_readable
from server.settings import BadSettings, Settings, read_settings
from trunkline.secrets import generate_secret_key


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    for name in ("ADMIN_TOKEN", "SECRET_KEYS", "DATABASE_URL"):
        monkeypatch.delenv(f"TRUNKLINE_{name}", raising=False)
    made = read_settings(data_dir=tmp_path / "data")
    make_data_dir(made)
    return made


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_they_are_generated_once_for_their_owner_alone(
    settings: Settings, sqlite_database: Database
) -> None:
    first = credentials(settings)
    assert first.generated_admin_token
    await require_readable(sqlite_database, first)
    assert mode(settings.data_dir) == 0o700
    files = sorted(path.name for path in settings.data_dir.iterdir())
    assert files == ["admin-token", "secret-key"]
    for name in files:
        assert mode(settings.data_dir / name) == 0o600
    second = credentials(settings)
    await require_readable(sqlite_database, second)
    assert not second.generated_admin_token
    assert second.admin_token == first.admin_token
    sealed = first.secrets.seal("key", provider_id=1, origin="https://h")
    assert second.secrets.open(sealed, provider_id=1, origin="https://h") == "key"


def test_starts_at_the_same_time_agree(settings: Settings) -> None:
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda _: credentials(settings), range(64)))
    assert len({one.admin_token for one in made}) == 1
    assert sum(one.generated_admin_token for one in made) == 1
    with ThreadPoolExecutor(16) as pool:
        files = [KeyFile(settings.data_dir / "secret-key") for _ in range(64)]
        list(pool.map(KeyFile.create, files))
    assert len({file.read() for file in files}) == 1


def test_those_given_are_taken_and_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setenv("TRUNKLINE_ADMIN_TOKEN", "a-token-that-was-given")
    monkeypatch.setenv("TRUNKLINE_SECRET_KEYS", f"{generate_secret_key()},{generate_secret_key()}")
    given = credentials(read_settings(data_dir=settings.data_dir))
    assert given.admin_token == "a-token-that-was-given"
    assert list(settings.data_dir.iterdir()) == []


def test_none_is_in_a_repr(settings: Settings) -> None:
    made = credentials(settings)
    assert made.admin_token not in repr(made)


def test_a_bad_secret_key_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setenv("TRUNKLINE_SECRET_KEYS", "hunter2")
    with pytest.raises(BadSettings, match=r"^TRUNKLINE_SECRET_KEYS: ") as caught:
        credentials(read_settings(data_dir=settings.data_dir))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["admin-token", "secret-key"])
def test_an_empty_file_is_named(settings: Settings, name: str) -> None:
    (settings.data_dir / name).write_text("\n")
    with pytest.raises(BadSettings, match=f"{name} is empty"):
        credentials(settings)


@pytest.mark.parametrize("mark", ["\ufeff", "é"])
def test_a_key_with_signs_that_no_key_has_is_refused(settings: Settings, mark: str) -> None:
    path = settings.data_dir / "secret-key"
    path.write_text(f"{mark}{generate_secret_key()}\n", "utf-8")
    with pytest.raises(BadSettings, match="secret-key: each line is 32 random bytes"):
        credentials(settings).secrets.opens(b"anything")


@pytest.mark.parametrize("name", ["admin-token", "secret-key"])
def test_a_file_that_has_no_end_is_named_at_once(settings: Settings, name: str) -> None:
    path = settings.data_dir / name
    path.write_bytes(b"x" * (1 << 20))
    with pytest.raises(BadSettings, match=f"{name} can't be used: File too large"):
        credentials(settings)
    path.unlink()
    path.symlink_to("/dev/urandom")
    with pytest.raises(BadSettings, match=f"{name} can't be used: it is no regular file"):
        credentials(settings)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BadSettings, match=f"{name} can't be used: it is no regular file"):
        credentials(settings)


def test_a_data_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadSettings, match=r"^TRUNKLINE_DATA_DIR: "):
        make_data_dir(read_settings(data_dir=tmp_path / "file"))


def test_one_that_can_not_be_written_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadSettings, match="No space left on device"):
        credentials(settings)
    assert list(settings.data_dir.iterdir()) == []
