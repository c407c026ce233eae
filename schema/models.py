"""The model catalog: browse, price, add, watch."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry import UNSET, Maybe

from db.models import ModelQuery, ModelRow
from db.paging import Slice
from db.providers import ProviderRow
from db.vocabulary import ChangeKind, ModelCapability, ModelSort, ModelSource, PriceSource
from resolvers import models, providers
from resolvers.models import ModelChangeRow, SyncOutcome
from resolvers.outcome import Outcome
from schema.connections import Connection, page_request
from schema.fields import (
    EXPECTED_VERSION,
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
from schema.node import Node, decode_filter_ids, decode_id, encode_id, node_type
from schema.payloads import USER_ERRORS, UserError
from schema.scalars import Dollars
from schema.usage_totals import UsageTotals, usage_field
from trunkline.catalog.changes import ModelUpdate, NewModel, PriceOverride
from trunkline.changes import UNSET as LEFT_OUT
from trunkline.changes import unstorable_character
from trunkline.errors import BadRequest

if TYPE_CHECKING:
    from schema.chains import FailoverChain
    from schema.providers import ConnectionTest, Provider

LazyProvider = Annotated["Provider", strawberry.lazy("schema.providers")]
MOST_SEARCH_WORDS = 10
LONGEST_SEARCH = 200
MOST_FILTER_IDS = 1_000


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


@strawberry.input(description="Without a filter: all that are not deprecated.")
class ModelFilter:
    """Becomes a `ModelQuery`."""

    search: str | None = strawberry.field(
        default=UNSET,
        description="Every word, case-insensitively, in wire name, name or provider.",
    )
    provider_ids: list[strawberry.ID] | None = strawberry.field(
        default=UNSET, description="Of any of these; an empty list matches none."
    )
    capabilities: list[ModelCapability] | None = strawberry.field(
        default=UNSET, description="All of these; an empty list matches none."
    )
    enabled: bool | None = strawberry.field(default=UNSET, description="Switched on, or off.")
    include_deprecated: bool = strawberry.field(
        default=False, description="Whether those that are deprecated are in the list too."
    )
    min_context_window: int | None = strawberry.field(
        default=UNSET, description="At least this many tokens; unknown ones don't match."
    )
    max_input_per_million: Dollars | None = strawberry.field(
        default=UNSET, description="At most these dollars for input; unknown ones don't match."
    )


def model_query(filter: ModelFilter | None, sort: ModelSort) -> ModelQuery:
    """The filter for the work. Raises `BadRequest`."""
    if filter is None or filter is UNSET:
        return ModelQuery(sort=sort)
    search = or_none(filter.search) or ""
    words = tuple(search.casefold().split())
    if len(search) > LONGEST_SEARCH or len(words) > MOST_SEARCH_WORDS:
        raise BadRequest(
            f"search takes at most {MOST_SEARCH_WORDS} words, {LONGEST_SEARCH} characters together"
        )
    if unstorable := unstorable_character(search):
        raise BadRequest(f"search holds {unstorable}, which is in no name: remove it")
    provider_ids = or_none(filter.provider_ids)
    if provider_ids is not None and len(provider_ids) > MOST_FILTER_IDS:
        raise BadRequest(f"filter.providerIds takes at most {MOST_FILTER_IDS} ids")
    capabilities = or_none(filter.capabilities)
    return ModelQuery(
        words=words,
        provider_ids=None
        if provider_ids is None
        else tuple(decode_filter_ids(provider_ids, "Provider", "filter.providerIds")),
        capabilities=None if capabilities is None else tuple(capabilities),
        enabled=or_none(filter.enabled),
        include_deprecated=filter.include_deprecated,
        min_context_window=or_none(filter.min_context_window),
        max_input_per_million=or_none(filter.max_input_per_million),
        sort=sort,
    )


Filter = Annotated[ModelFilter | None, described("Which models.")]
Sort = Annotated[ModelSort, described("In which order.")]


async def _models(
    info: Info,
    first: First = 50,
    after: After = UNSET,
    filter: Filter = UNSET,
    sort: Sort = ModelSort.NAME,
) -> Slice[ModelRow]:
    page = page_request(info, first, after, default=50)
    return await models.list_models(info.context, page, model_query(filter, sort))


async def _models_of_provider(
    info: Info,
    root: strawberry.Parent[ProviderRow],
    first: First = 50,
    after: After = UNSET,
    filter: Filter = UNSET,
    sort: Sort = ModelSort.NAME,
) -> Slice[ModelRow]:
    page = page_request(info, first, after, default=50)
    query = model_query(filter, sort)
    return await models.models_of_provider(info.context, root.id, page, query)


MODELS_OF_PROVIDER: Any = resolved(
    _models_of_provider,
    "Its models; without a filter those that are not deprecated.",
    graphql_type=Connection[Model],
)


@strawberry.input(description="US dollars per million tokens, in place of the catalog's price.")
class PriceOverrideInput:
    """Becomes a `PriceOverride`."""

    input_per_million: Dollars = strawberry.field(description="For input.")
    output_per_million: Dollars = strawberry.field(description="For output.")
    cache_read_per_million: Dollars | None = strawberry.field(
        default=UNSET, description="For input read from the cache. Default: as other input."
    )
    cache_write_per_million: Dollars | None = strawberry.field(
        default=UNSET, description="For input written to the cache. Default: as other input."
    )


@strawberry.input(description="A model that no list has.")
class CreateModelInput:
    """Becomes a `NewModel`."""

    provider_id: strawberry.ID = strawberry.field(description="Whose model it is.")
    wire_name: str = strawberry.field(
        description="What goes over the wire; unique at its provider."
    )
    name: str | None = strawberry.field(
        default=UNSET, description="For people. Default: the wire name."
    )
    description: str | None = strawberry.field(default=UNSET, description="What it is made for.")
    context_window: int | None = strawberry.field(
        default=UNSET, description="Most tokens of input and output together."
    )
    max_output_tokens: int | None = strawberry.field(
        default=UNSET, description="Most tokens of output."
    )
    capabilities: list[ModelCapability] | None = strawberry.field(
        default=UNSET, description="What it can do. Left out: nobody knows."
    )
    price_override: PriceOverrideInput | None = strawberry.field(
        default=UNSET, description="What it costs, from now on."
    )


@strawberry.input(
    description="`priceOverride: null` ends the override. An override counts from when it was set."
)
class UpdateModelInput:
    """Becomes a `ModelUpdate`."""

    id: strawberry.ID = strawberry.field(description="Which model.")
    expected_version: int | None = strawberry.field(default=UNSET, description=EXPECTED_VERSION)
    name: Maybe[str | None] = strawberry.field(description="For people, 1 to 200 characters.")
    enabled: Maybe[bool | None] = strawberry.field(description="Whether it may be used.")
    price_override: Maybe[PriceOverrideInput | None] = strawberry.field(
        description="What it costs, from now on; null ends the override."
    )


@strawberry.input(description="Which model to delete.")
class DeleteModelInput:
    """Id and version."""

    id: strawberry.ID = strawberry.field(description="Which model.")
    expected_version: int | None = strawberry.field(default=UNSET, description=EXPECTED_VERSION)


@strawberry.input(description="Whose models to bring in line with its list.")
class SyncModelsInput:
    """A provider."""

    provider_id: strawberry.ID = strawberry.field(description="Which provider.")


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


def _deleted_id(root: strawberry.Parent[Outcome[ModelRow]]) -> strawberry.ID | None:
    return None if root.deleted_id is None else encode_id("Model", root.deleted_id)


@strawberry.type(description="What `deleteModel` did. On IN_USE, `usedBy` are the chains.")
class DeleteModelPayload:
    """Read from an `Outcome`."""

    deleted_id: strawberry.ID | None = resolved(_deleted_id, "The id that is gone.")
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
    connection_test: Annotated["ConnectionTest", strawberry.lazy("schema.providers")] | None = (
        plain("How the provider was asked.")
    )
    added: int | None = plain("How many models are new.")
    deprecated: int | None = plain("How many are gone from its list.")
    user_errors: list[UserError] = plain(USER_ERRORS)


def _change_id(root: strawberry.Parent[ModelChangeRow]) -> strawberry.ID | None:
    return None if root.model_id is None else encode_id("Model", root.model_id)


@strawberry.type(description="Something happened to a model.")
class ModelChange:
    """Read from `ModelChangeRow`."""

    kind: ChangeKind = plain("What happened.")
    id: strawberry.ID | None = resolved(_change_id, "Of the model; null in READY.")
    model: Model | None = plain("As it stands now; null in READY and once deleted.")


def _override(input: PriceOverrideInput) -> PriceOverride:
    return PriceOverride(
        input_per_million=input.input_per_million,
        output_per_million=input.output_per_million,
        cache_read_per_million=or_none(input.cache_read_per_million),
        cache_write_per_million=or_none(input.cache_write_per_million),
    )


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
        price_override=None if override is None else _override(override),
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
        else _override(override),
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
) -> AsyncIterator[ModelChangeRow]:
    return models.watch_models(info.context, or_none(provider_slugs))


@strawberry.type
class ModelQueries:
    """Fields of Query."""

    models: Any = resolved(
        _models,
        "The catalog of all providers.",
        graphql_type=Connection[Model],
    )


@strawberry.type
class ModelMutation:
    """Fields of Mutation."""

    sync_models: Any = changing(
        _sync,
        "Adds the models that the provider lists and marks those gone as deprecated.",
        graphql_type=SyncModelsPayload | None,
    )
    create_model: Any = changing(
        _create, "A model that no list has, as CUSTOM.", graphql_type=CreateModelPayload | None
    )
    update_model: Any = changing(
        _update, "Changes what is given.", graphql_type=UpdateModelPayload | None
    )
    delete_model: Any = changing(
        _delete,
        "CUSTOM models only; the others are disabled.",
        graphql_type=DeleteModelPayload | None,
    )


@strawberry.type
class ModelSubscription:
    """Fields of Subscription."""

    model_changed: Any = watching(
        _changes, "READY, then each change of a model.", graphql_type=ModelChange
    )
