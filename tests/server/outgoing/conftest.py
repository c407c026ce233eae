"""One server for each setting, and one listener, for all of a module's tests."""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from db.engine import Database
from tests.server.outgoing.listening import (
    Connections,
    Listener,
    listening,
    watched_connections,
)
from tests.server.outgoing.ways import Server, open_server
from trunkline.providers.outgoing import PrivateNetworks


class Servers:
    """Servers by their setting of TRUNKLINE_PRIVATE_NETWORKS, each opened once. On SQLite: no
    database has a say in where requests go.
    """

    def __init__(self, stack: AsyncExitStack, template: Path, folder: Path) -> None:
        self._stack = stack
        self._template = template
        self._folder = folder
        self._opened: dict[PrivateNetworks, Server] = {}

    async def at(self, setting: PrivateNetworks) -> Server:
        """The one with this setting."""
        if setting not in self._opened:
            self._opened[setting] = await self._stack.enter_async_context(
                open_server(await self.database(setting), setting)
            )
        return self._opened[setting]

    async def database(self, name: str) -> Database:
        """A database for another."""
        path = self._folder / f"{name}.db"
        shutil.copy(self._template, path)
        database = Database.open(f"sqlite+aiosqlite:///{path}")
        self._stack.push_async_callback(database.close)
        return database


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Servers]:
    async with AsyncExitStack() as stack:
        yield Servers(stack, sqlite_template, tmp_path_factory.mktemp("outgoing"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_listener() -> AsyncIterator[Listener]:
    async with listening() as opened:
        yield opened


@pytest.fixture
def listener(shared_listener: Listener) -> Listener:
    """On loopback, where nothing has come yet."""
    shared_listener.reset()
    return shared_listener


@pytest.fixture
def connections() -> Iterator[Connections]:
    """Those that the test's requests make."""
    with watched_connections() as watched:
        yield watched
