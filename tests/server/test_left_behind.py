"""What closed sockets leave behind is collected, though it is old."""

import asyncio
import gc
import weakref
from typing import Any

import pytest

from server import graphql_socket
from server.graphql_socket import COLLECTED_AFTER, GraphQLOverSocket


class _Ring:
    """What refers to itself, as a socket and its protocol do."""

    def __init__(self) -> None:
        self.itself = self


async def test_many_closed_sockets_are_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphql_socket, "_COLLECT_SECONDS", 0)
    nothing: Any = None
    sockets = GraphQLOverSocket(nothing, nothing, nothing, nothing)
    ring = _Ring()
    seen = weakref.ref(ring)
    gc.collect()
    del ring
    for _ in range(COLLECTED_AFTER - 1):
        sockets._leave_behind()
    await asyncio.sleep(0.01)
    assert seen() is not None
    sockets._leave_behind()
    await asyncio.sleep(0.01)
    assert seen() is None
