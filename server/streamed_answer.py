"""An answer that is made while it is sent: nothing more is made than the client takes.

Its end is its only sign of being whole. Where making it fails, or the server stops, the connection
is cut in the middle, which every client of HTTP/1.1 notices; nothing is cut off in silence.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping

from starlette.types import Message, Receive, Scope, Send

from trunkline.usage.exporting import Part


class StreamedAnswer:
    """An ASGI response of status 200. It closes `parts`, however it ends."""

    def __init__(self, parts: AsyncGenerator[bytes, None], headers: Mapping[str, str]) -> None:
        self._parts = parts
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, until it ends or the client is gone. Raises what making it raises."""
        sending = asyncio.ensure_future(self._send(scope["method"], send))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait([sending, gone], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, gone):
                if not task.done():
                    task.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)
            await self._parts.aclose()
        if not sending.cancelled():
            sending.result()

    async def _send(self, method: str, send: Send) -> None:
        start: Message = {"type": "http.response.start", "status": 200, "headers": self._headers}
        await send(start)
        if method != "HEAD":
            async for part in self._parts:
                # The server waits here while the client has not taken what was sent before.
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def bodies(
    begun: Part | None, parts: AsyncGenerator[Part, None]
) -> AsyncGenerator[bytes, None]:
    """What an export's parts hold, the one that was begun with first. Closes `parts`."""
    try:
        if begun is not None:
            yield begun.body
        async for part in parts:
            yield part.body
    finally:
        await parts.aclose()


def file_headers(content_type: str, file_name: str) -> dict[str, str]:
    """Of an answer that is a file to keep."""
    return {
        "content-type": content_type,
        "content-disposition": f'attachment; filename="{file_name}"',
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        # nginx holds a stream back until a buffer is full, unless told not to.
        "x-accel-buffering": "no",
    }


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
