"""A gateway over real HTTP for a module's tests, and the official SDKs that ask it."""

import shutil
from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from db.engine import Database
from tests.conftest import SECRET_KEY
from tests.sdk.asking import AnthropicSdk, OpenAiSdk, Sdk
from tests.server.gateway.world import TOKEN, World, open_world
from trunkline.secrets import Secrets

PATIENCE_SECONDS = 30.0
NewName = Callable[[], str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """One for all of a module's tests, which take names of their own in it. On SQLite: no database
    has a say in what SDKs see.
    """
    path = tmp_path_factory.mktemp("sdk") / "trunkline.db"
    shutil.copy(sqlite_template, path)
    database = Database.open(f"sqlite+aiosqlite:///{path}")
    async with open_world(database, Secrets([SECRET_KEY])) as opened:
        yield opened
    await database.close()


@pytest.fixture(autouse=True)
def _forgotten(world: World) -> None:
    """What the provider saw in a test is of that test."""
    world.behaviour.requests.clear()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def openai_client(world: World) -> AsyncIterator[AsyncOpenAI]:
    """As its users make it: it would retry by itself."""
    url = f"{world.url}/v1"
    async with AsyncOpenAI(base_url=url, api_key=TOKEN, timeout=PATIENCE_SECONDS) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def anthropic_client(world: World) -> AsyncIterator[AsyncAnthropic]:
    """The same."""
    async with AsyncAnthropic(
        base_url=world.url, api_key=TOKEN, timeout=PATIENCE_SECONDS
    ) as client:
        yield client


@pytest.fixture(params=["openai", "anthropic"])
def sdk(
    request: pytest.FixtureRequest, openai_client: AsyncOpenAI, anthropic_client: AsyncAnthropic
) -> Sdk:
    """Each of them."""
    if request.param == "openai":
        return OpenAiSdk(openai_client)
    return AnthropicSdk(anthropic_client)


_NUMBERS = count(1)


@pytest.fixture
def new_name() -> NewName:
    """Names that nothing has yet: what failed under one closes no way of another test."""
    return lambda: f"t{next(_NUMBERS)}"
