"""The use cases that change a provider: create, update, remove its key, delete.

A key is bound to its provider and the origin it was given for. So a base URL of another origin
needs a key given with it, while one is stored: the stored one must not follow to a new host.
"""

from dataclasses import dataclass, field
from typing import Any

from db import chains as stored_chains
from db import connection_tests as stored_tests
from db import providers as store
from db.engine import Connection
from db.providers import ProviderRow
from db.vocabulary import ChangeKind, ProviderKind
from trunkline.catalog.seeding import seed_catalog
from trunkline.changes import LONGEST_NAME, UNSET, Given, Problems, not_found, version_conflict
from trunkline.errors import Problem, ProblemCode, Refused
from trunkline.events import ProviderChanged
from trunkline.providers.kinds import InvalidUrl, check_base_url, default_base_url, origin_of
from trunkline.secrets import masked
from trunkline.services import Services

LONGEST_API_KEY = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class NewProvider:
    """A provider to create. Without a base URL the kind's default is taken, where it has one."""

    slug: str
    name: str
    kind: ProviderKind
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderUpdate:
    """What to change of a provider; what is UNSET stays."""

    id: int
    expected_version: int | None = None
    name: Given[str] = UNSET
    base_url: Given[str] = UNSET
    api_key: Given[str] = field(default=UNSET, repr=False)
    enabled: Given[bool] = UNSET


async def create_provider(services: Services, new: NewProvider) -> ProviderRow:
    """Create a provider, with the catalog that the price data knows for it.

    Raises `Refused` with every problem: INVALID, TAKEN.
    """
    problems = Problems()
    problems.slug(new.slug, ("slug",))
    name = problems.text(new.name, ("name",), longest=LONGEST_NAME)
    base_url = _checked_url(problems, new.base_url or default_base_url(new.kind), new.kind)
    api_key = None if new.api_key is None else checked_api_key(problems, new.api_key)
    known = services.catalog.find_provider(new.kind, new.slug, base_url) if base_url else None

    async def create(connection: Connection) -> tuple[ProviderRow, list[ProviderChanged]]:
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
        await seed_catalog(
            connection, services.catalog, await _present(connection, provider_id), now=now
        )
        provider = await _present(connection, provider_id)
        return provider, [_changed(ChangeKind.CREATED, provider)]

    return await services.commit(create)


async def update_provider(services: Services, change: ProviderUpdate) -> ProviderRow:
    """Change what is given. An update that changes nothing leaves the version as it is.

    Raises `Refused`: NOT_FOUND, VERSION_CONFLICT, INVALID.
    """

    async def update(connection: Connection) -> tuple[ProviderRow, list[ProviderChanged]]:
        current = await _held(connection, change.id, change.expected_version)
        columns, api_key = _checked_update(current, change)
        now = services.clock()
        if "base_url" in columns or api_key is not None:
            await stored_tests.forget_connection_test(connection, current.id)
        if api_key is not None:
            url = columns.get("base_url", current.base_url)
            await _seal_key(services, connection, current.id, url, api_key)
        if not columns and api_key is None:
            return current, []
        if "base_url" in columns:
            columns["known_provider"] = services.catalog.find_provider(
                current.kind, current.slug, columns["base_url"]
            )
        await store.update_provider(connection, current.id, columns, now=now)
        if columns.get("known_provider") not in {None, current.known_provider}:
            moved = await _present(connection, current.id)
            await seed_catalog(connection, services.catalog, moved, now=now)
        provider = await _present(connection, current.id)
        return provider, [_changed(ChangeKind.UPDATED, provider)]

    return await services.commit(update)


async def remove_provider_api_key(
    services: Services, provider_id: int, expected_version: int | None
) -> ProviderRow:
    """Forget the provider's key. Raises `Refused`: NOT_FOUND, VERSION_CONFLICT."""

    async def remove(connection: Connection) -> tuple[ProviderRow, list[ProviderChanged]]:
        current = await _held(connection, provider_id, expected_version)
        if current.api_key is None:
            return current, []
        now = services.clock()
        await store.store_api_key(connection, provider_id, sealed=None, masked=None, now=now)
        await stored_tests.forget_connection_test(connection, provider_id)
        await store.update_provider(connection, provider_id, {}, now=now)
        provider = await _present(connection, provider_id)
        return provider, [_changed(ChangeKind.UPDATED, provider)]

    return await services.commit(remove)


