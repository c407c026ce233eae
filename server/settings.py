"""Settings: `TRUNKLINE_*` variables, overridden by the command line's flags, all checked at start.

Every wrong one is named with what to do. Values that may be secret are in no error and no repr.
"""

import os
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin, get_type_hints

from msgspec import Meta, ValidationError, convert

from schema.limits.bounds import DEFAULT_MOST_COST, DEFAULT_OPERATION_SECONDS
from server.connections import (
    HEAD_SECONDS,
    KEEP_ALIVE_SECONDS,
    MOST_CONNECTIONS,
    SEND_SECONDS,
    ConnectionBounds,
)
from server.failures import CannotStart
from server.loopback import LOOPBACK_NAMES
from server.secret_setting import Secret
from server.setting_checks import CHECKS
from server.sqlite_url import path_in, url_of
from trunkline.failover.slots import DEFAULT_RUNNING

PREFIX = "TRUNKLINE_"
DEFAULT_PORT = 8787
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
    "send_seconds": "give seconds from 0.05 to 3600",
    "most_connections": "give a whole number from 1 to 1000000",
    "most_connections_per_address": "give a whole number from 1 to 1000000; left out, no address "
    "is limited",
    "provider_concurrency": "give a whole number from 1 to 10000",
    "compiled": "give `on` or `off`",
    "shutdown_seconds": "give seconds from 0 to 3600",
}
_SWITCHES = {
    **dict.fromkeys(("on", "true", "yes", "1"), True),
    **dict.fromkeys(("off", "false", "no", "0"), False),
}
_WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104  # recognised, not bound


class BadSettings(CannotStart):
    """One or more settings are wrong; the message names each and says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this server runs. Make it with `read_settings`."""

    database_url_given: str | None = field(default=None, repr=False)
    data_dir: Path = Path(".trunkline")
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = DEFAULT_PORT
    secret_keys: tuple[Secret, ...] = ()
    admin_token: Secret | None = None
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    private_networks: Literal["allow", "allow-webhooks", "deny"] = "allow"
    log_format: Literal["console", "json"] = "console"
    metrics: Literal["token", "open", "off"] = "token"
    trace_providers: Literal["own", "all", "none"] = "own"
    event_retention_days: Annotated[int, Meta(ge=1, le=36_500)] | None = None
    most_agents: Annotated[int, Meta(ge=1, le=1_000_000)] = DEFAULT_MOST_AGENTS
    provider_concurrency: Annotated[int, Meta(ge=1, le=10_000)] = DEFAULT_RUNNING
    bus_url: Secret | None = None
    most_cost: Annotated[int, Meta(ge=1_000, le=10**9)] = DEFAULT_MOST_COST
    operation_seconds: Annotated[float, Meta(ge=0.1, le=3_600)] = DEFAULT_OPERATION_SECONDS
    introspection: bool = True
    persisted_operations: Path | None = None
    persisted_only: bool = False
    operations_per_second: Annotated[float, Meta(ge=0.1, le=1_000_000)] | None = None
    most_sockets_per_viewer: Annotated[int, Meta(ge=1, le=4_096)] = DEFAULT_MOST_SOCKETS_PER_VIEWER
    most_streams_per_viewer: Annotated[int, Meta(ge=1, le=1_000_000)] = (
        DEFAULT_MOST_STREAMS_PER_VIEWER
    )
    gateway_requests_per_second: Annotated[float, Meta(ge=0.1, le=1_000_000)] = (
        DEFAULT_GATEWAY_REQUESTS_PER_SECOND
    )
    gateway_body_seconds: Annotated[float, Meta(ge=0.05, le=3_600)] = DEFAULT_GATEWAY_BODY_SECONDS
    head_seconds: Annotated[float, Meta(ge=0.05, le=300)] = HEAD_SECONDS
    keep_alive_seconds: Annotated[float, Meta(ge=0.05, le=3_600)] = KEEP_ALIVE_SECONDS
    send_seconds: Annotated[float, Meta(ge=0.05, le=3_600)] = SEND_SECONDS
    most_connections: Annotated[int, Meta(ge=1, le=1_000_000)] = MOST_CONNECTIONS
    most_connections_per_address: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    websocket_compression: bool = False
    compiled: bool = True
    shutdown_seconds: Annotated[float, Meta(ge=0, le=3_600)] = DEFAULT_SHUTDOWN_SECONDS

    @property
    def database_url(self) -> str:
        """The URL given, or that of a file in the data directory."""
        if self.database_url_given is not None:
            return self.database_url_given
        return url_of(self.data_dir / "trunkline.db")

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file."""
        return self.database_url.startswith("sqlite")

    @property
    def database_path(self) -> Path | None:
        """Where the database's file is; None on PostgreSQL."""
        if not self.is_sqlite:
            return None
        return path_in(self.database_url)

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
            send_seconds=self.send_seconds,
        )

    def address(self, port: int) -> str:
        """Where a browser on this machine finds a server that listens on `port`."""
        loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # as above
        return f"http://{_in_url(loopback.get(self.host, self.host))}:{port}"


def variable(name: str) -> str:
    """The variable of a setting, by the name of its field."""
    return f"{PREFIX}{name.removesuffix('_given').upper()}"


def unknown_variables() -> list[str]:
    """Variables of the environment that are called like settings and are none."""
    known = {variable(name) for name in get_type_hints(Settings)}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def read_settings(**flags: object) -> Settings:
    """The settings of the environment; flags that aren't None override it.

    Raises `BadSettings`, which names every wrong one.
    """
    taken: dict[str, Any] = {}
    wrong: list[str] = []
    for name, kind in get_type_hints(Settings, include_extras=True).items():
        given = flags.pop(name.removesuffix("_given"), None)
        if given is None:
            given = os.environ.get(variable(name))
        if given is None or given == "":
            continue
        try:
            taken[name] = _taken(name, kind, given)
        except ValueError as error:
            wrong.append(f"{variable(name)}: {error}")
    if flags:
        raise TypeError(f"no settings: {', '.join(flags)}")
    if wrong:
        raise BadSettings("; ".join(wrong))
    settings = Settings(**taken)
    if not settings.is_sqlite and not settings.secret_keys:
        raise BadSettings(
            f"{PREFIX}SECRET_KEYS: with PostgreSQL it is never generated: make a key with "
            "`python -c 'import os,base64;"
            "print(base64.urlsafe_b64encode(os.urandom(32)).decode())'` and keep it"
        )
    return settings


def _taken(name: str, kind: Any, given: object) -> Any:
    """The value to use. Raises `ValueError` with what to do."""
    if isinstance(given, str) and get_origin(kind) is tuple:
        given = tuple(part.strip() for part in given.split(",") if part.strip())
    elif isinstance(given, str) and name in _WHAT_TO_GIVE:
        given = _SWITCHES.get(given.strip().lower(), given) if kind is bool else given.strip()
    try:
        value = convert(given, kind, strict=False, dec_hook=_made)
    except (ValidationError, UnicodeError):
        # What is in the library's words may show the value.
        raise ValueError(_WHAT_TO_GIVE.get(name, "it can't be read")) from None
    check = CHECKS.get(name)
    return value if check is None else check(value)


def _made(kind: type, given: Any) -> Any:
    return kind(given)  # A path or a secret.


def _in_url(host: str) -> str:
    try:
        return f"[{host}]" if ip_address(host).version == 6 else host
    except ValueError:
        return host
