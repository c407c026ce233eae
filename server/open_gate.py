"""`trunkline serve --no-auth`: whoever reaches the port may do everything.

So nobody reaches it but programs on this machine, and our own page: the server listens on loopback
and answers to loopback's names only, and neither another site's page nor whoever comes through a
proxy from elsewhere is let in.
"""

import ipaddress
import socket

from starlette.requests import HTTPConnection

from resolvers.context import Viewer
from server.answers import Rejected
from server.failures import CannotStart
from server.loopback import LOOPBACK_NAMES
from server.origins import comes_from_own_page
from server.settings import PREFIX, Settings
from server.sign_in import Gate

ANYBODY = Viewer("anybody (--no-auth)")
"""Has full access. Tokens that are shown all the same are not looked at."""


class OpenGate(Gate):
    """Lets everybody in who is on this machine. Sessions still begin with a token or a code: they
    would outlive this server.
    """

    async def admit(self, connection: HTTPConnection, *, key: str | None = None) -> Viewer:  # noqa: ARG002  # as the gate has it
        """Anybody, whatever they show. Raises `Rejected` (403) for whoever is elsewhere."""
        return _let_in(connection)

    async def recognize(self, connection: HTTPConnection) -> Viewer | None:
        """The same."""
        return _let_in(connection)

    async def bearer(self, authorization: str, connection: HTTPConnection) -> Viewer:  # noqa: ARG002
        """The same."""
        return _let_in(connection)


def require_loopback(settings: Settings, listener: socket.socket) -> None:
    """Raise `CannotStart` where others than this machine could reach what needs no sign-in."""
    address = listener.getsockname()[0]
    if not _is_loopback(address):
        raise CannotStart(
            f"--no-auth serves this machine alone, and {address} is reached from others: "
            f"leave it out, or set {PREFIX}HOST to 127.0.0.1"
        )
    foreign = [name for name in settings.allowed_hosts if not _names_loopback(name)]
    if foreign or settings.allowed_origins:
        setting = "ALLOWED_HOSTS" if foreign else "ALLOWED_ORIGINS"
        raise CannotStart(
            f"--no-auth serves this machine alone: leave it out, or take {PREFIX}{setting} away"
        )


def _let_in(connection: HTTPConnection) -> Viewer:
    client = connection.client
    if client is None or not _is_loopback(client.host):
        raise Rejected(403, "this server runs with --no-auth and serves its own machine alone")
    site = connection.headers.get("sec-fetch-site", "none")
    if site not in {"none", "same-origin"} or (
        "origin" in connection.headers and not comes_from_own_page(connection)
    ):
        raise Rejected(403, "this server runs with --no-auth: pages of other sites may not use it")
    return ANYBODY


def _is_loopback(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


def _names_loopback(host: str) -> bool:
    return any(host == name or host.startswith(f"{name}:") for name in LOOPBACK_NAMES)
