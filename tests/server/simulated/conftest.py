"""A running simulator whose time is skipped, and a client of it."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from server.simulated.app import running_simulator
from server.simulated.behaviour import Behaviour
from server.simulated.timing import SkippedTiming
from tests.server.simulated.asking import Client


@pytest.fixture
def timing() -> SkippedTiming:
    """Nobody waits; what was slept is noted."""
    return SkippedTiming()


@pytest.fixture
def behaviour(timing: SkippedTiming) -> Behaviour:
    """Takes any key."""
    return Behaviour(api_key=None, timing=timing)


@pytest.fixture
async def client(behaviour: Behaviour) -> AsyncIterator[Client]:
    """Of a simulator with this behaviour."""
    async with running_simulator(behaviour) as url, aiohttp.ClientSession(url) as session:
        yield Client(url, session, behaviour)
