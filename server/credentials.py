"""The admin token and the secret key: given by settings, or generated once into the data directory.

A file that is there is never written again, also when two processes start at once.
"""

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from server.settings import PREFIX, BadSettings, Settings
from trunkline.secrets import BadSecretKey, Secrets, generate_secret_key

ADMIN_TOKEN_FILE = "admin-token"  # noqa: S105  # a name
SECRET_KEY_FILE = "secret-key"  # noqa: S105  # a name


@dataclass(frozen=True, slots=True)
class Credentials:
    """What must not be shown. `generated_admin_token` says that this start made the token."""

    admin_token: str = field(repr=False)
    secrets: Secrets = field(repr=False)
    generated_admin_token: bool


def make_data_dir(settings: Settings) -> None:
    """Make the data directory, for its owner alone. Raises `BadSettings`."""
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadSettings(
            f"{PREFIX}DATA_DIR: {settings.data_dir} can't be made: {error.strerror}"
        ) from error


def credentials(settings: Settings) -> Credentials:
    """Read what was given or stored, and generate what is missing. Raises `BadSettings`."""
    generated = False
    if settings.admin_token is not None:
        admin_token = settings.admin_token.get_secret_value()
    else:
        admin_token, generated = _stored(
            settings.data_dir / ADMIN_TOKEN_FILE, lambda: f"tl_{secrets.token_urlsafe(32)}"
        )
    if settings.secret_keys:
        origin = f"{PREFIX}SECRET_KEYS"
        keys = [key.get_secret_value() for key in settings.secret_keys]
    else:
        path = settings.data_dir / SECRET_KEY_FILE
        origin = str(path)
        key, _ = _stored(path, generate_secret_key)
        keys = [key]
    try:
        return Credentials(admin_token, Secrets(keys), generated)
    except BadSecretKey as error:
        raise BadSettings(f"{origin}: {error}") from error


def _stored(path: Path, generate: Callable[[], str]) -> tuple[str, bool]:
    """What the file holds, and whether it was just generated."""
    try:
        try:
            return _read(path), False
        except FileNotFoundError:
            generated = _create(path, generate())
            return _read(path), generated
    except OSError as error:
        raise BadSettings(f"{path} can't be used: {error.strerror}") from error


def _read(path: Path) -> str:
    text = path.read_text("utf-8", errors="replace").strip()
    if not text:
        raise BadSettings(f"{path} is empty: restore it, or delete it to have a new one generated")
    return text


def _create(path: Path, text: str) -> bool:
    """Write a new file whole or not at all; False where somebody else was faster."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
        # A link fails where the name is taken, which a rename would overwrite.
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True
