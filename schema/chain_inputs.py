"""What mutations of failover chains take."""

import strawberry
from strawberry import UNSET, Maybe

from db.vocabulary import Delivery
from schema.fields import EXPECTED_VERSION

DELIVERY = (
    "When a caller gets what a model answers. ASSURED keeps a caller of a stream waiting until the "
    "answer is whole, at most 8 MiB."
)


@strawberry.input(
    description=(
        "With `id`, an existing step: fields left out stay. Without: `modelId` is required; "
        "the others default to 2, 300 and 30."
    )
)
class FailoverStepInput:
    """Becomes a `StepInput`."""

    id: Maybe[strawberry.ID | None] = strawberry.field(description="A step of this chain.")
    model_id: Maybe[strawberry.ID | None] = strawberry.field(description="What to try.")
    max_retries: Maybe[int | None] = strawberry.field(description="0 to 10.")
    timeout_seconds: Maybe[float | None] = strawberry.field(
        description="For one try, start to last byte; 0.1 to 3600."
    )
    first_token_timeout_seconds: Maybe[float | None] = strawberry.field(
        description="For one streamed try, until its first token; 0.1 to 3600."
    )


@strawberry.input(description="Without a slug, one is made from the name.")
class CreateFailoverChainInput:
    """Becomes a `NewChain`."""

    name: str = strawberry.field(description="For people, 1 to 200 characters.")
    slug: str | None = strawberry.field(
        default=UNSET, description="URL-safe and unique. Never changes."
    )
    description: str | None = strawberry.field(default=UNSET, description="What it is for.")
    enabled: bool = strawberry.field(default=True, description="Whether it may be used.")
    delivery: Delivery = strawberry.field(default=Delivery.STREAMED, description=DELIVERY)
    steps: list[FailoverStepInput] = strawberry.field(
        description="1 to 20, in the order in which they are tried; no model twice."
    )


@strawberry.input(
    description=(
        "`steps`, where given, is the whole list in its order. `description: null` clears it."
    )
)
class UpdateFailoverChainInput:
    """Becomes a `ChainUpdate`."""

    id: strawberry.ID = strawberry.field(description="Which chain.")
    expected_version: int | None = strawberry.field(default=UNSET, description=EXPECTED_VERSION)
    name: Maybe[str | None] = strawberry.field(description="For people, 1 to 200 characters.")
    description: Maybe[str | None] = strawberry.field(description="What it is for; null clears it.")
    enabled: Maybe[bool | None] = strawberry.field(description="Whether it may be used.")
    delivery: Maybe[Delivery | None] = strawberry.field(description=DELIVERY)
    steps: Maybe[list[FailoverStepInput] | None] = strawberry.field(
        description="1 to 20, the whole list in its order; no model twice."
    )


@strawberry.input(description="Every step of the chain, once, in the new order.")
class ReorderFailoverChainInput:
    """Id, version and order."""

    id: strawberry.ID = strawberry.field(description="Which chain.")
    expected_version: int | None = strawberry.field(default=UNSET, description=EXPECTED_VERSION)
    step_ids: list[strawberry.ID] = strawberry.field(description="The ids of all its steps.")


@strawberry.input(description="Which chain to delete.")
class DeleteFailoverChainInput:
    """Id and version."""

    id: strawberry.ID = strawberry.field(description="Which chain.")
    expected_version: int | None = strawberry.field(default=UNSET, description=EXPECTED_VERSION)
