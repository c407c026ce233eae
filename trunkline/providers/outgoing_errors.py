"""What goes wrong on the way to a provider or webhook and back.

Errors of aiohttp are translated here, once. No message holds a key, a header or an answer's body.
"""

import ssl

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy

from trunkline.errors import TrunklineError
from trunkline.providers.addresses import Reach

_NO_HEADERS: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict())


class OutgoingError(TrunklineError):
    """A request that brought no answer. `http_status` is set where at least a status came."""

    http_status: int | None = None


class HeaderRefused(OutgoingError):
    """A header, such as one with a key, holds what no header can carry. Nothing was sent."""


class AddressRefused(OutgoingError):
    """Requests may not go there."""


class Unreachable(OutgoingError):
    """No connection: an unknown name, a closed port, a reset."""


class ConnectTimedOut(Unreachable):
    """No connection within five seconds: whoever listens there doesn't answer."""


class TlsFailed(OutgoingError):
    """No trusted encrypted connection."""


class TimedOut(OutgoingError):
    """Nothing came in time."""


class BrokenAnswer(OutgoingError):
    """What came is no HTTP, or ended before it was whole."""


class AnswerTooLarge(OutgoingError):
    """The answer is larger than any list of models."""


class RefusedAddress(OSError):
    """Raised where a socket would be made: it passes through aiohttp as a failed connect."""

    def __init__(self, reach: Reach) -> None:
        # One text for all: where several addresses were refused, the first comes through as it is.
        super().__init__("address refused")
        self.reach = reach


def translated(error: BaseException) -> OutgoingError:
    """What an error of aiohttp or the system means for whoever sent a request."""
    refusal = _refusal_in(error)
    if refusal is not None:
        return refused(refusal)
    match error:
        case aiohttp.ConnectionTimeoutError():
            return ConnectTimedOut(
                "no connection came about in time: check the base URL's host and port"
            )
        case TimeoutError():
            return TimedOut("no complete answer in time")
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError() | ssl.SSLError():
            return TlsFailed(
                "no trusted encrypted connection: check that the host name fits its certificate "
                "and that the port speaks TLS"
            )
        case aiohttp.ClientProxyConnectionError():
            return Unreachable("the proxy can't be reached: check HTTPS_PROXY and HTTP_PROXY")
        case aiohttp.ClientHttpProxyError():
            return Unreachable(
                f"the proxy refused to connect, with status {error.status}: check HTTPS_PROXY, its "
                "user and password, and whether it lets requests go there"
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
            return AddressRefused(
                "the base URL is none that a request could go to: check its host; an address is "
                "written as 127.0.0.1 or [::1]"
            )
        case aiohttp.ClientError():
            return BrokenAnswer("what came back is no whole HTTP answer: is this an API's URL?")
        case _:
            return Unreachable("no connection could be made: check the base URL")


def refused(refusal: RefusedAddress) -> AddressRefused:
    """What a refused address means for whoever sent a request."""
    if refusal.reach is Reach.FORBIDDEN:
        return AddressRefused(
            "requests never go to link-local, metadata, multicast or reserved addresses: "
            "check the base URL"
        )
    return AddressRefused(
        "this is a private or loopback address, where requests of this kind may not go: "
        "use kind OPENAI_COMPATIBLE or OLLAMA, and see TRUNKLINE_PRIVATE_NETWORKS"
    )


def without_request(error: Exception) -> Exception:
    """The same error, without the request's headers and the proxy's URL in its repr: they hold the
    key, and the proxy's password.
    """
    if isinstance(error, aiohttp.ClientConnectorError):
        key, *rest = error.args
        bare = key._replace(proxy=None, proxy_auth=None, proxy_headers_hash=None)
        return type(error)(bare, *rest)
    if not isinstance(error, aiohttp.ClientResponseError):
        return error
    info = error.request_info
    return type(error)(
        info._replace(
            headers=_NO_HEADERS,
            url=info.url.with_user(None),
            real_url=info.real_url.with_user(None),
        ),
        (),
        status=error.status,
        message=error.message,
    )


def _refusal_in(error: BaseException | None) -> RefusedAddress | None:
    while error is not None:
        if isinstance(error, RefusedAddress):
            return error
        inner = getattr(error, "os_error", None)
        if isinstance(inner, RefusedAddress):
            return inner
        error = error.__cause__ or error.__context__
    return None
