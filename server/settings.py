"""The settings: `TRUNKLINE_*` of the environment, checked as a whole before anything starts.

Secrets that may be made up are made at the first start, into files that only their owner can read.
"""

import os
import secrets
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from db.engine import BadDatabaseUrl, Database
from trunkline.secrets import BadSecretKey, Secrets, generate_secret_key

PREFIX = "TRUNKLINE_"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

CommaSeparated = Annotated[tuple[str, ...], NoDecode]


class BadSettings(Exception):
    """One or more settings are wrong; the message names each and says what to do."""


class Settings(BaseSettings):
    """What a server is started with. Neither repr nor errors hold a secret."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="ignore", hide_input_in_errors=True, frozen=True
    )

    database_url: str | None = None
    data_dir: Path = Path(".trunkline")
    host: str = "127.0.0.1"
    port: int = Field(default=8787, ge=0, le=65_535)
    secret_keys: SecretStr | None = None
    admin_token: SecretStr | None = None
    allowed_hosts: CommaSeparated = ()
    allowed_origins: CommaSeparated = ()
    private_networks: Literal["default", "deny"] = "default"
    log_format: Literal["console", "json"] = "console"

    @field_validator("allowed_hosts", "allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip().lower() for part in value.split(",") if part.strip())
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            scheme, _, rest = origin.partition("://")
            if scheme not in {"http", "https"} or not rest or "/" in rest or "*" in rest:
                raise ValueError(
                    f"{origin!r} is no origin: give scheme and host such as https://ops.example.com"
                )
        return value

    @field_validator("admin_token")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 16:
            raise ValueError("give at least 16 characters, better 43 random ones")
        return value

    @model_validator(mode="after")
    def _database(self) -> "Settings":
        try:
            Database.open(self.database)
        except BadDatabaseUrl as error:
            raise ValueError(f"DATABASE_URL: {error}") from error
        return self

    @property
    def database(self) -> str:
        """The database's URL: by default a file in the data directory."""
        if self.database_url:
            return self.database_url
        return f"sqlite+aiosqlite:///{self.data_dir.absolute() / 'trunkline.db'}"

    @property
    def hosts(self) -> frozenset[str]:
        """Host names that requests may name, without a port."""
        named = () if self.host in {"0.0.0.0", "::", ""} else (self.host.lower(),)  # noqa: S104  # compared, not bound
        return frozenset((*_LOOPBACK, *named, *self.allowed_hosts))


def load_settings(**overrides: Any) -> Settings:
    """The settings of the environment, with the command line's over them. Raises `BadSettings`."""
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = []
        for one in error.errors():
            name = str(one["loc"][0]) if one["loc"] else ""
            message = str(one["msg"]).removeprefix("Value error, ")
            if not name:
                name, _, message = message.partition(": ")
            problems.append(f"{PREFIX}{name.upper()}: {message}")
        raise BadSettings("; ".join(problems)) from None


def prepare_data_dir(settings: Settings) -> None:
    """Make the data directory, for its owner's eyes. Raises `BadSettings`."""
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(settings.data_dir, os.W_OK):
            raise PermissionError("it can't be written to")
    except OSError as error:
        raise BadSettings(
            f"{PREFIX}DATA_DIR: {settings.data_dir}: {error.strerror or error}"
        ) from error


def admin_token(settings: Settings) -> str:
    """The token of full access: given, or made at the first start."""
    if settings.admin_token is not None:
        return settings.admin_token.get_secret_value()
    return _kept(settings.data_dir / "admin-token", lambda: f"tl_{secrets.token_urlsafe(32)}")


def open_secrets(settings: Settings) -> Secrets:
    """What seals provider keys: given, or made at the first start. Raises `BadSettings`.

    With PostgreSQL they must be given: several servers share that database, and a key made by one
    would be unknown to the others.
    """
    if settings.secret_keys is not None:
        keys = [key.strip() for key in settings.secret_keys.get_secret_value().split(",")]
    elif settings.database.startswith("postgresql"):
        raise BadSettings(
            f"{PREFIX}SECRET_KEYS: must be given with PostgreSQL, the same for every server; "
            "each is 32 random bytes in URL-safe base64"
        )
    else:
        keys = [_kept(settings.data_dir / "secret-key", generate_secret_key)]
    try:
        return Secrets([key for key in keys if key])
    except BadSecretKey as error:
        raise BadSettings(f"{PREFIX}SECRET_KEYS: {error}") from error


def _kept(path: Path, make: Any) -> str:
    """The text in a file of mode 0600, made where there is none; never written over."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        text = path.read_text().strip()
        if not text:
            raise BadSettings(f"{path} is empty: remove it to have it made anew") from None
        return text
    except OSError as error:
        raise BadSettings(f"{PREFIX}DATA_DIR: {path}: {error.strerror}") from error
    text = str(make())
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    return text
