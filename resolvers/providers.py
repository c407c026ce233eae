"""Fields about providers: may this caller, load, call the work, return plain rows."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from db import provider_pages
from db import providers as store
from db.paging import PageRequest, Slice
from db.provider_rows import ConnectionTestRow, ProviderRow
from db.vocabulary import ProviderStatus
from resolvers.context import OperationContext
from resolvers.outcome import Outcome, deletion_of, outcome_of, refused
from resolvers.watching import ChangeRow, watch_changes
from trunkline.errors import Problem, Refused
from trunkline.events import ProviderChanged
from trunkline.gateway import provider_status
from trunkline.providers import changes
from trunkline.providers.changes import NewProvider, ProviderUpdate
from trunkline.providers.testing import ConnectionToTest, run_connection_test
from trunkline.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class TestOutcome:
    """What `testConnection` answers."""

    __test__ = False  # Not a test of ours, whatever pytest thinks of the name.

    connection_test: ConnectionTestRow | None = None
    provider: ProviderRow | None = None
    user_errors: Sequence[Problem] = ()


async def list_providers(context: OperationContext, page: PageRequest) -> Slice[ProviderRow]:
    """A page of providers by name."""
    return await provider_pages.ask_for_providers(context.services.database, page)


async def provider_by_slug(context: OperationContext, slug: str) -> ProviderRow | None:
    """The provider with this slug."""
    return await context.load(load_providers_by_slug, slug)


async def provider_by_id(context: OperationContext, provider_id: int) -> ProviderRow | None:
    """The living provider with this id."""
    return await context.load(load_providers_by_id, provider_id)


def status_of(context: OperationContext, provider: ProviderRow) -> ProviderStatus:
    """What is known of a provider's health."""
    return provider_status.status_of(context.services, provider)


async def load_providers_by_id(services: Services, ids: Sequence[int]) -> Mapping[int, ProviderRow]:
    """A batch for `OperationContext.load`."""
    return await provider_pages.ask_for_providers_by_id(services.database, ids)


async def load_providers_by_slug(
    services: Services, slugs: Sequence[str]
) -> Mapping[str, ProviderRow]:
    """A batch for `OperationContext.load`."""
    async with services.database.read() as connection:
        return await store.load_providers_by_slug(connection, slugs)


async def connection_test_by_id(
    context: OperationContext, test_id: int
) -> ConnectionTestRow | None:
    """A stored connection test: the last one of some living provider."""
    async with context.services.database.read() as connection:
        return await store.find_connection_test(connection, test_id)


async def create_provider(context: OperationContext, new: NewProvider) -> Outcome[ProviderRow]:
    """`createProvider`."""
    return await outcome_of(changes.create_provider(context.services, new))


async def update_provider(
    context: OperationContext, change: ProviderUpdate
) -> Outcome[ProviderRow]:
    """`updateProvider`."""
    return await outcome_of(changes.update_provider(context.services, change))


async def remove_provider_api_key(
    context: OperationContext, provider_id: int, expected_version: int | None
) -> Outcome[ProviderRow]:
    """`removeProviderApiKey`."""
    return await outcome_of(
        changes.remove_provider_api_key(context.services, provider_id, expected_version)
    )


async def delete_provider(
    context: OperationContext, provider_id: int, expected_version: int | None
) -> Outcome[ProviderRow]:
    """`deleteProvider`."""
    return await deletion_of(
        changes.delete_provider(context.services, provider_id, expected_version), provider_id
    )


async def test_connection(context: OperationContext, wanted: ConnectionToTest) -> TestOutcome:
    """`testConnection`."""
    try:
        tested = await run_connection_test(context.services, wanted)
    except Refused as refusal:
        outcome: Outcome[ProviderRow] = refused(refusal)
        return TestOutcome(provider=outcome.subject, user_errors=outcome.user_errors)
    return TestOutcome(connection_test=tested.test, provider=tested.provider)


def watch_providers(
    context: OperationContext, slugs: Sequence[str] | None
) -> AsyncIterator[ChangeRow[ProviderRow]]:
    """READY, then a message for each change."""
    return watch_changes(
        context,
        ProviderChanged,
        load_providers_by_id,
        slug_of=lambda event: event.slug,
        slugs=slugs,
    )
