"""The use cases that change a provider: create, update, remove its key, delete.

A key is bound to its provider and the origin it was given for, and so are extra headers. So a base
URL of another origin needs new ones given with it, while some are stored: the stored ones must not
follow to a new host.
"""

from collections.abc import Mapping

from db import chains as stored_chains
from db import connection_tests as stored_tests
from db import providers as store
from db.engine import Connection
from db.provider_rows import ProviderRow
from db.vocabulary import ChangeKind
from trunkline.audit.changes import Change, created, deleted, nothing_changed, updated
from trunkline.audit.showing import shown_provider
from trunkline.catalog.seeding import seed_catalog
from trunkline.changes import LONGEST_NAME, Problems, not_found, version_conflict
from trunkline.errors import Problem, ProblemCode, Refused
from trunkline.events import ProviderChanged
from trunkline.providers.extra_headers import checked_extra_headers, sealed_extra_headers
from trunkline.providers.inputs import (
    NewProvider,
    ProviderUpdate,
    checked_api_key,
    checked_update,
    checked_url,
)
from trunkline.providers.kinds import default_base_url, origin_of
from trunkline.secrets import Secrets, masked
from trunkline.services import Services

__all__ = [
    "NewProvider",
    "ProviderUpdate",
    "create_provider",
    "delete_provider",
    "opened_api_key",
    "remove_provider_api_key",
    "stored_api_key",
    "update_provider",
]


async def create_provider(services: Services, new: NewProvider) -> ProviderRow:
    """Create a provider, with the catalog that the price data knows for it.

    Raises `Refused` with every problem: INVALID, TAKEN.
    """
    problems = Problems()
    problems.slug(new.slug, ("slug",))
    name = problems.text(new.name, ("name",), longest=LONGEST_NAME)
    base_url = checked_url(problems, new.base_url or default_base_url(new.kind), new.kind)
    api_key = None if new.api_key is None else checked_api_key(problems, new.api_key)
    headers = checked_extra_headers(problems, new.extra_headers, {})
    known = services.catalog.find_provider(new.kind, new.slug, base_url) if base_url else None

    async def create(connection: Connection) -> Change[ProviderRow]:
        taken = Problem(ProblemCode.TAKEN, ("slug",), f"there is a provider {new.slug!r} already")
        if not problems.concern("slug") and await store.find_provider_by_slug(connection, new.slug):
            raise Refused([*problems.found, taken])
        problems.refuse_if_any()
        now = services.clock()
        provider_id = await store.insert_provider(
            connection,
            slug=new.slug,
            name=name,
            kind=new.kind,
            base_url=base_url,
            enabled=new.enabled,
            known_provider=known,
            now=now,
        )
        if provider_id is None:  # Another writer took it since we looked.
            raise Refused([taken])
        if api_key is not None:
            await _seal_key(services, connection, provider_id, base_url, api_key)
        if headers:
            await _seal_headers(services, connection, provider_id, base_url, headers)
        await seed_catalog(
            connection, services.catalog, await _present(connection, provider_id), now=now
        )
        provider = await _present(connection, provider_id)
        events = [_changed(ChangeKind.CREATED, provider)]
        return Change(provider, events, created(shown_provider(provider)))

    return await services.change("createProvider", create)


async def update_provider(services: Services, change: ProviderUpdate) -> ProviderRow:
    """Change what is given. An update that changes nothing leaves the version as it is.

    Raises `Refused`: NOT_FOUND, VERSION_CONFLICT, INVALID.
    """

    async def update(connection: Connection) -> Change[ProviderRow]:
        current = await _held(connection, change.id, change.expected_version)
        checked = checked_update(services, current, change)
        columns = checked.columns
        now = services.clock()
        if checked.is_of_connection:
            await stored_tests.forget_connection_test(connection, current.id)
        url = columns.get("base_url", current.base_url)
        if checked.api_key is not None:
            await _seal_key(services, connection, current.id, url, checked.api_key)
        if checked.extra_headers is not None:
            await _seal_headers(services, connection, current.id, url, checked.extra_headers)
        if not columns and not checked.is_of_connection:
            return nothing_changed(current)
        if "base_url" in columns:
            columns["known_provider"] = services.catalog.find_provider(
                current.kind, current.slug, columns["base_url"]
            )
        await store.update_provider(connection, current.id, columns, now=now)
        if columns.get("known_provider", current.known_provider) != current.known_provider:
            moved = await _present(connection, current.id)
            await seed_catalog(connection, services.catalog, moved, now=now)
        provider = await _present(connection, current.id)
        changes = updated(
            shown_provider(current), shown_provider(provider), replaced=checked.replaced_secrets
        )
        return Change(provider, [_changed(ChangeKind.UPDATED, provider)], changes)

    return await services.change("updateProvider", update)