async def delete_provider(
    services: Services, provider_id: int, expected_version: int | None
) -> None:
    """Delete a provider with its models; its usage history stays, under its name.

    Raises `Refused`: NOT_FOUND, VERSION_CONFLICT, IN_USE with the chains that use its models.
    """

    async def remove(connection: Connection) -> tuple[None, list[ProviderChanged]]:
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
        return None, [_changed(ChangeKind.DELETED, current)]

    await services.commit(remove)


def checked_api_key(problems: Problems, api_key: str) -> str:
    """The key without surrounding white space; a problem where no header could carry it."""
    stripped = api_key.strip()
    if not stripped:
        problems.invalid(("apiKey",), "apiKey can't be empty: leave it out to store none")
    elif len(stripped) > LONGEST_API_KEY:
        problems.invalid(("apiKey",), f"apiKey may have at most {LONGEST_API_KEY} characters")
    elif not (stripped.isascii() and stripped.isprintable()) or " " in stripped:
        problems.invalid(
            ("apiKey",), "apiKey holds characters that no key has: check what was pasted"
        )
    return stripped


def stored_api_key(services: Services, provider: ProviderRow) -> str | None:
    """The provider's plain key, for a request to its own origin, or None where it has none.

    Raises `trunkline.secrets.SecretUnreadable` where it can't be opened.
    """
    if provider.api_key_encrypted is None:
        return None
    return services.secrets.open(
        provider.api_key_encrypted,
        provider_id=provider.id,
        origin=origin_of(provider.base_url),
    )


def _checked_url(problems: Problems, url: str | None, kind: ProviderKind) -> str:
    if url is None:
        problems.invalid(("baseUrl",), f"baseUrl is needed: {kind.value} has no default")
        return ""
    try:
        return check_base_url(url)
    except InvalidUrl as error:
        problems.invalid(("baseUrl",), str(error))
        return ""


def _checked_update(
    current: ProviderRow, change: ProviderUpdate
) -> tuple[dict[str, Any], str | None]:
    """The columns that differ from what stands, and the new key. Raises `Refused`."""
    problems = Problems()
    columns: dict[str, Any] = {}
    name = problems.value(change.name, "name")
    if name is not None:
        columns["name"] = problems.text(name, ("name",), longest=LONGEST_NAME)
    enabled = problems.value(change.enabled, "enabled")
    if enabled is not None:
        columns["enabled"] = enabled
    api_key = None
    if change.api_key is None:
        problems.invalid(
            ("apiKey",), "apiKey can't be null: removeProviderApiKey forgets the stored one"
        )
    elif change.api_key is not UNSET:
        api_key = checked_api_key(problems, change.api_key)
    url = problems.value(change.base_url, "baseUrl")
    if url is not None:
        columns["base_url"] = _checked_url(problems, url, current.kind)
    problems.refuse_if_any(current)
    columns = {name: value for name, value in columns.items() if value != getattr(current, name)}
    moved = "base_url" in columns and origin_of(columns["base_url"]) != origin_of(current.base_url)
    if moved and current.api_key is not None and api_key is None:
        problems.invalid(
            ("baseUrl",),
            "this is another host than the stored API key was given for: give the new host's "
            "key in apiKey with it, or remove the stored key first",
        )
    problems.refuse_if_any(current)
    return columns, api_key


async def _seal_key(
    services: Services, connection: Connection, provider_id: int, base_url: str, api_key: str
) -> None:
    sealed = services.secrets.seal(api_key, provider_id=provider_id, origin=origin_of(base_url))
    await store.store_api_key(
        connection, provider_id, sealed=sealed, masked=masked(api_key), now=services.clock()
    )


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
