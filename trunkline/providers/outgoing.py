"""Requests to providers and webhooks: the one way out, and where it may lead.

http and https only, no redirect followed, no cookie kept, answers read up to a bound. Each address
is checked when its socket is made, which sees what DNS answered and literals alike (see
`connection_pools`).
"""

import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, Self

import aiohttp

from db.vocabulary import ProviderKind
from trunkline.providers.answer_stream import READ_AHEAD_BYTES, AnswerStream
from trunkline.providers.connection_pools import ConnectionPools, WayOut
from trunkline.providers.kinds import KIND_FACTS
from trunkline.providers.outgoing_errors import (
    AnswerTooLarge,
    HeaderRefused,
    OutgoingError,
    RefusedAddress,
    refused,
    translated,
    without_request,
)
from trunkline.providers.proxies import Proxies

LARGEST_ANSWER = 8 * 2**20
_CONNECT_SECONDS = 5.0
_PATIENT = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `headers` finds names in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


PrivateNetworks = Literal["default", "allow-webhooks", "deny"]
"""Who may go to private addresses: kinds of provider that usually live there, webhooks too, nobody.
"""


class Outgoing:
    """Sends requests. `private_networks` "deny" keeps every kind to public addresses.

    `trust` has the certificates that are trusted, None for the system's. Use it as an async context
    manager; it owns its connections.
    """

    def __init__(
        self,
        private_networks: PrivateNetworks = "default",
        *,
        proxies: Proxies | None = None,
        trust: ssl.SSLContext | None = None,
        resolver: aiohttp.abc.AbstractResolver | None = None,
    ) -> None:
        self._deny_private = private_networks == "deny"
        self._webhooks_may_be_private = private_networks == "allow-webhooks"
        self._proxies = proxies or Proxies()
        self._trust = trust
        self._resolver = resolver

    async def __aenter__(self) -> Self:
        # Connections belong to an event loop, so they are made within it.
        self._pools = ConnectionPools(self._proxies, self._trust, self._resolver)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._pools.close()

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
            self._way_to(url, may_be_private=self._may_be_private(kind)),
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
        timeout_seconds: float | None,
        largest: int = LARGEST_ANSWER,
    ) -> Answer:
        """POST bytes for a provider of this kind and read the answer whole, as `request` does; it
        may have `largest` bytes. Without a timeout it is for the caller to end it, but for five
        seconds to connect.
        """
        _check_headers(headers)
        return await self._send(
            self._way_to(url, may_be_private=self._may_be_private(kind)),
            "POST",
            url,
            headers=headers,
            data=body,
            timeout_seconds=timeout_seconds,
            largest=largest,
        )

    @asynccontextmanager
    async def stream(
        self,
        kind: ProviderKind,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout_seconds: float | None,
    ) -> AsyncIterator[AnswerStream]:
        """POST for a provider of this kind, and read the answer while it comes.

        Left before its end, the connection is closed at once; read to the end, it serves others.
        Raises one of the `OutgoingError`s. `timeout_seconds` covers everything; without one it is
        for the caller to end it.
        """
        _check_headers(headers)
        way = self._way_to(url, may_be_private=self._may_be_private(kind))
        failure: OutgoingError
        cause: Exception
        try:
            response = await way.session.post(
                url,
                proxy=way.proxy,
                headers=headers,
                data=body,
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
            self._way_to(url, may_be_private=self._webhooks_may_be_private),
            "POST",
            url,
            headers=headers,
            data=body,
            timeout_seconds=timeout_seconds,
            read_body=False,
        )

    async def _send(
        self,
        way: WayOut,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        json: object = None,
        data: bytes | None = None,
        timeout_seconds: float | None,
        on_sent: Callable[[], None] | None = None,
        largest: int = LARGEST_ANSWER,
        read_body: bool = True,
    ) -> Answer:
        http_status = None
        failure: OutgoingError
        cause: Exception | None
        try:
            session = way.session if on_sent is None else way.telling
            async with session.request(
                method,
                url,
                proxy=way.proxy,
                headers=headers,
                json=json,
                data=data,
                trace_request_ctx=on_sent,
                allow_redirects=False,
                timeout=_timeout(timeout_seconds),
            ) as response:
                http_status = response.status
                if not read_body:
                    response.close()
                    return Answer(response.status, response.headers, b"")
                body = await _bounded(response, largest)
                return Answer(response.status, response.headers, body)
        except AnswerTooLarge as error:
            failure, cause = error, None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            failure, cause = translated(error), without_request(error)
        failure.http_status = http_status
        # Raised here, so that what was caught is not its context either: it may hold the key.
        raise failure from cause

    def _may_be_private(self, kind: ProviderKind) -> bool:
        return KIND_FACTS[kind].may_be_private and not self._deny_private

    def _way_to(self, url: str, *, may_be_private: bool) -> WayOut:
        try:
            return self._pools.way_to(url, may_be_private=may_be_private)
        except RefusedAddress as error:
            raise refused(error) from error
        except ValueError as error:
            raise translated(error) from error


def _check_headers(headers: Mapping[str, str]) -> None:
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        raise HeaderRefused("the API key holds characters that no key has: check what was pasted")


def _timeout(seconds: float | None) -> aiohttp.ClientTimeout:
    if seconds is None:
        return _PATIENT
    return aiohttp.ClientTimeout(total=seconds, sock_connect=min(_CONNECT_SECONDS, seconds))


async def _bounded(response: aiohttp.ClientResponse, largest: int) -> bytes:
    length = response.content_length
    if length is not None and length <= largest and "Content-Encoding" not in response.headers:
        return await response.read()
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > largest:
            response.close()
            raise AnswerTooLarge(f"the answer is larger than {largest // 2**20} MiB")
        parts.append(part)
    return b"".join(parts)
