"""What the tests of providers share: a server that says what it is told to."""

from collections.abc import AsyncIterator

import pytest

from tests.trunkline.providers.scripted import Scripted, scripted_server


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    """A server on this machine that answers with given bytes."""
    async with scripted_server() as server:
        yield server
