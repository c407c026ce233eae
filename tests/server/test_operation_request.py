"""Bodies: all of one comes in time, or the request is refused."""

import asyncio

import pytest
from starlette.requests import Request
from starlette.types import Message

from server.answers import Rejected
from server.operation_request import read_body


async def test_a_body_that_does_not_end_is_refused_in_time() -> None:
    begun = asyncio.Event()

    async def receive() -> Message:
        if begun.is_set():
            await asyncio.Event().wait()
        begun.set()
        return {"type": "http.request", "body": b'{"que', "more_body": True}

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    with pytest.raises(Rejected, match=r"did not come within 0\.01 s") as rejected:
        await read_body(request, 0.01)
    assert rejected.value.status == 408
    assert rejected.value.headers == {"Connection": "close"}
