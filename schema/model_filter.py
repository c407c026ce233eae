"""What a list of models may be narrowed to and ordered by."""

from typing import Annotated

import strawberry
from strawberry import UNSET

from db.model_pages import ModelQuery
from db.vocabulary import ModelCapability, ModelSort
from schema.fields import described, or_none
from schema.node import decode_filter_ids
from schema.scalars import Dollars
from trunkline.changes import unstorable_character
from trunkline.errors import BadRequest

MOST_SEARCH_WORDS = 10
LONGEST_SEARCH = 200
MOST_FILTER_IDS = 1_000


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


ModelFilterArgument = Annotated[ModelFilter | None, described("Which models.")]
ModelSortArgument = Annotated[ModelSort, described("In which order.")]
