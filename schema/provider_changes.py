"""Changing a provider: create, update, forget its key, delete; and testing one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from db.provider_rows import ProviderRow
from db.vocabulary import AccessScope
from resolvers import providers
from resolvers.outcome import Outcome
from resolvers.providers import TestOutcome
from schema.connection_tests import ConnectionTest
from schema.fields import Info, changing, described, given, or_none, plain
from schema.node import decode_id, reference
from schema.payloads import USER_ERRORS, UserError
from schema.provider_inputs import (
    CreateProviderInput,
    DeleteProviderInput,
    ExtraHeaderInput,
    RemoveProviderApiKeyInput,
    TestConnectionInput,
    UpdateProviderInput,
)
from schema.providers import Provider
from trunkline.changes import UNSET as LEFT_OUT
from trunkline.providers.extra_headers import ExtraHeader
from trunkline.providers.inputs import NewProvider, ProviderUpdate
from trunkline.providers.testing import ConnectionToTest

if TYPE_CHECKING:
    from schema.chains import FailoverChain


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
