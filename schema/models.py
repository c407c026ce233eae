"""The model catalog: browse, price, add, watch."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry import UNSET

from db.models import ModelRow
from db.paging import Slice
from db.provider_rows import ProviderRow
from db.vocabulary import (
    AccessScope,
    ChangeKind,
    ModelCapability,
    ModelSort,
    ModelSource,
    PriceSource,
)
from resolvers import models, providers
from resolvers.models import SyncOutcome
from resolvers.outcome import Outcome
from resolvers.watching import ChangeRow
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
from schema.model_filter import ModelFilterArgument, ModelSortArgument, model_query
from schema.model_inputs import (
    CreateModelInput,
    DeleteModelInput,
    SyncModelsInput,
    UpdateModelInput,
    override_of,
)
from schema.node import Node, decode_id, node_type, reference
from schema.payloads import USER_ERRORS, UserError
from schema.scalars import Dollars
from schema.usage_totals import UsageTotals, usage_field
from trunkline.catalog.changes import ModelUpdate, NewModel
from trunkline.changes import UNSET as LEFT_OUT

if TYPE_CHECKING:
    from schema.chains import FailoverChain
    from schema.connection_tests import ConnectionTest
    from schema.providers import Provider

LazyProvider = Annotated["Provider", strawberry.lazy("schema.providers")]


@strawberry.type(
    description=(
        "US dollars per million tokens, at the lowest tier; "
        "`tiered` says that larger prompts or other hours cost otherwise."
    )
)
class ModelPricing:
    """Read from `ModelPricingRow`."""

    input_per_million: Dollars | None = plain("For input that is not cached.")
    output_per_million: Dollars | None = plain("For output, reasoning included.")
    cache_read_per_million: Dollars | None = plain(
        "For input read from the cache; null: as other input."
    )
    cache_write_per_million: Dollars | None = plain(
        "For input written to the cache; null: as other input."
    )
    tiered: bool = plain("Whether larger prompts or other hours cost otherwise.")
    source: PriceSource = plain("Where the price came from.")
    as_of: datetime | None = plain("When the price was set or its data published.")


async def _provider_of(info: Info, root: strawberry.Parent[ModelRow]) -> ProviderRow | None:
    return await providers.provider_by_id(info.context, root.provider_id)


@node_type(ModelRow, description="A model of a provider, as it is called over the wire.")
class Model(Node):
    """Read from `ModelRow`."""

    provider: LazyProvider = resolved(_provider_of, "Whose model it is.", graphql_type=LazyProvider)
    wire_name: str = plain("What goes over the wire: `claude-sonnet-4-5`.")
    name: str = plain("For people: `Claude Sonnet 4.5`.")
    description: str | None = plain("What it is made for.")
    context_window: int | None = plain("Most tokens of input and output together; null: unknown.")
    max_output_tokens: int | None = plain("Most tokens of output; null: unknown.")
    capabilities: list[ModelCapability] | None = plain(
        "Null where nobody knows; an empty list says that it has none."
    )
    pricing: ModelPricing | None = plain("Null where the price is unknown: unknown is never zero.")
    enabled: bool = plain("False where an operator switched it off.")
    deprecated: bool = plain("Whether its provider retired it or no longer lists it.")
    source: ModelSource = plain("Where the knowledge of it came from.")
    usage: UsageTotals | None = usage_field("MODEL")
    version: int = plain("Counts the changes an operator makes.")
    updated_at: datetime = plain("When it last changed.")


async def _models(
    info: Info,
    first: First = 50,
    after: After = UNSET,
    filter: ModelFilterArgument = UNSET,
    sort: ModelSortArgument = ModelSort.NAME,
) -> Slice[ModelRow]:
    page = page_request(info, first, after, default=50)
    return await models.list_models(info.context, page, model_query(filter, sort))


async def _models_of_provider(
    info: Info,
    root: strawberry.Parent[ProviderRow],
    first: First = 50,
    after: After = UNSET,
    filter: ModelFilterArgument = UNSET,
    sort: ModelSortArgument = ModelSort.NAME,
) -> Slice[ModelRow]:
    page = page_request(info, first, after, default=50)
    query = model_query(filter, sort)
    return await models.models_of_provider(info.context, root.id, page, query)


MODELS_OF_PROVIDER: Any = resolved(
    _models_of_provider,
    "Its models; without a filter those that are not deprecated.",
    graphql_type=Connection[Model],
)


@strawberry.type(description="What `createModel` did.")
class CreateModelPayload:
    """Read from an `Outcome`."""

    subject: Model | None = plain("The new model.", name="model")
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type(description="What `updateModel` did.")
class UpdateModelPayload:
    """Read from an `Outcome`."""

    subject: Model | None = plain(
        "The model as it stands now, also where nothing changed.", name="model"
    )
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type(description="What `deleteModel` did. On IN_USE, `usedBy` are the chains.")
class DeleteModelPayload:
    """Read from an `Outcome`."""

    deleted_id: strawberry.ID | None = reference("Model", "deleted_id", "The id that is gone.")
    subject: Model | None = plain("The model that stands, where it was not deleted.", name="model")
    used_by: list[Annotated["FailoverChain", strawberry.lazy("schema.chains")]] = plain(
        "The chains that use it."
    )
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type(
    description="On UPSTREAM_FAILED, `connectionTest` says why and the counts are null."
)
class SyncModelsPayload:
    """Read from a `SyncOutcome`."""

    provider: LazyProvider | None = plain("The provider as it stands now.")
    connection_test: (
        Annotated["ConnectionTest", strawberry.lazy("schema.connection_tests")] | None
    ) = plain("How the provider was asked.")
    added: int | None = plain("How many models are new.")
    deprecated: int | None = plain("How many are gone from its list.")
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type(description="Something happened to a model.")
class ModelChange:
    """Read from `ChangeRow`."""

    kind: ChangeKind = plain("What happened.")
    id: strawberry.ID | None = reference("Model", "changed_id", "Of the model; null in READY.")
    subject: Model | None = plain("As it stands now; null in READY and once deleted.", name="model")


async def _create(
    info: Info, input: Annotated[CreateModelInput, described("The model.")]
) -> Outcome[ModelRow]:
    override = or_none(input.price_override)
    new = NewModel(
        provider_id=decode_id(input.provider_id, "Provider"),
        wire_name=input.wire_name,
        name=or_none(input.name),
        description=or_none(input.description),
        context_window=or_none(input.context_window),
        max_output_tokens=or_none(input.max_output_tokens),
        capabilities=or_none(input.capabilities),
        price_override=None if override is None else override_of(override),
    )
    return await models.create_model(info.context, new)


async def _update(
    info: Info, input: Annotated[UpdateModelInput, described("What to change.")]
) -> Outcome[ModelRow]:
    override = given(input.price_override)
    change = ModelUpdate(
        id=decode_id(input.id, "Model"),
        expected_version=or_none(input.expected_version),
        name=given(input.name),
        enabled=given(input.enabled),
        price_override=override
        if override is None or override is LEFT_OUT
        else override_of(override),
    )
    return await models.update_model(info.context, change)


async def _delete(
    info: Info, input: Annotated[DeleteModelInput, described("Which.")]
) -> Outcome[ModelRow]:
    return await models.delete_model(
        info.context, decode_id(input.id, "Model"), or_none(input.expected_version)
    )


async def _sync(info: Info, input: Annotated[SyncModelsInput, described("Whose.")]) -> SyncOutcome:
    return await models.sync_models(info.context, decode_id(input.provider_id, "Provider"))


def _changes(
    info: Info,
    provider_slugs: Annotated[
        list[str] | None,
        described("Only of these providers; left out, of all. An empty list matches none."),
    ] = UNSET,
) -> AsyncIterator[ChangeRow[ModelRow]]:
    return models.watch_models(info.context, or_none(provider_slugs))


@strawberry.type
class ModelQueries:
    """Fields of Query."""

    models: Any = resolved(
        _models,
        "The catalog of all providers.",
        graphql_type=Connection[Model],
        scope=AccessScope.READ,
    )


@strawberry.type
class ModelMutation:
    """Fields of Mutation."""

    sync_models: Any = changing(
        _sync,
        "Adds the models that the provider lists and marks those gone as deprecated.",
        graphql_type=SyncModelsPayload | None,
        scope=AccessScope.CONFIGURE,
    )
    create_model: Any = changing(
        _create,
        "A model that no list has, as CUSTOM.",
        graphql_type=CreateModelPayload | None,
        scope=AccessScope.CONFIGURE,
    )
    update_model: Any = changing(
        _update,
        "Changes what is given.",
        graphql_type=UpdateModelPayload | None,
        scope=AccessScope.CONFIGURE,
    )
    delete_model: Any = changing(
        _delete,
        "CUSTOM models only; the others are disabled.",
        graphql_type=DeleteModelPayload | None,
        scope=AccessScope.CONFIGURE,
    )


@strawberry.type
class ModelSubscription:
    """Fields of Subscription."""

    model_changed: Any = watching(
        _changes,
        "READY, then each change of a model.",
        graphql_type=ModelChange,
        scope=AccessScope.READ,
    )