async def remove_provider_api_key(
    services: Services, provider_id: int, expected_version: int | None
) -> ProviderRow:
    """Forget the provider's key. Raises `Refused`: NOT_FOUND, VERSION_CONFLICT."""

    async def remove(connection: Connection) -> Change[ProviderRow]:
        current = await _held(connection, provider_id, expected_version)
        if current.api_key is None:
            return nothing_changed(current)
        now = services.clock()
        await store.store_api_key(connection, provider_id, sealed=None, masked=None, now=now)
        await stored_tests.forget_connection_test(connection, provider_id)
        await store.update_provider(connection, provider_id, {}, now=now)
        provider = await _present(connection, provider_id)
        changes = updated(shown_provider(current), shown_provider(provider))
        return Change(provider, [_changed(ChangeKind.UPDATED, provider)], changes)

    return await services.change("removeProviderApiKey", remove)


async def delete_provider(
    services: Services, provider_id: int, expected_version: int | None
) -> None:
    """Delete a provider with its models; its usage history stays, under its name.

    Raises `Refused`: NOT_FOUND, VERSION_CONFLICT, IN_USE with the chains that use its models.
    """

    async def remove(connection: Connection) -> Change[None]:
        current = await _held(connection, provider_id, expected_version)
        using = await stored_chains.chain_ids_using_provider(connection, provider_id)
        if using:
            chains = await stored_chains.load_chains(connection, using)
            raise Refused(
                [
                    Problem(
                        ProblemCode.IN_USE,
                        ("id",),
                        f"{len(using)} failover chain(s) use models of {current.name}: "
                        "change those first, they are in `usedBy`",
                    )
                ],
                current=current,
                used_by=[chains[one] for one in using],
            )
        await store.delete_provider(connection, provider_id, now=services.clock())
        events = [_changed(ChangeKind.DELETED, current)]
        return Change(None, events, deleted(shown_provider(current)))

    await services.change("deleteProvider", remove)


def stored_api_key(services: Services, provider: ProviderRow) -> str | None:
    """The provider's plain key, for a request to its own origin, or None where it has none.

    Raises `trunkline.secrets.SecretUnreadable` where it can't be opened.
    """
    return opened_api_key(services.secrets, provider)


def opened_api_key(secrets: Secrets, provider: ProviderRow) -> str | None:
    """The same, with these secrets."""
    if provider.api_key_encrypted is None:
        return None
    return secrets.open(
        provider.api_key_encrypted,
        provider_id=provider.id,
        origin=origin_of(provider.base_url),
    )


async def _seal_key(
    services: Services, connection: Connection, provider_id: int, base_url: str, api_key: str
) -> None:
    sealed = services.secrets.seal(api_key, provider_id=provider_id, origin=origin_of(base_url))
    await store.store_api_key(
        connection, provider_id, sealed=sealed, masked=masked(api_key), now=services.clock()
    )


async def _seal_headers(
    services: Services,
    connection: Connection,
    provider_id: int,
    base_url: str,
    headers: Mapping[str, str],
) -> None:
    sealed = sealed_extra_headers(services, headers, provider_id=provider_id, base_url=base_url)
    await store.store_extra_headers(connection, provider_id, names=tuple(headers), sealed=sealed)


async def _held(
    connection: Connection, provider_id: int, expected_version: int | None
) -> ProviderRow:
    current = await store.lock_provider(connection, provider_id)
    if current is None:
        raise not_found(("id",), "provider")
    if expected_version is not None and expected_version != current.version:
        raise version_conflict(current, current.version)
    return current


async def _present(connection: Connection, provider_id: int) -> ProviderRow:
    provider = await store.find_provider(connection, provider_id)
    if provider is None:
        raise LookupError(f"provider {provider_id} vanished within its own transaction")
    return provider


def _changed(kind: ChangeKind, provider: ProviderRow) -> ProviderChanged:
    return ProviderChanged(kind=kind, id=provider.id, slug=provider.slug)
