"""Failover chains: build, reorder, watch."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry import UNSET, Maybe

from db.chains import ChainRow, StepRow
from db.models import ModelRow
from db.paging import Slice
from db.vocabulary import AccessScope, ChangeKind, Delivery
from resolvers import chains, gateway, models
from resolvers.gateway import HealthRow
from resolvers.outcome import Outcome
from resolvers.watching import ChangeRow
from schema.chain_inputs import (
    CreateFailoverChainInput,
    DeleteFailoverChainInput,
    FailoverStepInput,
    ReorderFailoverChainInput,
    UpdateFailoverChainInput,
)
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
from schema.models import Model
from schema.node import Node, decode_id, node_type, reference
from schema.payloads import USER_ERRORS, UserError
from schema.step_health import StepHealth
from trunkline.changes import UNSET as LEFT_OUT
from trunkline.changes import Given
from trunkline.failover.chains import ChainUpdate, NewChain
from trunkline.failover.steps import StepInput


async def _model_of(info: Info, root: strawberry.Parent[StepRow]) -> ModelRow | None:
    return await models.model_by_id(info.context, root.model_id)


async def _health_of(info: Info, root: strawberry.Parent[StepRow]) -> HealthRow:
    return await gateway.step_health(info.context, root)


@node_type(StepRow, description="One step of a chain: a model, its retries and its timeouts.")
class FailoverStep(Node):
    """Read from `StepRow`."""

    position: int = plain("0 is tried first.")
    model: Model = resolved(_model_of, "What is tried.", graphql_type=Model)
    max_retries: int = plain("Further tries of this model after a failure worth retrying; 0 to 10.")
    timeout_seconds: float = plain("For one try, start to last byte; 0.1 to 3600.")
    first_token_timeout_seconds: float = plain(
        "For one streamed try, until its first token; 0.1 to 3600."
    )
    health: StepHealth = resolved(
        _health_of, "How its model does just now.", graphql_type=StepHealth
    )


@node_type(ChainRow, description="Models in the order in which a request tries them.")
class FailoverChain(Node):
    """Read from `ChainRow`."""

    slug: str = plain("Stable, URL-safe name: requests ask for `chain/<slug>`.")
    name: str = plain("For people.")
    description: str | None = plain("What it is for.")
    enabled: bool = plain("False where an operator switched it off.")
    delivery: Delivery = plain("When a caller gets what a model answers.")
    steps: list[FailoverStep] = plain("In the order in which they are tried; at least one.")
    version: int = plain("Counts the changes an operator makes.")
    created_at: datetime = plain("When it was created.")
    updated_at: datetime = plain("When an operator last changed it.")


@strawberry.type(description="What `createFailoverChain` did.")
class CreateFailoverChainPayload:
    """Read from an `Outcome`."""

    subject: FailoverChain | None = plain("The new chain.", name="failoverChain")
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type(description="What `updateFailoverChain` did.")
class UpdateFailoverChainPayload:
    """Read from an `Outcome`."""

    subject: FailoverChain | None = plain(
        "The chain as it stands now, also where nothing changed.", name="failoverChain"
    )
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type(description="What `reorderFailoverChain` did.")
class ReorderFailoverChainPayload:
    """Read from an `Outcome`."""

    subject: FailoverChain | None = plain(
        "The chain as it stands now, also where nothing changed.", name="failoverChain"
    )
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type(description="What `deleteFailoverChain` did.")
class DeleteFailoverChainPayload:
    """Read from an `Outcome`."""

    deleted_id: strawberry.ID | None = reference(
        "FailoverChain", "deleted_id", "The id that is gone."
    )
    subject: FailoverChain | None = plain(
        "The chain that stands, where it was not deleted.", name="failoverChain"
    )
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type(description="Something happened to a failover chain.")
class FailoverChainChange:
    """Read from `ChangeRow`."""

    kind: ChangeKind = plain("What happened.")
    id: strawberry.ID | None = reference(
        "FailoverChain", "changed_id", "Of the chain; null in READY."
    )
    subject: FailoverChain | None = plain(
        "As it stands now; null in READY and once deleted.", name="failoverChain"
    )


def _given_id(maybe: Maybe[strawberry.ID | None], type_name: str) -> Given[int]:
    value = given(maybe)
    return value if value is None or value is LEFT_OUT else decode_id(value, type_name)


def _step(input: FailoverStepInput) -> StepInput:
    return StepInput(
        id=_given_id(input.id, "FailoverStep"),
        model_id=_given_id(input.model_id, "Model"),
        max_retries=given(input.max_retries),
        timeout_seconds=given(input.timeout_seconds),
        first_token_timeout_seconds=given(input.first_token_timeout_seconds),
    )


async def _chains(info: Info, first: First = 100, after: After = UNSET) -> Slice[ChainRow]:
    page = page_request(info, first, after, default=100)
    return await chains.list_chains(info.context, page)


async def _chain(
    info: Info, slug: Annotated[str, described("Its stable name.")]
) -> ChainRow | None:
    return await chains.chain_by_slug(info.context, slug)


async def _create(
    info: Info, input: Annotated[CreateFailoverChainInput, described("The chain.")]
) -> Outcome[ChainRow]:
    new = NewChain(
        name=input.name,
        slug=or_none(input.slug),
        description=or_none(input.description),
        enabled=input.enabled,
        delivery=input.delivery,
        steps=[_step(step) for step in input.steps],
    )
    return await chains.create_chain(info.context, new)


async def _update(
    info: Info, input: Annotated[UpdateFailoverChainInput, described("What to change.")]
) -> Outcome[ChainRow]:
    steps = given(input.steps)
    change = ChainUpdate(
        id=decode_id(input.id, "FailoverChain"),
        expected_version=or_none(input.expected_version),
        name=given(input.name),
        description=given(input.description),
        enabled=given(input.enabled),
        delivery=given(input.delivery),
        steps=steps if steps is None or steps is LEFT_OUT else [_step(step) for step in steps],
    )
    return await chains.update_chain(info.context, change)


async def _reorder(
    info: Info, input: Annotated[ReorderFailoverChainInput, described("The new order.")]
) -> Outcome[ChainRow]:
    return await chains.reorder_chain(
        info.context,
        decode_id(input.id, "FailoverChain"),
        or_none(input.expected_version),
        [decode_id(step_id, "FailoverStep") for step_id in input.step_ids],
    )


async def _delete(
    info: Info, input: Annotated[DeleteFailoverChainInput, described("Which.")]
) -> Outcome[ChainRow]:
    return await chains.delete_chain(
        info.context, decode_id(input.id, "FailoverChain"), or_none(input.expected_version)
    )


def _changes(
    info: Info,
    slugs: Annotated[
        list[str] | None, described("Only these; left out, all. An empty list matches none.")
    ] = UNSET,
) -> AsyncIterator[ChangeRow[ChainRow]]:
    return chains.watch_chains(info.context, or_none(slugs))


@strawberry.type
class ChainQuery:
    """Fields of Query."""

    failover_chains: Any = resolved(
        _chains,
        "Every failover chain, by name.",
        graphql_type=Connection[FailoverChain],
        scope=AccessScope.READ,
    )
    failover_chain: Any = resolved(
        _chain,
        "One chain; null where there is none.",
        graphql_type=FailoverChain | None,
        scope=AccessScope.READ,
    )


@strawberry.type
class ChainMutation:
    """Fields of Mutation."""

    create_failover_chain: Any = changing(
        _create,
        "Creates a chain with its steps.",
        graphql_type=CreateFailoverChainPayload | None,
        scope=AccessScope.CONFIGURE,
    )
    update_failover_chain: Any = changing(
        _update,
        "Changes what is given.",
        graphql_type=UpdateFailoverChainPayload | None,
        scope=AccessScope.CONFIGURE,
    )
    reorder_failover_chain: Any = changing(
        _reorder,
        "Puts the steps into another order.",
        graphql_type=ReorderFailoverChainPayload | None,
        scope=AccessScope.CONFIGURE,
    )
    delete_failover_chain: Any = changing(
        _delete,
        "Deletes a chain; usage history keeps its name.",
        graphql_type=DeleteFailoverChainPayload | None,
        scope=AccessScope.CONFIGURE,
    )


@strawberry.type
class ChainSubscription:
    """Fields of Subscription."""

    failover_chain_changed: Any = watching(
        _changes,
        "READY, then each change of a chain.",
        graphql_type=FailoverChainChange,
        scope=AccessScope.READ,
    )
