"""The demo's live traffic, where requests fail."""

import asyncio
from typing import Any

import pytest

from db.failing import StoreUnavailable
from server.demo_traffic import send_traffic
from trunkline.errors import BadRequest


@pytest.mark.parametrize("error", [StoreUnavailable("its disk is full"), BadRequest("no model")])
async def test_a_request_that_fails_is_followed_by_others(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    sent = 0
    enough = asyncio.Event()

    async def failing(*_arguments: object) -> None:
        nonlocal sent
        sent += 1
        if sent > 10:
            enough.set()
        raise error

    monkeypatch.setattr("server.demo_traffic._one_request", failing)
    monkeypatch.setattr("server.demo_traffic._PAUSE_SECONDS", 0.0)
    services: Any = None
    traffic = asyncio.create_task(send_traffic(services, ["chain/a"], ["agent"]))
    waiting = asyncio.create_task(enough.wait())
    await asyncio.wait([traffic, waiting], timeout=30, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    assert enough.is_set()
    traffic.cancel()
    with pytest.raises(asyncio.CancelledError):
        await traffic
