"""The pools of connections that requests go out by, and the check of each address.

Three that share no connection: one that may reach private addresses, one that never does, and one
to the operator's proxies. A kept connection so never carries what could not have opened it.
"""

import socket
import ssl
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Literal
from urllib.parse import urlsplit

import aiohttp
from aiohappyeyeballs import AddrInfoType

import trunkline
from trunkline.providers.addresses import Reach, reach_of
from trunkline.providers.outgoing_errors import RefusedAddress
from trunkline.providers.proxies import Proxies, reach_of_host

MOST_CONNECTIONS = 2_000
"""Of one pool; requests beyond wait for one that comes free."""
MOST_TO_ONE_HOST = 500
"""So that a provider which hangs leaves connections for the others."""
_USER_AGENT = f"trunkline/{trunkline.__version__}"

_Pool = Literal["public", "private", "proxied"]


@dataclass(frozen=True, slots=True)
class WayOut:
    """The session that a request goes out by, and the proxy's URL where it goes by one."""

    session: aiohttp.ClientSession
    proxy: str | None


class ConnectionPools:
    """Made within a running event loop; `close` closes every connection."""

    def __init__(
        self,
        proxies: Proxies,
        trust: ssl.SSLContext | None,
        resolver: aiohttp.abc.AbstractResolver | None,
    ) -> None:
        self._proxies = proxies
        self._trust = trust
        self._resolver = resolver
        self._sessions: dict[_Pool, aiohttp.ClientSession] = {
            "public": self._session(may_be_private=False),
            "private": self._session(may_be_private=True),
        }
        if proxies.by_scheme:
            # The proxy may be private, as the operator chose it.
            self._sessions["proxied"] = self._session(may_be_private=True)

    async def close(self) -> None:
        """Close every connection."""
        for session in self._sessions.values():
            await session.close()

    def way_to(self, url: str, *, may_be_private: bool) -> WayOut:
        """How a request gets there. Raises `RefusedAddress` for what no proxy may be asked for."""
        proxy = self._proxies.proxy_for(url)
        if proxy is None:
            return WayOut(self._sessions["private" if may_be_private else "public"], None)
        # The socket will be the proxy's, and the name is the proxy's to resolve: what is left to
        # look at is the host as it is written.
        _check(reach_of_host(urlsplit(url).hostname or ""), may_be_private=may_be_private)
        return WayOut(self._sessions["proxied"], proxy)

    def _session(self, *, may_be_private: bool) -> aiohttp.ClientSession:
        def checked_socket(address: AddrInfoType) -> socket.socket:
            family, kind, protocol, _name, where = address
            _check(reach_of(str(where[0])), may_be_private=may_be_private)
            return socket.socket(family=family, type=kind, proto=protocol)

        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                socket_factory=checked_socket,
                resolver=self._resolver,
                # A DNS answer is used for the connection it was asked for and no other.
                use_dns_cache=False,
                ssl=True if self._trust is None else self._trust,
                limit=MOST_CONNECTIONS,
                limit_per_host=MOST_TO_ONE_HOST,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": _USER_AGENT},
            trace_configs=[_telling_when_sent()],
        )


def _check(reach: Reach, *, may_be_private: bool) -> None:
    """Raise `RefusedAddress` where a request may not go so far."""
    if reach is Reach.FORBIDDEN or (reach is Reach.PRIVATE and not may_be_private):
        raise RefusedAddress(reach)


def _telling_when_sent() -> aiohttp.TraceConfig:
    async def sent(_session: object, context: SimpleNamespace, _params: object) -> None:
        if context.trace_request_ctx is not None:
            context.trace_request_ctx()

    config = aiohttp.TraceConfig()
    config.on_request_headers_sent.append(sent)
    return config
