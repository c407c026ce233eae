"""An answer that is read while it comes."""

from collections.abc import AsyncGenerator, Mapping

import aiohttp

from trunkline.providers.outgoing_errors import OutgoingError, translated, without_request

READ_AHEAD_BYTES = 16 * 1024
"""Twice as much lies here unread, at most: then the provider has to wait for the reader."""


class AnswerStream:
    """Made by `Outgoing.stream`, which also lets go of it. `headers` has lower-case names."""

    __slots__ = ("_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = {
            name.lower(): value for name, value in response.headers.items()
        }

    async def chunks(self) -> AsyncGenerator[bytes]:
        """What has come, as it comes, until the answer is whole.

        Raises an `OutgoingError` where it breaks off.
        """
        failure: OutgoingError | None = None
        cause: Exception | None = None
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failure, cause = translated(error), without_request(error)
        if failure is not None:
            failure.http_status = self.status
            # Raised here, so that what was caught is not its context: it may hold the key.
            raise failure from cause

    async def beginning(self, most: int) -> bytes:
        """The first bytes, at most so many: enough of a failure's body. What follows is dropped."""
        found = bytearray()
        async for chunk in self.chunks():
            found += chunk
            if len(found) >= most:
                break
        return bytes(found[:most])
