"""An answer that is read while it comes."""

from collections.abc import Mapping

import aiohttp

from trunkline.providers.outgoing_errors import translated, without_request

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

    @property
    def at_end(self) -> bool:
        """Whether all of it was read."""
        return self._response.content.at_eof()

    async def read(self) -> bytes:
        """What has come, as it comes; empty once the answer is whole.

        Raises an `OutgoingError` where it breaks off.
        """
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failure, cause = translated(error), without_request(error)
        failure.http_status = self.status
        # Raised here, so that what was caught is not its context: it may hold the key.
        raise failure from cause

    async def beginning(self, most: int) -> bytes:
        """The first bytes, at most so many: enough of a failure's body. What follows is dropped."""
        found = bytearray()
        while len(found) < most and (chunk := await self.read()):
            found += chunk
        return bytes(found[:most])
