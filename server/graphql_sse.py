"""GraphQL over Server-Sent Events, in its "distinct connections" mode: one operation, one stream.

Wire format: https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md. Each result is a
`next` event, the end a `complete` event. A comment every few seconds keeps proxies from hanging up.
Nothing queues here: the next result is asked for when the socket has taken the last one.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import structlog
from starlette.types import Receive, Scope, Send

from server.answers import EVENT_STREAM
from server.outcomes import Outcome, SharedResult, internal_failure

log = structlog.get_logger("trunkline.request")

KEEP_ALIVE_SECONDS = 12.0

_HEADERS = [
    (b"content-type", f"{EVENT_STREAM}; charset=utf-8".encode()),
    (b"cache-control", b"no-cache"),
    # nginx holds a stream back until a buffer is full, unless told not to.
    (b"x-accel-buffering", b"no"),
]
_COMMENT = b":\n\n"
# The empty data matters: browsers drop an event that has none.
_COMPLETE = b"event: complete\ndata:\n\n"


WatchAccess = Callable[[Callable[[], None]], AbstractContextManager[None]]
"""Calls what it is given once the client's access ends, if that is within the block."""


class EventStream:
    """An ASGI response that streams results until they end, the client leaves or may not stay, or
    we stop.
    """

    def __init__(
        self,
        results: AsyncGenerator[Outcome | SharedResult, None],
        closing: asyncio.Event,
        request_id: str,
        *,
        watch_access: WatchAccess | None = None,
        keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
    ) -> None:
        self._results = results
        self._closing = closing
        self._request_id = request_id
        self._watch_access = watch_access
        self._keep_alive_seconds = keep_alive_seconds
        # Events and comments come from two tasks, and one must not land inside the other.
        self._sending = asyncio.Lock()

    @classmethod
    def of(cls, outcome: Outcome, closing: asyncio.Event) -> "EventStream":
        """A stream of a single result."""

        async def once() -> AsyncGenerator[Outcome, None]:
            yield outcome

        return cls(once(), closing, "")

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Stream."""
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await self._send(send, _COMMENT)
        streaming = asyncio.ensure_future(self._stream(send))
        forbidden = asyncio.Event()
        others = [
            asyncio.ensure_future(self._keep_alive(send)),
            asyncio.ensure_future(_disconnected(receive)),
            asyncio.ensure_future(self._closing.wait()),
            asyncio.ensure_future(forbidden.wait()),
        ]
        watched = self._watch_access(forbidden.set) if self._watch_access else nullcontext()
        try:
            with watched:
                await asyncio.wait([streaming, *others], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _stop([streaming, *others])
        # Ended by us and not by the results: no `complete`, so that the client comes back.
        with suppress(OSError):
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _stream(self, send: Send) -> None:
        try:
            async for outcome in self._results:
                await self._send(send, b"event: next\ndata: " + outcome.encoded() + b"\n\n")
        except OSError:
            return
        except Exception:  # A fault of ours: the client is told, as the status has gone out.
            log.exception("stream failed", request_id=self._request_id)
            failure = internal_failure(self._request_id)
            await self._send(send, b"event: next\ndata: " + failure.encoded() + b"\n\n")
        finally:
            await self._results.aclose()
        await self._send(send, _COMPLETE)

    async def _keep_alive(self, send: Send) -> None:
        while True:
            await asyncio.sleep(self._keep_alive_seconds)
            await self._send(send, _COMMENT)

    async def _send(self, send: Send, body: bytes) -> None:
        async with self._sending:
            await send({"type": "http.response.body", "body": body, "more_body": True})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _stop(tasks: list["asyncio.Future[Any]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
