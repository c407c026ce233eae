"""What fields about the gateway take."""

from collections.abc import Sequence
from datetime import datetime

import strawberry
from strawberry import UNSET

from db.gateway_request_pages import GatewayRequestCondition
from db.vocabulary import GatewayEndpoint, GatewayOutcome
from schema.fields import or_none
from schema.node import decode_filter_ids, decode_id
from trunkline.changes import unstorable_character
from trunkline.errors import BadRequest
from trunkline.gateway.prompting import Prompt

MOST_FILTERED = 1_000


@strawberry.input(
    description="Requests that match every field given; a list matches any of its entries."
)
class GatewayRequestFilter:
    """Becomes a `GatewayRequestCondition`."""

    failover_chain_ids: list[strawberry.ID] | None = strawberry.field(
        default=UNSET, description="Through these chains, living or deleted."
    )
    model_ids: list[strawberry.ID] | None = strawberry.field(
        default=UNSET, description="Answered by these models, or last tried with them."
    )
    agents: list[str] | None = strawberry.field(
        default=UNSET, description='Of these agents; "" stands for requests with none.'
    )
    outcomes: list[GatewayOutcome] | None = strawberry.field(
        default=UNSET, description="That ended so."
    )
    endpoints: list[GatewayEndpoint] | None = strawberry.field(
        default=UNSET, description="That came in there."
    )
    started_from: datetime | None = strawberry.field(
        default=UNSET, description="That began then or later."
    )
    started_to: datetime | None = strawberry.field(
        default=UNSET, description="That began before then."
    )


@strawberry.input(description="A prompt, and the chain to run it through.")
class RunFailoverChainInput:
    """Becomes a `Prompt`."""

    failover_chain_id: strawberry.ID = strawberry.field(description="Which chain.")
    prompt: str = strawberry.field(
        description="What the models are to answer, 1 to 100,000 characters. It is not stored."
    )
    system: str | None = strawberry.field(
        default=UNSET, description="How they are to answer, up to 100,000 characters."
    )
    max_output_tokens: int | None = strawberry.field(
        default=UNSET, description="The most that an answer may have, 1 to 100,000."
    )
    agent: str | None = strawberry.field(
        default=UNSET, description="Who asks, as usage shows it; up to 200 characters."
    )


def request_condition(filter: GatewayRequestFilter | None) -> GatewayRequestCondition:
    """The filter for the store. Raises `BadRequest`."""
    if filter is None:
        return GatewayRequestCondition()
    agents = or_none(filter.agents)
    outcomes = or_none(filter.outcomes)
    endpoints = or_none(filter.endpoints)
    _check_lengths(filter.failover_chain_ids, filter.model_ids, agents, outcomes, endpoints)
    for agent in agents or ():
        if unstorable := unstorable_character(agent):
            raise BadRequest(f"filter.agents: no agent's name holds {unstorable}")
    begin, end = or_none(filter.started_from), or_none(filter.started_to)
    if begin is not None and end is not None and end <= begin:
        raise BadRequest("filter: startedTo must come after startedFrom")
    return GatewayRequestCondition(
        chain_ids=_ids(filter.failover_chain_ids, "FailoverChain", "failoverChainIds"),
        model_ids=_ids(filter.model_ids, "Model", "modelIds"),
        agents=None if agents is None else tuple(agents),
        outcomes=None if outcomes is None else tuple(outcomes),
        endpoints=None if endpoints is None else tuple(endpoints),
        begin=begin,
        end=end,
    )


def prompt_of(input: RunFailoverChainInput) -> Prompt:
    """The prompt for the work, not checked yet."""
    return Prompt(
        chain_id=decode_id(input.failover_chain_id, "FailoverChain"),
        text=input.prompt,
        system=or_none(input.system),
        max_output_tokens=or_none(input.max_output_tokens),
        agent=or_none(input.agent),
    )


def _check_lengths(*lists: Sequence[object] | None) -> None:
    if any(listed and len(listed) > MOST_FILTERED for listed in lists):
        raise BadRequest(f"filter: a list takes at most {MOST_FILTERED} entries")


def _ids(listed: list[strawberry.ID] | None, type_name: str, field: str) -> tuple[int, ...] | None:
    given = or_none(listed)
    return None if given is None else tuple(decode_filter_ids(given, type_name, f"filter.{field}"))
