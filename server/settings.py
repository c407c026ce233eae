"""Settings: `TRUNKLINE_*` variables, overridden by the command line's flags, all checked at start.

Every wrong one is named with what to do. Values that may be secret are in no error and no repr.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from schema.limits.bounds import DEFAULT_MOST_COST, DEFAULT_OPERATION_SECONDS
from server.connections import (
    HEAD_SECONDS,
    KEEP_ALIVE_SECONDS,
    MOST_CONNECTIONS,
    ConnectionBounds,
)
from server.failures import CannotStart
from server.loopback import LOOPBACK_NAMES
from trunkline.failover.slots import DEFAULT_RUNNING

PREFIX = "TRUNKLINE_"
DEFAULT_PORT = 8787
SHORTEST_TOKEN = 16
DEFAULT_MOST_AGENTS = 10_000
DEFAULT_SHUTDOWN_SECONDS = 20.0
DEFAULT_MOST_SOCKETS_PER_VIEWER = 2_048
DEFAULT_MOST_STREAMS_PER_VIEWER = 10_000
DEFAULT_GATEWAY_REQUESTS_PER_SECOND = 5_000.0
DEFAULT_GATEWAY_BODY_SECONDS = 60.0

_WHAT_TO_GIVE = {
    "port": "give a port number from 0 to 65535",
    "private_networks": "give `allow`, `allow-webhooks` or `deny`",
    "metrics": "give `token`, `open` or `off`",
    "trace_providers": "give `own`, `all` or `none`",
    "log_format": "give `console` or `json`",
    "event_retention_days": "give whole days from 1 to 36500; left out, events are kept",
    "websocket_compression": "give `on` or `off`",
    "most_agents": "give a whole number from 1 to 1000000",
    "most_cost": "give a whole number from 1000 to 1000000000",
    "operation_seconds": "give seconds from 0.1 to 3600",
    "introspection": "give `on` or `off`",
    "persisted_only": "give `on` or `off`",
    "operations_per_second": "give a number from 0.1 to 1000000; left out, no rate is limited",
    "most_sockets_per_viewer": "give a whole number from 1 to 4096",
    "most_streams_per_viewer": "give a whole number from 1 to 1000000",
    "gateway_requests_per_second": "give a number from 0.1 to 1000000",
    "gateway_body_seconds": "give seconds from 0.05 to 3600",
    "head_seconds": "give seconds from 0.05 to 300",
    "keep_alive_seconds": "give seconds from 0.05 to 3600",
    "most_connections": "give a whole number from 1 to 1000000",
    "most_connections_per_address": "give a whole number from 1 to 1000000; left out, no address "
    "is limited",
    "provider_concurrency": "give a whole number from 1 to 10000",
    "compiled": "give `on` or `off`",
    "shutdown_seconds": "give seconds from 0 to 3600",
}
_WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104  # recognised, not bound


class BadSettings(CannotStart):
    """One or more settings are wrong; the message names each and says what to do."""


class Settings(BaseSettings):
    """How this server runs. Make it with `read_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True
    )

    database_url_given: str | None = Field(
        default=None, validation_alias="TRUNKLINE_DATABASE_URL", repr=False
    )
    data_dir: Path = Path(".trunkline")
    host: str = "127.0.0.1"
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    secret_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    admin_token: SecretStr | None = None
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    private_networks: Literal["allow", "allow-webhooks", "deny"] = "allow"
    log_format: Literal["console", "json"] = "console"
    metrics: Literal["token", "open", "off"] = "token"
    trace_providers: Literal["own", "all", "none"] = "own"
    event_retention_days: int | None = Field(default=None, ge=1, le=36_500)
    most_agents: int = Field(default=DEFAULT_MOST_AGENTS, ge=1, le=1_000_000)
    provider_concurrency: int = Field(default=DEFAULT_RUNNING, ge=1, le=10_000)
    bus_url: SecretStr | None = None
    most_cost: int = Field(default=DEFAULT_MOST_COST, ge=1_000, le=10**9)
    operation_seconds: float = Field(default=DEFAULT_OPERATION_SECONDS, ge=0.1, le=3_600)
    introspection: bool = True
    persisted_operations: Path | None = None
    persisted_only: bool = False
    operations_per_second: float | None = Field(default=None, ge=0.1, le=1_000_000)
    most_sockets_per_viewer: int = Field(default=DEFAULT_MOST_SOCKETS_PER_VIEWER, ge=1, le=4_096)
    most_streams_per_viewer: int = Field(
        default=DEFAULT_MOST_STREAMS_PER_VIEWER, ge=1, le=1_000_000
    )
    gateway_requests_per_second: float = Field(
        default=DEFAULT_GATEWAY_REQUESTS_PER_SECOND, ge=0.1, le=1_000_000
    )
    gateway_body_seconds: float = Field(default=DEFAULT_GATEWAY_BODY_SECONDS, ge=0.05, le=3_600)
    head_seconds: float = Field(default=HEAD_SECONDS, ge=0.05, le=300)
    keep_alive_seconds: float = Field(default=KEEP_ALIVE_SECONDS, ge=0.05, le=3_600)
    most_connections: int = Field(default=MOST_CONNECTIONS, ge=1, le=1_000_000)
    most_connections_per_address: int | None = Field(default=None, ge=1, le=1_000_000)
    websocket_compression: bool = False
    compiled: bool = True
    shutdown_seconds: float = Field(default=DEFAULT_SHUTDOWN_SECONDS, ge=0, le=3_600)

    @field_validator("secret_keys", "allowed_hosts", "allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("database_url_given")
    @classmethod
    def _is_database(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("sqlite", "postgresql")):
            raise ValueError("give sqlite+aiosqlite:///… or postgresql+asyncpg://…")
        if value is not None and value.startswith("sqlite") and not _names_a_file(value):
            raise ValueError("SQLite needs a file: sqlite+aiosqlite:///path/to/trunkline.db")
        return value

    @field_validator("bus_url")
    @classmethod
    def _is_bus(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _names_a_redis(value.get_secret_value()):
            raise ValueError(
                "give redis://host:6379, rediss://host:6379 or unix:///path/to/socket, "
                "or leave it out to go without Redis"
            )
        return value

    @field_validator("admin_token")
    @classmethod
    def _is_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        token = value.get_secret_value()
        if len(token) < SHORTEST_TOKEN or not all("!" <= character <= "~" for character in token):
            raise ValueError(
                f"give at least {SHORTEST_TOKEN} letters, digits and signs without spaces"
            )
        return value

    @field_validator("host")
    @classmethod
    def _is_address(cls, value: str) -> str:
        # Bytes of the environment that are no UTF-8 come as what can't be printed.
        if not value.strip() or "/" in value or not value.isprintable():
            raise ValueError("give a host name or an address, such as 127.0.0.1 or 0.0.0.0")
        return value.strip().strip("[]")

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if "/" in host or "*" in host or urlsplit(f"//{host}").hostname is None:
                raise ValueError(
                    "give host names separated by commas, each with a port or without: "
                    "trunkline.example.com,localhost:8787"
                )
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(origin)
            if (
                parts.scheme not in {"http", "https"}
                or origin != f"{parts.scheme}://{parts.netloc}"
            ):
                raise ValueError(
                    "give origins separated by commas, each a scheme and a host without a path: "
                    "https://dashboard.example.com,http://localhost:5173"
                )
        return value

    @property
    def database_url(self) -> str:
        """The URL given, or that of a file in the data directory."""
        if self.database_url_given is not None:
            return self.database_url_given
        return f"sqlite+aiosqlite:///{self.data_dir.absolute() / 'trunkline.db'}"

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file."""
        return self.database_url.startswith("sqlite")

    @property
    def database_path(self) -> Path | None:
        """Where the database's file is; None on PostgreSQL."""
        if not self.is_sqlite:
            return None
        _, _, path = self.database_url.partition(":///")
        return Path(path.partition("?")[0])

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names that requests may call us by: those given, or loopback and what is bound."""
        if self.allowed_hosts:
            return self.allowed_hosts
        own = () if self.host in _WILDCARDS else (_in_url(self.host),)
        return (*LOOPBACK_NAMES, *own)

    @property
    def connection_bounds(self) -> ConnectionBounds:
        """What bounds connections before any request is known."""
        return ConnectionBounds(
            head_seconds=self.head_seconds,
            keep_alive_seconds=self.keep_alive_seconds,
            most=self.most_connections,
            most_of_address=self.most_connections_per_address,
        )

    def address(self, port: int) -> str:
        """Where a browser on this machine finds a server that listens on `port`."""
        loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # as above
        return f"http://{_in_url(loopback.get(self.host, self.host))}:{port}"


def read_settings(**flags: object) -> Settings:
    """The settings of the environment; flags that aren't None override it.

    Raises `BadSettings`, which names every wrong one.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    if "database_url" in given:
        given["TRUNKLINE_DATABASE_URL"] = given.pop("database_url")
    try:
        settings = Settings(**given)  # type: ignore[arg-type]  # checked by the model itself
    except ValidationError as error:
        raise BadSettings("; ".join(_named(problem) for problem in error.errors())) from None
    if not settings.is_sqlite and not settings.secret_keys:
        raise BadSettings(
            f"{PREFIX}SECRET_KEYS: with PostgreSQL it is never generated: make a key with "
            "`python -c 'import os,base64;"
            "print(base64.urlsafe_b64encode(os.urandom(32)).decode())'` and keep it"
        )
    return settings


def _named(problem: Mapping[str, Any]) -> str:
    field = str(problem["loc"][0]) if problem["loc"] else ""
    name = field if field.startswith(PREFIX) else f"{PREFIX}{field.upper()}"
    if problem["type"] == "value_error":
        return f"{name}: {problem['ctx']['error']}"
    return f"{name}: {_WHAT_TO_GIVE.get(field, problem['msg'])}"


def _names_a_file(url: str) -> bool:
    _, found, path = url.partition(":///")
    return bool(found and path) and ":memory:" not in path and "mode=memory" not in path


def _names_a_redis(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme == "unix":
        return bool(parts.path) and port is None
    return parts.scheme in {"redis", "rediss"} and bool(parts.hostname) and port != 0


def _in_url(host: str) -> str:
    try:
        return f"[{host}]" if ip_address(host).version == 6 else host
    except ValueError:
        return host
