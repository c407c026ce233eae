"""Providers: configure, test, watch."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry import UNSET

from db.paging import Slice
from db.provider_rows import ProviderRow
from db.vocabulary import AccessScope, ChangeKind, ProviderKind, ProviderStatus
from resolvers import providers
from resolvers.outcome import Outcome
from resolvers.providers import TestOutcome
from resolvers.watching import ChangeRow
from schema.connection_tests import ApiKeyPreview, ConnectionTest
from schema.connections import Connection, page_request
from schema.fields import (
    After,
    First,
    Info,
    changing,
    described,
    given,
    or_none,
    plain,
    resolved,
    watching,
)
from schema.models import MODELS_OF_PROVIDER, Model
from schema.node import Node, decode_id, node_type, reference
from schema.payloads import USER_ERRORS, UserError
from schema.provider_inputs import (
    CreateProviderInput,
    DeleteProviderInput,
    ExtraHeaderInput,
    RemoveProviderApiKeyInput,
    TestConnectionInput,
    UpdateProviderInput,
)
from schema.usage_totals import UsageTotals, usage_field
from trunkline.changes import UNSET as LEFT_OUT
from trunkline.providers.extra_headers import ExtraHeader
from trunkline.providers.inputs import NewProvider, ProviderUpdate
from trunkline.providers.testing import ConnectionToTest

if TYPE_CHECKING:
    from schema.chains import FailoverChain


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


def _headers(given_ones: Sequence[ExtraHeaderInput]) -> list[ExtraHeader]:
    return [ExtraHeader(one.name, or_none(one.value)) for one in given_ones]


def _payload(description: str) -> Any:
    return strawberry.type(description=description)


@_payload("What `createProvider` did.")
class CreateProviderPayload:
    """Read from an `Outcome`."""

    subject: Provider | None = plain("The new provider.", name="provider")
    user_errors: list[UserError] = plain(USER_ERRORS)


@_payload("What `updateProvider` did.")
class UpdateProviderPayload:
    """Read from an `Outcome`."""

    subject: Provider | None = plain(
        "The provider as it stands now, also where nothing changed.", name="provider"
    )
    user_errors: list[UserError] = plain(USER_ERRORS)


@_payload("What `removeProviderApiKey` did.")
class RemoveProviderApiKeyPayload:
    """Read from an `Outcome`."""

    subject: Provider | None = plain(
        "The provider as it stands now, also where nothing changed.", name="provider"
    )
    user_errors: list[UserError] = plain(USER_ERRORS)


@_payload("What `deleteProvider` did. On IN_USE, `usedBy` are the chains to change first.")
class DeleteProviderPayload:
    """Read from an `Outcome`."""

    deleted_id: strawberry.ID | None = reference("Provider", "deleted_id", "The id that is gone.")
    subject: Provider | None = plain(
        "The provider that stands, where it was not deleted.", name="provider"
    )
    used_by: list[Annotated["FailoverChain", strawberry.lazy("schema.chains")]] = plain(
        "The chains that use its models."
    )
    user_errors: list[UserError] = plain(USER_ERRORS)


@_payload("What `testConnection` found.")
class TestConnectionPayload:
    """Read from a `TestOutcome`."""

    __test__ = False

    connection_test: ConnectionTest | None = plain(
        "The outcome, good or bad; null where there was nothing to test."
    )
    provider: Provider | None = plain(
        "The provider as it stands now; null for a draft of a new one."
    )
    user_errors: list[UserError] = plain(USER_ERRORS)


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


async def _create(
    info: Info, input: Annotated[CreateProviderInput, described("The provider.")]
) -> Outcome[ProviderRow]:
    new = NewProvider(
        slug=input.slug,
        name=input.name,
        kind=input.kind,
        base_url=or_none(input.base_url),
        api_key=or_none(input.api_key),
        extra_headers=_headers(or_none(input.extra_headers) or ()),
        enabled=input.enabled,
    )
    return await providers.create_provider(info.context, new)


async def _update(
    info: Info, input: Annotated[UpdateProviderInput, described("What to change.")]
) -> Outcome[ProviderRow]:
    headers = given(input.extra_headers)
    change = ProviderUpdate(
        id=decode_id(input.id, "Provider"),
        expected_version=or_none(input.expected_version),
        name=given(input.name),
        base_url=given(input.base_url),
        api_key=given(input.api_key),
        extra_headers=headers if headers is None or headers is LEFT_OUT else _headers(headers),
        enabled=given(input.enabled),
    )
    return await providers.update_provider(info.context, change)


async def _remove_key(
    info: Info, input: Annotated[RemoveProviderApiKeyInput, described("Whose.")]
) -> Outcome[ProviderRow]:
    return await providers.remove_provider_api_key(
        info.context, decode_id(input.id, "Provider"), or_none(input.expected_version)
    )


async def _delete(
    info: Info, input: Annotated[DeleteProviderInput, described("Which.")]
) -> Outcome[ProviderRow]:
    return await providers.delete_provider(
        info.context, decode_id(input.id, "Provider"), or_none(input.expected_version)
    )


async def _test(
    info: Info, input: Annotated[TestConnectionInput, described("What to test.")]
) -> TestOutcome:
    headers = or_none(input.extra_headers)
    wanted = ConnectionToTest(
        provider_id=decode_id(input.provider_id, "Provider") if input.provider_id else None,
        kind=or_none(input.kind),
        base_url=or_none(input.base_url),
        api_key=or_none(input.api_key),
        extra_headers=None if headers is None else _headers(headers),
    )
    return await providers.test_connection(info.context, wanted)


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
class ProviderMutation:
    """Fields of Mutation. Nullable by the contract: an error in one leaves the others standing."""

    create_provider: Any = changing(
        _create,
        "Adds a provider. Where the price data knows its slug or URL, it comes with its catalog.",
        graphql_type=CreateProviderPayload | None,
        scope=AccessScope.CONFIGURE,
    )
    update_provider: Any = changing(
        _update,
        "Changes what is given.",
        graphql_type=UpdateProviderPayload | None,
        scope=AccessScope.CONFIGURE,
    )
    remove_provider_api_key: Any = changing(
        _remove_key,
        "Forgets the stored key.",
        graphql_type=RemoveProviderApiKeyPayload | None,
        scope=AccessScope.CONFIGURE,
    )
    delete_provider: Any = changing(
        _delete,
        "Deletes a provider and its models; usage history keeps their names.",
        graphql_type=DeleteProviderPayload | None,
        scope=AccessScope.CONFIGURE,
    )
    test_connection: Any = changing(
        _test,
        "Asks the provider for its models, with the saved or a draft configuration; "
        "saves no configuration. A draft's outcome is not stored.",
        graphql_type=TestConnectionPayload | None,
        scope=AccessScope.CONFIGURE,
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
