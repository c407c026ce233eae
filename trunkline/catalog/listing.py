"""Bring a provider's models in line with what it lists, and the use case that asks it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from db import models as store
from db import providers as stored_providers
from db.engine import Connection
from db.models import ModelRow, NewModelRow
from db.provider_rows import ConnectionTestRow, ProviderRow
from db.vocabulary import AuditObjectKind, ChangeKind, ModelSource
from trunkline.audit.changes import Change, Changes, Shown, updated
from trunkline.catalog.capabilities import without_edition
from trunkline.catalog.seeding import known_row, price_without_override
from trunkline.changes import not_found
from trunkline.errors import Problem, ProblemCode, Refused
from trunkline.events import ModelChanged
from trunkline.providers.adapter import ListedModel
from trunkline.providers.testing import ConnectionToTest, run_connection_test
from trunkline.services import Services


@dataclass(frozen=True, slots=True)
class Synced:
    """The provider after a sync, the test that was part of it, and what changed."""

    provider: ProviderRow
    connection_test: ConnectionTestRow
    added: int
    deprecated: int


async def sync_models(services: Services, provider_id: int) -> Synced:
    """Ask the provider for its models: add those that are new, deprecate those that are gone.

    CUSTOM models are the operator's and stay. Raises `Refused`: NOT_FOUND, or UPSTREAM_FAILED with
    the connection test in `detail`.
    """
    async with services.database.read() as connection:
        asked = await stored_providers.find_provider(connection, provider_id)
    if asked is None:
        raise not_found(("providerId",), "provider")
    tested = await run_connection_test(services, ConnectionToTest(provider_id=provider_id))
    listed = tested.outcome.models
    if tested.provider is None:
        raise not_found(("providerId",), "provider")
    if listed is None:
        raise Refused(
            [Problem(ProblemCode.UPSTREAM_FAILED, None, tested.test.message)],
            current=tested.provider,
            detail=tested.test,
        )

    async def apply(connection: Connection) -> Change[Synced]:
        provider = await stored_providers.lock_provider(connection, provider_id)
        if provider is None:
            raise not_found(("providerId",), "provider")
        if provider.connection_revision != asked.connection_revision:
            raise Refused([_moved()], current=provider, detail=tested.test)
        added, gone, others = await _apply(services, connection, provider, listed)
        provider = await stored_providers.find_provider(connection, provider_id) or provider
        changes = [(ChangeKind.CREATED, one) for one in added]
        changes += [(ChangeKind.UPDATED, one) for one in (*gone, *others)]
        events = [
            ModelChanged(kind=kind, id=one, provider_id=provider.id, provider_slug=provider.slug)
            for kind, one in changes
        ]
        synced = Synced(provider, tested.test, len(added), len(gone))
        models = await store.models_of_provider(connection, provider_id)
        return Change(synced, events, _entered(provider, models, added, gone, others))

    return await services.change("syncModels", apply)


def _entered(
    provider: ProviderRow, models: Mapping[str, ModelRow], *changed: Sequence[int]
) -> Changes:
    """What a sync changed, for the audit log: models by their names, in one entry."""
    names = {model.id: name for name, model in models.items()}
    fields = ("modelsAdded", "modelsDeprecated", "modelsUpdated")

    def shown(*ids: Sequence[int]) -> Shown:
        named = {
            field: sorted(names[one] for one in listed)
            for field, listed in zip(fields, ids, strict=True)
        }
        return Shown(AuditObjectKind.PROVIDER, provider.id, provider.slug, named)

    return updated(shown((), (), ()), shown(*changed))


def _moved() -> Problem:
    return Problem(
        ProblemCode.UPSTREAM_FAILED,
        None,
        "the provider's key or URL was changed while it was asked, so the list may be another "
        "provider's: sync again",
    )


async def _apply(
    services: Services,
    connection: Connection,
    provider: ProviderRow,
    listed: tuple[ListedModel, ...],
) -> tuple[list[int], list[int], list[int]]:
    """Ids of the models added, of those gone from the list, and of others that changed."""
    now = services.clock()
    present = await store.models_of_provider(connection, provider.id)
    names = {model.wire_name for model in listed}
    # Who lists `claude-sonnet-4-5-20250929` serves `claude-sonnet-4-5` too, listed or not.
    served = names | {without_edition(name) for name in names}
    new = [
        _discovered(services, provider, model) for model in listed if model.wire_name not in present
    ]
    added = await store.insert_models(connection, provider.id, new, now=now)
    own = [model for model in present.values() if model.source is not ModelSource.CUSTOM]
    is_served = {model.id: model.wire_name.removesuffix("-latest") in served for model in own}
    gone = [model.id for model in own if not model.deprecated and not is_served[model.id]]
    retired = _retired(services, provider)
    back = [
        model.id
        for model in own
        if model.deprecated and is_served[model.id] and model.wire_name not in retired
    ]
    learned = {
        model.id: row
        for one in listed
        if (model := present.get(one.wire_name)) is not None
        and (row := _learned(model, one)) is not None
    }
    await store.refresh_models(connection, learned, now=now)
    await store.set_deprecated(connection, gone, deprecated=True, now=now)
    await store.set_deprecated(connection, back, deprecated=False, now=now)
    return list(added.values()), gone, sorted({*back, *learned} - set(gone))


def _retired(services: Services, provider: ProviderRow) -> set[str]:
    """What the price data says is deprecated, though it may still be served."""
    if provider.known_provider is None:
        return set()
    known = services.catalog.models(provider.known_provider, services.clock())
    return {model.wire_name for model in known if model.deprecated}


def _discovered(services: Services, provider: ProviderRow, model: ListedModel) -> NewModelRow:
    known = (
        services.catalog.find_model(provider.known_provider, model.wire_name, services.clock())
        if provider.known_provider is not None
        else None
    )
    row = known_row(known, source=ModelSource.DISCOVERED) if known is not None else None
    return NewModelRow(
        wire_name=model.wire_name,
        name=model.name or model.wire_name,
        description=row.description if row else None,
        context_window=model.context_window or (row.context_window if row else None),
        max_output_tokens=model.max_output_tokens or (row.max_output_tokens if row else None),
        capabilities=model.capabilities
        if model.capabilities is not None
        else (row.capabilities if row else None),
        pricing=price_without_override(
            services.catalog, provider, model.wire_name, services.clock()
        ),
        source=ModelSource.DISCOVERED,
    )


def _learned(present: ModelRow, listed: ListedModel) -> NewModelRow | None:
    """The row with the gaps filled that the listing fills; None where it fills none."""
    row = NewModelRow(
        wire_name=present.wire_name,
        name=present.name,
        description=present.description,
        context_window=present.context_window or listed.context_window,
        max_output_tokens=present.max_output_tokens or listed.max_output_tokens,
        capabilities=listed.capabilities if present.capabilities is None else present.capabilities,
        pricing=present.pricing,
        deprecated=present.deprecated,
        source=present.source,
    )
    filled = (
        row.context_window != present.context_window
        or row.max_output_tokens != present.max_output_tokens
        or (present.capabilities is None and row.capabilities is not None)
    )
    return row if filled and present.source is not ModelSource.CUSTOM else None
