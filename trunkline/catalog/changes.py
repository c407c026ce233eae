"""The use cases that change a model: create one of one's own, update, delete."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from db import chains as stored_chains
from db import models as store
from db import providers as stored_providers
from db.engine import Connection
from db.models import ModelRow, NewModelRow
from db.provider_rows import ProviderRow
from db.vocabulary import ChangeKind, ModelCapability, ModelSource
from trunkline.audit.changes import Change, created, deleted, nothing_changed, updated
from trunkline.audit.showing import shown_model
from trunkline.catalog.price_overrides import (
    PriceOverride,
    check_override,
    override_differs,
    override_pricing,
    store_override,
)
from trunkline.catalog.seeding import price_without_override
from trunkline.changes import (
    LONGEST_DESCRIPTION,
    LONGEST_NAME,
    UNSET,
    Given,
    Problems,
    not_found,
    version_conflict,
)
from trunkline.errors import Problem, ProblemCode, Refused
from trunkline.events import ModelChanged
from trunkline.services import Services

_MOST_TOKENS = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NewModel:
    """A model that no list has."""

    provider_id: int
    wire_name: str
    name: str | None = None
    description: str | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    capabilities: Sequence[ModelCapability] | None = None
    price_override: PriceOverride | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUpdate:
    """What to change of a model. A `price_override` of None ends the override."""

    id: int
    expected_version: int | None = None
    name: Given[str] = UNSET
    enabled: Given[bool] = UNSET
    price_override: Given[PriceOverride] = UNSET


async def create_model(services: Services, new: NewModel) -> ModelRow:
    """Add a CUSTOM model. Raises `Refused`: INVALID, NOT_FOUND, TAKEN."""
    problems = Problems()
    wire_name = problems.text(new.wire_name, ("wireName",), longest=LONGEST_NAME)
    if any(character in wire_name for character in "\r\n\t"):
        problems.invalid(("wireName",), "wireName is one line without tabs")
    name = wire_name
    if new.name is not None:
        name = problems.text(new.name, ("name",), longest=LONGEST_NAME)
    description = new.description
    if description is not None:
        description = problems.text(
            description, ("description",), longest=LONGEST_DESCRIPTION, required=False
        )
    for field, count in (
        ("contextWindow", new.context_window),
        ("maxOutputTokens", new.max_output_tokens),
    ):
        if count is not None and not 0 < count <= _MOST_TOKENS:
            problems.invalid((field,), f"{field} takes 1 to {_MOST_TOKENS}")
    check_override(problems, new.price_override)

    async def create(connection: Connection) -> Change[ModelRow]:
        provider = await stored_providers.lock_provider(connection, new.provider_id)
        if provider is None:
            raise Refused([*problems.found, *not_found(("providerId",), "provider").problems])
        taken = Problem(
            ProblemCode.TAKEN, ("wireName",), f"{provider.name} has a model {wire_name!r} already"
        )
        # A name that can't be stored can't be asked for either.
        if not problems.concern("wireName") and await store.find_model_by_name(
            connection, provider.id, wire_name
        ):
            raise Refused([*problems.found, taken])
        problems.refuse_if_any()
        now = services.clock()
        pricing = price_without_override(services.catalog, provider, wire_name, now)
        if new.price_override is not None:
            pricing = override_pricing(services, new.price_override)
        row = NewModelRow(
            wire_name=wire_name,
            name=name,
            description=description,
            context_window=new.context_window,
            max_output_tokens=new.max_output_tokens,
            capabilities=new.capabilities,
            pricing=pricing,
            source=ModelSource.CUSTOM,
        )
        added = await store.insert_models(connection, provider.id, [row], now=now)
        model_id = added.get(wire_name)
        if model_id is None:  # Recorded usage added it since we looked.
            raise Refused([taken])
        if new.price_override is not None:
            await store_override(services, connection, model_id, new.price_override)
        model = await _present(connection, model_id)
        events = [_changed(ChangeKind.CREATED, model, provider)]
        return Change(model, events, created(shown_model(model, provider)))

    return await services.change("createModel", create)


async def update_model(services: Services, change: ModelUpdate) -> ModelRow:
    """Change what is given. An update that changes nothing leaves the version as it is.

    An override counts from when it is set; history keeps the prices that it was recorded with.
    Raises `Refused`: NOT_FOUND, VERSION_CONFLICT, INVALID.
    """

    async def update(connection: Connection) -> Change[ModelRow]:
        current = await _held(connection, change.id, change.expected_version)
        provider = await stored_providers.find_provider(connection, current.provider_id)
        if provider is None:
            raise not_found(("id",), "model")
        problems = Problems()
        columns: dict[str, Any] = {}
        name = problems.value(change.name, "name")
        if name is not None:
            name = problems.text(name, ("name",), longest=LONGEST_NAME)
            if name != current.name:
                columns |= store.name_columns(current.wire_name, name)
        enabled = problems.value(change.enabled, "enabled")
        if enabled is not None and enabled != current.enabled:
            columns["enabled"] = enabled
        override = change.price_override
        if override is not UNSET:
            check_override(problems, override)
        problems.refuse_if_any(current)
        if override is not UNSET and override_differs(current, override):
            await store_override(services, connection, current.id, override)
            columns |= store.pricing_columns(
                price_without_override(
                    services.catalog, provider, current.wire_name, services.clock()
                )
                if override is None
                else override_pricing(services, override)
            )
        if not columns:
            return nothing_changed(current)
        await store.update_model(connection, current.id, columns, now=services.clock())
        model = await _present(connection, current.id)
        changes = updated(shown_model(current, provider), shown_model(model, provider))
        return Change(model, [_changed(ChangeKind.UPDATED, model, provider)], changes)

    return await services.change("updateModel", update)


async def delete_model(services: Services, model_id: int, expected_version: int | None) -> None:
    """Delete a CUSTOM model; its usage history stays, under its name.

    Raises `Refused`: NOT_FOUND, VERSION_CONFLICT, INVALID for a model that isn't CUSTOM, IN_USE
    with the chains that use it.
    """

    async def remove(connection: Connection) -> Change[None]:
        current = await _held(connection, model_id, expected_version)
        provider = await stored_providers.find_provider(connection, current.provider_id)
        if provider is None:
            raise not_found(("id",), "model")
        if current.source is not ModelSource.CUSTOM:
            raise Refused(
                [
                    Problem(
                        ProblemCode.INVALID,
                        ("id",),
                        f"{current.wire_name} comes from the {current.source.value.lower()} list "
                        "and would come back: disable it instead with updateModel",
                    )
                ],
                current=current,
            )
        using = await stored_chains.chain_ids_using_model(connection, model_id)
        if using:
            chains = await stored_chains.load_chains(connection, using)
            raise Refused(
                [
                    Problem(
                        ProblemCode.IN_USE,
                        ("id",),
                        f"{len(using)} failover chain(s) use {current.name}: "
                        "change those first, they are in `usedBy`",
                    )
                ],
                current=current,
                used_by=[chains[one] for one in using],
            )
        await store.delete_model(connection, model_id, now=services.clock())
        events = [_changed(ChangeKind.DELETED, current, provider)]
        return Change(None, events, deleted(shown_model(current, provider)))

    await services.change("deleteModel", remove)


async def _held(connection: Connection, model_id: int, expected_version: int | None) -> ModelRow:
    current = await store.lock_model(connection, model_id)
    if current is None:
        raise not_found(("id",), "model")
    if expected_version is not None and expected_version != current.version:
        raise version_conflict(current, current.version)
    return current


async def _present(connection: Connection, model_id: int) -> ModelRow:
    return (await store.load_models(connection, [model_id]))[model_id]


def _changed(kind: ChangeKind, model: ModelRow, provider: ProviderRow) -> ModelChanged:
    return ModelChanged(
        kind=kind, id=model.id, provider_id=provider.id, provider_slug=provider.slug
    )
