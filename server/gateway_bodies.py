"""The body of a request to the gateway: read whole, within bounds and a deadline."""

import asyncio
from collections.abc import Mapping

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from server.answers import Rejected

LARGEST_BODY = 32 * 2**20
"""Bytes: pictures come in base64."""


async def whole_body(headers: Mapping[str, str], receive: Receive, seconds: float) -> bytes:
    """The whole body. Raises `Rejected` where it is too large, compressed or too late, and
    `ClientDisconnect` where the caller is gone.
    """
    if headers.get("content-encoding", "identity") != "identity":
        raise Rejected(415, "compressed bodies are not taken: send the JSON as it is")
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > LARGEST_BODY:
        raise _too_large()
    # As `asyncio.timeout` does it, at a fifth of its price: nearly every body is here by now.
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  # a coroutine that runs is run by one
    cancelling, late = task.cancelling(), False

    def end() -> None:
        nonlocal late
        late = True
        task.cancel()

    timer = asyncio.get_running_loop().call_later(seconds, end)
    try:
        return await _parts(receive)
    except asyncio.CancelledError:
        if not late or task.uncancel() > cancelling:
            raise
        raise Rejected(
            408,
            f"the body did not come within {seconds:g} s: send it again",
            headers={"Connection": "close"},
        ) from None
    finally:
        timer.cancel()


async def _parts(receive: Receive) -> bytes:
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        whole: bytes = message.get("body", b"")
        if len(whole) > LARGEST_BODY:
            raise _too_large()
        return whole
    parts: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        size += len(part)
        if size > LARGEST_BODY:
            raise _too_large()
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()


def _too_large() -> Rejected:
    return Rejected(413, f"the body is larger than {LARGEST_BODY // 2**20} MiB")
