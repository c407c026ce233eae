"""Fields about models."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from db import models as store
from db.model_pages import ModelQuery, ask_for_models_of_providers, page_models
from db.models import ModelRow
from db.paging import PageRequest, Slice, slice_of
from db.provider_rows import ConnectionTestRow, ProviderRow
from resolvers.context import OperationContext
from resolvers.outcome import Outcome, deletion_of, outcome_of
from resolvers.watching import ChangeRow, watch_changes
from trunkline.catalog import changes
from trunkline.catalog.changes import ModelUpdate, NewModel
from trunkline.catalog.listing import sync_models as run_sync
from trunkline.errors import Problem, Refused
from trunkline.events import ModelChanged
from trunkline.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOutcome:
    """What `syncModels` answers; the counts are None where nothing was changed."""

    provider: ProviderRow | None = None
    connection_test: ConnectionTestRow | None = None
    added: int | None = None
    deprecated: int | None = None
    user_errors: Sequence[Problem] = ()


async def list_models(
    context: OperationContext, page: PageRequest, query: ModelQuery
) -> Slice[ModelRow]:
    """A page of the models that match."""
    async with context.services.database.read() as connection:
        return await page_models(connection, page, query)


async def models_of_provider(
    context: OperationContext, provider_id: int, page: PageRequest, query: ModelQuery
) -> Slice[ModelRow]:
    """A page of one provider's models; the same page of all providers asked for is one load."""
    if query.provider_ids is not None and provider_id not in query.provider_ids:
        return slice_of(PageRequest(0), (), lambda _: (), "models", total_count=0)
    found = await context.load_with(_load_pages, (page, query), provider_id)
    if found is None:
        raise LookupError(f"no page for provider {provider_id}")
    return found


async def model_by_id(context: OperationContext, model_id: int) -> ModelRow | None:
    """The living model with this id."""
    return await context.load(load_models_by_id, model_id)


async def load_models_by_id(services: Services, ids: Sequence[int]) -> Mapping[int, ModelRow]:
    """A batch for `OperationContext.load`."""
    return await store.ask_for_models(services.database, ids)


async def create_model(context: OperationContext, new: NewModel) -> Outcome[ModelRow]:
    """`createModel`."""
    return await outcome_of(changes.create_model(context.services, new))


async def update_model(context: OperationContext, change: ModelUpdate) -> Outcome[ModelRow]:
    """`updateModel`."""
    return await outcome_of(changes.update_model(context.services, change))


async def delete_model(
    context: OperationContext, model_id: int, expected_version: int | None
) -> Outcome[ModelRow]:
    """`deleteModel`."""
    return await deletion_of(
        changes.delete_model(context.services, model_id, expected_version), model_id
    )


async def sync_models(context: OperationContext, provider_id: int) -> SyncOutcome:
    """`syncModels`."""
    try:
        synced = await run_sync(context.services, provider_id)
    except Refused as refusal:
        test = refusal.detail if isinstance(refusal.detail, ConnectionTestRow) else None
        provider = refusal.current if isinstance(refusal.current, ProviderRow) else None
        return SyncOutcome(provider=provider, connection_test=test, user_errors=refusal.problems)
    return SyncOutcome(
        provider=synced.provider,
        connection_test=synced.connection_test,
        added=synced.added,
        deprecated=synced.deprecated,
    )


def watch_models(
    context: OperationContext, provider_slugs: Sequence[str] | None
) -> AsyncIterator[ChangeRow[ModelRow]]:
    """READY, then a message for each change."""
    return watch_changes(
        context,
        ModelChanged,
        load_models_by_id,
        slug_of=lambda event: event.provider_slug,
        slugs=provider_slugs,
    )


async def _load_pages(
    services: Services, provider_ids: Sequence[int], arguments: tuple[PageRequest, ModelQuery]
) -> Mapping[int, Slice[ModelRow]]:
    page, query = arguments
    return await ask_for_models_of_providers(services.database, provider_ids, page, query)
