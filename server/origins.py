"""Host and Origin: requests are answered only under our own names, and only for pages we know.

The Host check keeps out pages whose name was pointed at this machine (DNS rebinding); the Origin
check keeps out other sites' pages. Programs send no Origin and pass.
"""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from server.answers import Rejected, error_answer
from server.requests import request_id_of

# Probes of an orchestrator name us by whatever address they have, and learn nothing here.
_PROBES = frozenset({"/healthz", "/readyz"})
_MOST_KNOWN = 64


class Perimeter:
    """ASGI middleware that refuses a foreign Host (421) or Origin (403), sockets before accept.

    An allowed host is a name, good on every port, or `name:port`. Our own origin, the scheme and
    Host of the request itself, needs no entry in `allowed_origins`.
    """

    def __init__(
        self, app: ASGIApp, *, allowed_hosts: Sequence[str], allowed_origins: Sequence[str]
    ) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in allowed_hosts)
        self._origins = frozenset(origin.lower() for origin in allowed_origins)
        # Hosts as they were sent by programs, and found to be ours.
        self._known: set[bytes] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is for us."""
        if (
            scope["type"] in {"http", "websocket"}
            and not self._is_known(scope)
            and scope["path"] not in _PROBES
        ):
            try:
                self._check(HTTPConnection(scope))
            except Rejected as rejected:
                await error_answer(rejected, request_id_of(scope))(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        """Whether it is a program's request under a Host that was looked at before."""
        hosts = 0
        known = False
        for name, value in scope["headers"]:
            if name == b"origin":
                return False
            if name == b"host":
                hosts += 1
                known = value in self._known
        return known and hosts == 1

    def _check(self, connection: HTTPConnection) -> None:
        hosts = connection.headers.getlist("host")
        if len(hosts) != 1 or not hosts[0]:
            raise Rejected(400, "send exactly one Host header")
        host = hosts[0].lower()
        if host not in self._hosts and _without_port(host) not in self._hosts:
            raise Rejected(
                421,
                "this server doesn't answer under that Host: "
                "add the name to TRUNKLINE_ALLOWED_HOSTS if it should",
            )
        origin = connection.headers.get("origin")
        if origin is None:
            if len(self._known) < _MOST_KNOWN:
                self._known.add(hosts[0].encode("latin-1"))
            return
        if origin.lower() == own_origin(connection):
            return
        if origin.lower() not in self._origins:
            raise Rejected(
                403,
                "pages of that Origin may not use this server: "
                "add it to TRUNKLINE_ALLOWED_ORIGINS if they should",
            )


def own_origin(connection: HTTPConnection) -> str:
    """The origin of a page that this server itself serves under the request's Host."""
    scheme = {"ws": "http", "wss": "https"}.get(
        connection.scope["scheme"], connection.scope["scheme"]
    )
    return f"{scheme}://{connection.headers.get('host', '')}".lower()


def comes_from_own_page(connection: HTTPConnection) -> bool:
    """Whether our own page sent this request.

    Browsers leave the Origin off a page's GETs to its own server and say so in `Sec-Fetch-Site`
    instead, which no page can set.
    """
    headers: Headers = connection.headers
    origin = headers.get("origin")
    if origin is None:
        return connection.scope["type"] == "http" and (
            headers.get("sec-fetch-site") == "same-origin"
        )
    return origin.lower() == own_origin(connection)


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() and not name.endswith(":") else host
