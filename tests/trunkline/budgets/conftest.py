"""Services whose webhooks may reach this machine, with a provider to spend at."""

from collections.abc import AsyncIterator

import pytest

from db.engine import Database
from db.vocabulary import ProviderKind
from server.wiring import services_on
from tests.conftest import SECRET_KEY, SetClock
from tests.trunkline.usage.timing import Time
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.secrets import Secrets
from trunkline.services import Services


@pytest.fixture
async def services(database: Database, clock: SetClock) -> AsyncIterator[Services]:
    async with services_on(
        database, Secrets([SECRET_KEY]), clock=clock, private_networks="allow-webhooks"
    ) as made:
        await create_provider(
            made, NewProvider(slug="local", name="Local", kind=ProviderKind.OLLAMA)
        )
        yield made


@pytest.fixture
def time(clock: SetClock) -> Time:
    return Time(clock)
