"""Providers: as configured, listed, watched."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from db.paging import Slice
from db.provider_rows import ProviderRow
from db.vocabulary import AccessScope, ChangeKind, ProviderKind, ProviderStatus
from resolvers import providers
from resolvers.watching import ChangeRow
from schema.connection_tests import ApiKeyPreview, ConnectionTest
from schema.connections import Connection, page_request
from schema.fields import After, First, Info, described, or_none, plain, resolved, watching
from schema.models import MODELS_OF_PROVIDER, Model
from schema.node import Node, node_type, reference
from schema.usage_totals import UsageTotals, usage_field


def _status(info: Info, root: strawberry.Parent[ProviderRow]) -> ProviderStatus:
    return providers.status_of(info.context, root)


@node_type(ProviderRow, description="A model provider, as configured here.")
class Provider(Node):
    """Read from `ProviderRow`."""

    slug: str = plain("Stable, URL-safe name: `anthropic`.")
    name: str = plain("For people: `Anthropic`.")
    kind: ProviderKind = plain("The protocol that it speaks.")
    base_url: str = plain("Where its API is; paths of the protocol are appended.")
    enabled: bool = plain("False where an operator switched it off.")
    status: ProviderStatus = resolved(
        _status,
        "What is known of its health: by live requests through this server in the last "
        "30 seconds, else by its last test.",
        graphql_type=ProviderStatus,
    )
    api_key: ApiKeyPreview | None = plain(
        "Null where no key is stored. The key itself is never readable."
    )
    extra_header_names: list[str] = plain(
        "Headers of your own that go with each request to it; their values are never readable."
    )
    model_count: int = plain("Models that are not deprecated.")
    models: Connection[Model] = MODELS_OF_PROVIDER
    last_connection_test: ConnectionTest | None = plain("Of the saved configuration.")
    usage: UsageTotals | None = usage_field("PROVIDER")
    version: int = plain(
        "Counts the changes an operator makes, not status, tests, sync or traffic; "
        "give it back as `expectedVersion`."
    )
    created_at: datetime = plain("When it was created.")
    updated_at: datetime = plain("When an operator last changed it.")


@strawberry.type(description="Something happened to a provider.")
class ProviderChange:
    """Read from `ChangeRow`."""

    kind: ChangeKind = plain("What happened.")
    id: strawberry.ID | None = reference(
        "Provider", "changed_id", "Of the provider; null in READY."
    )
    subject: Provider | None = plain(
        "As it stands now; null in READY and once deleted.", name="provider"
    )


async def _providers(info: Info, first: First = 100, after: After = UNSET) -> Slice[ProviderRow]:
    page = page_request(info, first, after, default=100)
    return await providers.list_providers(info.context, page)


async def _provider(
    info: Info, slug: Annotated[str, described("Its stable name.")]
) -> ProviderRow | None:
    return await providers.provider_by_slug(info.context, slug)


def _changes(
    info: Info,
    slugs: Annotated[
        list[str] | None, described("Only these; left out, all. An empty list matches none.")
    ] = UNSET,
) -> AsyncIterator[ChangeRow[ProviderRow]]:
    return providers.watch_providers(info.context, or_none(slugs))


@strawberry.type
class ProviderQuery:
    """Fields of Query."""

    providers: Any = resolved(
        _providers,
        "Every provider, by name.",
        graphql_type=Connection[Provider],
        scope=AccessScope.READ,
    )
    provider: Any = resolved(
        _provider,
        "One provider; null where there is none.",
        graphql_type=Provider | None,
        scope=AccessScope.READ,
    )


@strawberry.type
class ProviderSubscription:
    """Fields of Subscription."""

    provider_changed: Any = watching(
        _changes,
        "READY, then each change of a provider, its key, status or last test.",
        graphql_type=ProviderChange,
        scope=AccessScope.READ,
    )
