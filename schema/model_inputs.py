"""What mutations of models take."""

import strawberry
from strawberry import UNSET, Maybe

from db.vocabulary import ModelCapability
from schema.fields import EXPECTED_VERSION, or_none
from schema.scalars import Dollars
from trunkline.catalog.price_overrides import PriceOverride


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


def override_of(input: PriceOverrideInput) -> PriceOverride:
    """The override for the work."""
    return PriceOverride(
        input_per_million=input.input_per_million,
        output_per_million=input.output_per_million,
        cache_read_per_million=or_none(input.cache_read_per_million),
        cache_write_per_million=or_none(input.cache_write_per_million),
    )
