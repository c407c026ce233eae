"""Requests to providers: the one way out, and where it may lead.

http and https only, no redirect followed, no cookie kept, answers read up to a bound. Each address
is checked when its socket is made, which sees what DNS answered and literals alike. Errors of
aiohttp are translated here, once; no message holds a key, a header, or the answer's body.
"""

import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Literal, Self

import aiohttp
from aiohappyeyeballs import AddrInfoType
from multidict import CIMultiDict, CIMultiDictProxy

import trunkline
from db.vocabulary import ProviderKind
from trunkline.errors import TrunklineError
from trunkline.providers.addresses import Reach, reach_of
from trunkline.providers.kinds import KIND_FACTS

LARGEST_ANSWER = 8 * 2**20
_CONNECT_SECONDS = 5.0
_NO_HEADERS: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict())
_USER_AGENT = f"trunkline/{trunkline.__version__}"


class OutgoingError(TrunklineError):
    """A request that brought no answer. `http_status` is set where at least a status came."""

    http_status: int | None = None


class HeaderRefused(OutgoingError):
    """A header, such as one with a key, holds what no header can carry. Nothing was sent."""


class AddressRefused(OutgoingError):
    """Requests may not go there."""


class Unreachable(OutgoingError):
    """No connection: an unknown name, a closed port, a reset."""


class TlsFailed(OutgoingError):
    """No trusted encrypted connection."""


class TimedOut(OutgoingError):
    """Nothing came in time."""


class BrokenAnswer(OutgoingError):
    """What came is no HTTP, or ended before it was whole."""


class AnswerTooLarge(OutgoingError):
    """The answer is larger than any list of models."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `headers` has lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Outgoing:
    """Sends requests. `private_networks` "deny" keeps every kind to public addresses.

    Use it as an async context manager; it owns its connections.
    """

    def __init__(
        self,
        private_networks: Literal["default", "deny"] = "default",
        *,
        resolver: aiohttp.abc.AbstractResolver | None = None,
    ) -> None:
        self._deny_private = private_networks == "deny"
        self._resolver = resolver
        # Two pools that share no connection: one may reach private addresses, one never does.
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        for may_be_private in (False, True):
            self._sessions[may_be_private] = self._session(may_be_private=may_be_private)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        for session in self._sessions.values():
            await session.close()

    async def request(
        self,
        kind: ProviderKind,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        json: object = None,
        timeout_seconds: float,
        on_sent: Callable[[], None] | None = None,
    ) -> Answer:
        """Send a request for a provider of this kind and read the answer whole.

        Raises one of the `OutgoingError`s. `timeout_seconds` covers everything; `on_sent` is called
        when the first bytes have left.
        """
        if not all(value.isascii() and value.isprintable() for value in headers.values()):
            raise HeaderRefused(
                "the API key holds characters that no key has: check what was pasted"
            )
        session = self._sessions[self._may_be_private(kind)]
        http_status = None
        failure: OutgoingError
        cause: Exception | None
        try:
            async with session.request(
                method,
                url,
                headers=headers,
                json=json,
                trace_request_ctx=on_sent,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=timeout_seconds, sock_connect=min(_CONNECT_SECONDS, timeout_seconds)
                ),
            ) as response:
                http_status = response.status
                body = await _bounded(response)
                lower = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, lower, body)
        except AnswerTooLarge as error:
            failure, cause = error, None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            failure, cause = _translated(error), _without_request(error)
        failure.http_status = http_status
        # Raised here, so that what was caught is not its context either: it may hold the key.
        raise failure from cause

    def _may_be_private(self, kind: ProviderKind) -> bool:
        return KIND_FACTS[kind].may_be_private and not self._deny_private

    def _session(self, *, may_be_private: bool) -> aiohttp.ClientSession:
        def checked_socket(address: AddrInfoType) -> socket.socket:
            family, kind, protocol, _name, where = address
            reach = reach_of(str(where[0]))
            if reach is Reach.FORBIDDEN or (reach is Reach.PRIVATE and not may_be_private):
                raise _Refused(reach)
            return socket.socket(family=family, type=kind, proto=protocol)

        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                socket_factory=checked_socket,
                resolver=self._resolver,
                # A DNS answer is used for the connection it was asked for and no other.
                use_dns_cache=False,
                limit=100,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": _USER_AGENT},
            trace_configs=[_telling_when_sent()],
        )


def _telling_when_sent() -> aiohttp.TraceConfig:
    async def sent(_session: object, context: SimpleNamespace, _params: object) -> None:
        if context.trace_request_ctx is not None:
            context.trace_request_ctx()

    config = aiohttp.TraceConfig()
    config.on_request_headers_sent.append(sent)
    return config


class _Refused(OSError):
    """Raised where a socket would be made: it passes through aiohttp as a failed connect."""

    def __init__(self, reach: Reach) -> None:
        # One text for all: where several addresses were refused, the first comes through as it is.
        super().__init__("address refused")
        self.reach = reach


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > LARGEST_ANSWER:
            response.close()
            raise AnswerTooLarge(f"the answer is larger than {LARGEST_ANSWER // 2**20} MiB")
        parts.append(part)
    return b"".join(parts)


def _translated(error: BaseException) -> OutgoingError:
    refusal = _refusal_in(error)
    if refusal is not None:
        if refusal.reach is Reach.FORBIDDEN:
            return AddressRefused(
                "requests never go to link-local, metadata, multicast or reserved addresses: "
                "check the base URL"
            )
        return AddressRefused(
            "this is a private or loopback address, where requests of this kind may not go: "
            "use kind OPENAI_COMPATIBLE or OLLAMA, and see TRUNKLINE_PRIVATE_NETWORKS"
        )
    match error:
        case aiohttp.ConnectionTimeoutError():
            return Unreachable(
                "no connection came about in time: check the base URL's host and port"
            )
        case TimeoutError():
            return TimedOut("no complete answer in time")
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError() | ssl.SSLError():
            return TlsFailed(
                "no trusted encrypted connection: check that the host name fits its certificate "
                "and that the port speaks TLS"
            )
        case aiohttp.ClientConnectorDNSError():
            return Unreachable("the host name is unknown: check the base URL")
        case aiohttp.ClientConnectorError():
            return Unreachable("nothing listens there: check host and port of the base URL")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return Unreachable(
                "the connection was closed before an answer came: check the base URL, and whether "
                "it should begin with https"
            )
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return AddressRefused("the base URL is none that a request could go to")
        case aiohttp.ClientError():
            return BrokenAnswer("what came back is no whole HTTP answer: is this an API's URL?")
        case _:
            return Unreachable("no connection could be made: check the base URL")


def _without_request(error: Exception) -> Exception:
    """The same error, without the request's headers in its repr: they hold the key."""
    if not isinstance(error, aiohttp.ClientResponseError):
        return error
    return type(error)(
        error.request_info._replace(headers=_NO_HEADERS),
        (),
        status=error.status,
        message=error.message,
    )


def _refusal_in(error: BaseException | None) -> _Refused | None:
    while error is not None:
        if isinstance(error, _Refused):
            return error
        inner = getattr(error, "os_error", None)
        if isinstance(inner, _Refused):
            return inner
        error = error.__cause__ or error.__context__
    return None
