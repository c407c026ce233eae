"""Names that callers give, on both databases."""

from db.chains import load_chains_by_slug
from db.engine import Database
from db.gateway_names import usable_names
from db.models import find_model_by_name
from db.providers import find_provider_by_slug
from db.vocabulary import ProviderKind
from trunkline.catalog.changes import NewModel, create_model
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.services import Services


async def test_what_may_be_asked_for(services: Services) -> None:
    new = NewProvider(slug="local", name="Local", kind=ProviderKind.OLLAMA)
    provider = await create_provider(services, new)
    await create_model(services, NewModel(provider_id=provider.id, wire_name="m"))
    async with services.database.read() as connection:
        names = [(one.provider_slug, one.name) for one in await usable_names(connection)]
    assert names == [("local", "m")]


async def test_nothing_has_a_name_that_no_row_can_hold(database: Database) -> None:
    async with database.read() as connection:
        assert await find_provider_by_slug(connection, "a\0b") is None
        assert await load_chains_by_slug(connection, ["a\0b"]) == {}
        assert await find_model_by_name(connection, 1, "a\0b") is None
