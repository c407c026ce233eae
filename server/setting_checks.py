"""What a setting must be beyond its type. Each gives the value to use, or raises `ValueError` with
what to do.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from server.secret_setting import Secret
from server.sqlite_url import path_in

SHORTEST_TOKEN = 16


def _database(url: str) -> str:
    if not url.startswith(("sqlite", "postgresql")):
        raise ValueError("give sqlite+aiosqlite:///… or postgresql+asyncpg://…")
    if url.startswith("sqlite") and not _names_a_file(url):
        raise ValueError("SQLite needs a file: sqlite+aiosqlite:///path/to/trunkline.db")
    return url


def _bus(url: Secret) -> Secret:
    if not _names_a_redis(url.reveal()):
        raise ValueError(
            "give redis://host:6379, rediss://host:6379 or unix:///path/to/socket, "
            "or leave it out to go without Redis"
        )
    return url


def _token(value: Secret) -> Secret:
    token = value.reveal()
    if len(token) < SHORTEST_TOKEN or not all("!" <= character <= "~" for character in token):
        raise ValueError(f"give at least {SHORTEST_TOKEN} letters, digits and signs without spaces")
    return value


def _host(value: str) -> str:
    # Bytes of the environment that are no UTF-8 come as what can't be printed.
    if not value.strip() or "/" in value or not value.isprintable():
        raise ValueError("give a host name or an address, such as 127.0.0.1 or 0.0.0.0")
    return value.strip().strip("[]")


def _hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    for host in hosts:
        parts = _split(f"//{host}")
        if "/" in host or "*" in host or parts is None or parts.hostname is None:
            raise ValueError(
                "give host names separated by commas, each with a port or without: "
                "trunkline.example.com,localhost:8787"
            )
    return hosts


def _origins(given: tuple[str, ...]) -> tuple[str, ...]:
    # As browsers write them: CORS compares them letter by letter.
    origins = tuple(origin.lower() for origin in given)
    for origin in origins:
        parts = _split(origin)
        if (
            parts is None
            or parts.scheme not in {"http", "https"}
            or parts.hostname is None
            or origin != f"{parts.scheme}://{parts.netloc}"
        ):
            raise ValueError(
                "give origins separated by commas, each a scheme and a host without a path: "
                "https://dashboard.example.com,http://localhost:5173"
            )
    return origins


CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "database_url_given": _database,
    "bus_url": _bus,
    "admin_token": _token,
    "host": _host,
    "allowed_hosts": _hosts,
    "allowed_origins": _origins,
}
"""By the names of settings."""


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:  # An address in brackets that are not closed.
        return None


def _names_a_file(url: str) -> bool:
    _, found, rest = url.partition(":///")
    path = path_in(url)
    is_one = bool(found and path.name) and "\0" not in str(path)
    return is_one and ":memory:" not in str(path) and "mode=memory" not in rest.partition("?")[2]


def _names_a_redis(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme == "unix":
        return bool(parts.path) and port is None
    return parts.scheme in {"redis", "rediss"} and bool(parts.hostname) and port != 0
