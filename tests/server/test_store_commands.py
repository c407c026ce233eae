"""What the commands that work on the store say where it fails them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from db.failing import StoreUnavailable
from server.credentials import credentials
from server.failures import CannotStart
from server.key_file import KeyFile
from server.linking import new_sign_in_link
from server.secret_rotation import run_forget_unreadable, run_rotate_secrets
from server.settings import Settings, read_settings
from server.store_commands import run_on_services


@pytest.fixture
def settings(sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("ADMIN_TOKEN", "SECRET_KEYS", "DATABASE_URL", "BUS_URL"):
        monkeypatch.delenv(f"TRUNKLINE_{name}", raising=False)
    shutil.copy(sqlite_template, tmp_path / "trunkline.db")
    KeyFile(tmp_path / "secret-key").create()
    settings = read_settings(data_dir=tmp_path)
    credentials(settings)
    return settings


async def _full(*_arguments: Any, **_options: Any) -> Any:
    raise StoreUnavailable("its disk is full")


def _rotate(settings: Settings) -> None:
    run_rotate_secrets(settings, resume=False, keep_old=False)


@pytest.mark.parametrize(
    ("command", "fails"),
    [
        (lambda settings: run_on_services(settings, _full), None),
        (new_sign_in_link, "server.sign_in.Gate.issue_code"),
        (_rotate, "server.secret_rotation.sealed_values"),
        (run_forget_unreadable, "server.secret_rotation.forget_unreadable"),
        (run_forget_unreadable, "server.wiring.migrate"),
    ],
)
def test_a_store_that_can_not_be_used_is_told(
    settings: Settings,
    command: Callable[[Settings], object],
    fails: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if fails is not None:
        monkeypatch.setattr(fails, _full)
    with pytest.raises(CannotStart, match="the database can't be used just now: its disk") as told:
        command(settings)
    assert "StoreUnavailable" not in str(told.value)
