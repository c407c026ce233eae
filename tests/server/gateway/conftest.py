"""A gateway served over real HTTP, before a simulated provider that is one too, on set clocks."""

from collections.abc import AsyncIterator

import pytest

from db.engine import Database
from tests.conftest import SECRET_KEY
from tests.server.gateway.world import World, open_world
from trunkline.secrets import Secrets


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    """One test's own."""
    async with open_world(database, Secrets([SECRET_KEY])) as opened:
        yield opened


@pytest.fixture
async def sqlite_world(sqlite_database: Database) -> AsyncIterator[World]:
    """On SQLite alone, for what no database has a say in."""
    async with open_world(sqlite_database, Secrets([SECRET_KEY])) as opened:
        yield opened
