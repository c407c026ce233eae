"""The use case that tests a provider's connection, with its saved configuration or a draft.

The stored key and extra headers go to the stored URL's origin only: a draft URL elsewhere needs
drafts of them. No database transaction is held while the provider is asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from db import connection_tests as stored_tests
from db import providers as store
from db.engine import Connection
from db.provider_rows import ConnectionTestRow, ProviderRow
from db.vocabulary import ChangeKind, ProviderKind
from trunkline.changes import Problems, not_found
from trunkline.events import ProviderChanged
from trunkline.providers.changes import stored_api_key
from trunkline.providers.connection import ConnectionOutcome, ask_for_models
from trunkline.providers.extra_headers import (
    ExtraHeader,
    checked_extra_headers,
    extra_headers_of,
)
from trunkline.providers.inputs import checked_api_key
from trunkline.providers.kinds import InvalidUrl, check_base_url, default_base_url, origin_of
from trunkline.secrets import SecretUnreadable
from trunkline.services import Services

DRAFT_TEST_ID = 0
"""The id of a test of a draft: such a test is answered and not stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionToTest:
    """Exactly one of `provider_id` and `kind`; URL, key and headers, where given, are a draft."""

    provider_id: int | None = None
    kind: ProviderKind | None = None
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    extra_headers: Sequence[ExtraHeader] | None = None


@dataclass(frozen=True, slots=True)
class TestedConnection:
    """The outcome, as a row; the provider as it stands, where there is one; what it listed."""

    __test__ = False  # Not a test of ours, whatever pytest thinks of the name.

    test: ConnectionTestRow
    provider: ProviderRow | None
    outcome: ConnectionOutcome


async def run_connection_test(services: Services, wanted: ConnectionToTest) -> TestedConnection:
    """Ask the provider for its models. A saved configuration's outcome is stored as its last test.

    Raises `Refused` (INVALID, NOT_FOUND) where there is nothing that could be tested; whatever the
    provider does is an outcome.
    """
    problems = Problems()
    if (wanted.provider_id is None) == (wanted.kind is None):
        problems.invalid(
            ("providerId",), "give exactly one of providerId and kind: a saved provider or a draft"
        )
    api_key = None if wanted.api_key is None else checked_api_key(problems, wanted.api_key)
    problems.refuse_if_any()
    if wanted.kind is not None:
        headers = checked_extra_headers(problems, wanted.extra_headers or (), {})
        problems.refuse_if_any()
        outcome = await ask_for_models(
            services.outgoing,
            wanted.kind,
            wanted.base_url or default_base_url(wanted.kind) or "",
            api_key,
            extra_headers=headers,
        )
        return TestedConnection(_row(services, outcome), None, outcome)
    return await _test_saved(services, wanted, api_key)


async def _test_saved(
    services: Services, wanted: ConnectionToTest, draft_key: str | None
) -> TestedConnection:
    async with services.database.read() as connection:
        provider = await store.find_provider(connection, wanted.provider_id or 0)
    if provider is None:
        raise not_found(("providerId",), "provider")
    base_url = provider.base_url if wanted.base_url is None else wanted.base_url
    # What is stored may have been spelled otherwise by an earlier version: it is where it is.
    elsewhere = base_url != provider.base_url and _origin(base_url) not in {
        None,
        origin_of(provider.base_url),
    }
    problems = Problems()
    api_key = draft_key or _stored_key(services, problems, provider, elsewhere=elsewhere)
    headers = _headers(services, problems, provider, wanted.extra_headers, elsewhere=elsewhere)
    problems.refuse_if_any(provider)
    outcome = await ask_for_models(
        services.outgoing, provider.kind, base_url, api_key, extra_headers=headers
    )
    is_draft = draft_key is not None or wanted.extra_headers is not None
    if is_draft or base_url != provider.base_url:
        return TestedConnection(_row(services, outcome), provider, outcome)
    return await _stored(services, provider, outcome)


def _stored_key(
    services: Services, problems: Problems, provider: ProviderRow, *, elsewhere: bool
) -> str | None:
    if provider.api_key is None:
        return None
    if elsewhere:
        problems.invalid(
            ("apiKey",),
            "the stored API key was given for another host: give a key for this one in apiKey",
        )
        return None
    try:
        return stored_api_key(services, provider)
    except SecretUnreadable as error:
        problems.invalid(("apiKey",), str(error))
        return None


def _headers(
    services: Services,
    problems: Problems,
    provider: ProviderRow,
    draft: Sequence[ExtraHeader] | None,
    *,
    elsewhere: bool,
) -> Mapping[str, str]:
    """Those of the draft, or the stored ones."""
    if draft is None and elsewhere and provider.extra_header_names:
        problems.invalid(
            ("extraHeaders",),
            "the stored extra headers were given for another host: give those for this one in "
            "extraHeaders, or an empty list",
        )
        return {}
    stored: Mapping[str, str] = {}
    needed = draft is None or any(one.value is None for one in draft)
    if needed and not elsewhere:
        try:
            stored = extra_headers_of(services, provider)
        except SecretUnreadable as error:
            problems.invalid(("extraHeaders",), str(error))
    return stored if draft is None else checked_extra_headers(problems, draft, stored)


async def _stored(
    services: Services, provider: ProviderRow, outcome: ConnectionOutcome
) -> TestedConnection:
    test = _row(services, outcome)

    async def store_outcome(
        connection: Connection,
    ) -> tuple[TestedConnection, list[ProviderChanged]]:
        stored = await stored_tests.store_connection_test(
            connection,
            provider.id,
            revision=provider.connection_revision,
            status=test.status,
            latency_ms=test.latency_ms,
            http_status=test.http_status,
            message=test.message,
            model_count=test.model_count,
            tested_at=test.tested_at,
        )
        present = await store.find_provider(connection, provider.id)
        if present is None or not stored:
            return TestedConnection(test, present, outcome), []
        changed = ProviderChanged(kind=ChangeKind.UPDATED, id=present.id, slug=present.slug)
        last = present.last_connection_test or test
        return TestedConnection(last, present, outcome), [changed]

    return await services.commit(store_outcome)


def _row(services: Services, outcome: ConnectionOutcome) -> ConnectionTestRow:
    return ConnectionTestRow(
        id=DRAFT_TEST_ID,
        status=outcome.status,
        latency_ms=outcome.latency_ms,
        http_status=outcome.http_status,
        message=outcome.message,
        model_count=outcome.model_count,
        tested_at=services.clock(),
    )


def _origin(base_url: str) -> str | None:
    try:
        return origin_of(check_base_url(base_url))
    except InvalidUrl:
        return None
