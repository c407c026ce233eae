"""Requests to providers and webhooks: the one way out, and where it may lead.

http and https only, no redirect followed, no cookie kept, answers read up to a bound. Each address
is checked when its socket is made, which sees what DNS answered and literals alike.
"""

import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Literal, Self

import aiohttp
from aiohappyeyeballs import AddrInfoType

import trunkline
from db.vocabulary import ProviderKind
from trunkline.providers.addresses import Reach, reach_of
from trunkline.providers.answer_stream import READ_AHEAD_BYTES, AnswerStream
from trunkline.providers.kinds import KIND_FACTS
from trunkline.providers.outgoing_errors import (
    AnswerTooLarge,
    HeaderRefused,
    OutgoingError,
    RefusedAddress,
    translated,
    without_request,
)

LARGEST_ANSWER = 8 * 2**20
_CONNECT_SECONDS = 5.0
_USER_AGENT = f"trunkline/{trunkline.__version__}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `headers` has lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


PrivateNetworks = Literal["default", "allow-webhooks", "deny"]
"""Who may go to private addresses: kinds of provider that usually live there, webhooks too, nobody.
"""


class Outgoing:
    """Sends requests. `private_networks` "deny" keeps every kind to public addresses.

    Use it as an async context manager; it owns its connections.
    """

    def __init__(
        self,
        private_networks: PrivateNetworks = "default",
        *,
        resolver: aiohttp.abc.AbstractResolver | None = None,
    ) -> None:
        self._deny_private = private_networks == "deny"
        self._webhooks_may_be_private = private_networks == "allow-webhooks"
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
        _check_headers(headers)
        return await self._send(
            self._sessions[self._may_be_private(kind)],
            method,
            url,
            headers=headers,
            json=json,
            timeout_seconds=timeout_seconds,
            on_sent=on_sent,
        )

    async def post(
        self,
        kind: ProviderKind,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout_seconds: float,
        on_sent: Callable[[], None] | None = None,
    ) -> Answer:
        """POST bytes for a provider of this kind and read the answer whole, as `request` does."""
        _check_headers(headers)
        return await self._send(
            self._sessions[self._may_be_private(kind)],
            "POST",
            url,
            headers=headers,
            data=body,
            timeout_seconds=timeout_seconds,
            on_sent=on_sent,
        )

    @asynccontextmanager
    async def stream(
        self,
        kind: ProviderKind,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout_seconds: float,
        on_sent: Callable[[], None] | None = None,
    ) -> AsyncIterator[AnswerStream]:
        """POST for a provider of this kind, and read the answer while it comes.

        Left before its end, the connection is closed at once; read to the end, it serves others.
        Raises one of the `OutgoingError`s. `timeout_seconds` covers everything.
        """
        _check_headers(headers)
        failure: OutgoingError
        cause: Exception
        try:
            response = await self._sessions[self._may_be_private(kind)].post(
                url,
                headers=headers,
                data=body,
                trace_request_ctx=on_sent,
                allow_redirects=False,
                read_bufsize=READ_AHEAD_BYTES,
                timeout=_timeout(timeout_seconds),
            )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            failure, cause = translated(error), without_request(error)
        else:
            try:
                yield AnswerStream(response)
            finally:
                response.close()
            return
        raise failure from cause

    @property
    def webhooks_may_be_private(self) -> bool:
        """Whether webhooks may go to loopback and private networks."""
        return self._webhooks_may_be_private

    async def notify(
        self, url: str, *, headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> Answer:
        """POST a message to a webhook. The answer's body stays unread: its status says it all.

        Raises one of the `OutgoingError`s, whose texts are about providers.
        """
        return await self._send(
            self._sessions[self._webhooks_may_be_private],
            "POST",
            url,
            headers=headers,
            data=body,
            timeout_seconds=timeout_seconds,
            read_body=False,
        )

    async def _send(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        json: object = None,
        data: bytes | None = None,
        timeout_seconds: float,
        on_sent: Callable[[], None] | None = None,
        read_body: bool = True,
    ) -> Answer:
        http_status = None
        failure: OutgoingError
        cause: Exception | None
        try:
            async with session.request(
                method,
                url,
                headers=headers,
                json=json,
                data=data,
                trace_request_ctx=on_sent,
                allow_redirects=False,
                timeout=_timeout(timeout_seconds),
            ) as response:
                http_status = response.status
                lower = {name.lower(): value for name, value in response.headers.items()}
                if not read_body:
                    response.close()
                    return Answer(response.status, lower, b"")
                body = await _bounded(response)
                return Answer(response.status, lower, body)
        except AnswerTooLarge as error:
            failure, cause = error, None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            failure, cause = translated(error), without_request(error)
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
                raise RefusedAddress(reach)
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


def _check_headers(headers: Mapping[str, str]) -> None:
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        raise HeaderRefused("the API key holds characters that no key has: check what was pasted")


def _timeout(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds, sock_connect=min(_CONNECT_SECONDS, seconds))


def _telling_when_sent() -> aiohttp.TraceConfig:
    async def sent(_session: object, context: SimpleNamespace, _params: object) -> None:
        if context.trace_request_ctx is not None:
            context.trace_request_ctx()

    config = aiohttp.TraceConfig()
    config.on_request_headers_sent.append(sent)
    return config


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
