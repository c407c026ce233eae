"""Requests that went through the gateway, and what came of them."""

from datetime import datetime

import strawberry

from db.chains import ChainRow, StepRow
from db.gateway_attempts import GatewayAttemptRow
from db.gateway_request_pages import GatewayRequestRow
from db.models import ModelRow
from db.provider_rows import ProviderRow
from db.vocabulary import AttemptOutcome, ChangeKind, GatewayEndpoint, GatewayOutcome
from resolvers import chains, gateway, models, providers
from resolvers.gateway import RunOutcome
from schema.chains import FailoverChain, FailoverStep
from schema.fields import Info, plain, resolved
from schema.models import Model
from schema.node import Node, node_type, reference
from schema.payloads import USER_ERRORS, UserError
from schema.providers import Provider
from schema.scalars import Dollars, SafeInt
from trunkline.failover.circuits import CircuitState
from trunkline.failover.classes import FailureClass

AttemptParent = strawberry.Parent[GatewayAttemptRow]


async def _step(info: Info, root: AttemptParent) -> StepRow | None:
    return await gateway.step_by_id(info.context, root.step_id)


async def _model_by_id(info: Info, model_id: int | None) -> ModelRow | None:
    return None if model_id is None else await models.model_by_id(info.context, model_id)


async def _model(info: Info, root: AttemptParent) -> ModelRow | None:
    return await _model_by_id(info, root.model_id)


async def _provider(info: Info, root: AttemptParent) -> ProviderRow | None:
    return await providers.provider_by_id(info.context, root.provider_id)


def _outcome(root: AttemptParent) -> AttemptOutcome | None:
    return None if root.outcome is None else AttemptOutcome(root.outcome)


@strawberry.type(
    description="One try of one step, or a step that was skipped: `outcome` says why then."
)
class GatewayAttempt:
    """Read from `GatewayAttemptRow`."""

    step: FailoverStep | None = resolved(
        _step,
        "Null without a chain, and where the chain no longer has the step.",
        graphql_type=FailoverStep | None,
    )
    model_id: strawberry.ID = reference(
        "Model", "model_id", "Of the model, also once deleted.", nullable=False
    )
    model: Model | None = resolved(_model, "Null once deleted.", graphql_type=Model | None)
    provider_id: strawberry.ID = reference(
        "Provider", "provider_id", "Of the provider, also once deleted.", nullable=False
    )
    provider: Provider | None = resolved(
        _provider, "Null once deleted.", graphql_type=Provider | None
    )
    label: str = plain("`<provider slug>/<model name>` as it was then.")
    sent: bool = plain("Whether a request left for the provider; false where it was skipped.")
    outcome: AttemptOutcome | None = resolved(
        _outcome,
        "Why it gave no answer; null where it gave one, and where it was cancelled.",
        graphql_type=AttemptOutcome | None,
    )
    cancelled: bool = plain("Whether it was given up because the caller left.")
    status: int | None = plain(
        "The HTTP status of the provider's answer; null where there was none.", name="httpStatus"
    )
    started_at: datetime = plain("When it began.")
    milliseconds: int = plain("From its beginning to its end.")
    reason: str = plain(
        "What went wrong, for a person; empty where nothing did. Never holds a key."
    )
    input_tokens: SafeInt = plain("Cache reads and writes included.")
    cache_read_tokens: SafeInt = plain("Input that was read from the cache.")
    cache_write_tokens: SafeInt = plain("Input that was written to the cache.")
    output_tokens: SafeInt = plain("Reasoning included.")
    reasoning_tokens: SafeInt = plain("Output that was thought, not shown.")
    estimated: bool = plain("Whether the tokens were estimated: the provider had not said.")
    cost_nanos: Dollars | None = plain(
        "Null where the price is unknown, and where nothing was sent.", name="costUsd"
    )


RequestParent = strawberry.Parent[GatewayRequestRow]


async def _chain(info: Info, root: RequestParent) -> ChainRow | None:
    chain_id = root.failover_chain_id
    return None if chain_id is None else await chains.chain_by_id(info.context, chain_id)


async def _answering_model(info: Info, root: RequestParent) -> ModelRow | None:
    return await _model_by_id(info, root.model_id)


@node_type(
    GatewayRequestRow,
    description=(
        "One request of an agent through the gateway, with every attempt that it took. Prompts and "
        "answers are not stored."
    ),
)
class GatewayRequest(Node):
    """Read from `GatewayRequestRow`."""

    request_id: str = plain("What the caller got in the header `x-trunkline-request-id`.")
    endpoint: GatewayEndpoint = plain("Where it came in.")
    asked_for: str = plain("The model's name as the caller gave it, such as `chain/support`.")
    failover_chain_id: strawberry.ID | None = reference(
        "FailoverChain",
        "failover_chain_id",
        "Of the chain that it ran through, also once deleted; null where it asked for one model.",
    )
    failover_chain_label: str | None = plain("The chain's name, also once deleted.")
    failover_chain: FailoverChain | None = resolved(
        _chain, "Null once deleted, and where there was none.", graphql_type=FailoverChain | None
    )
    model_id: strawberry.ID | None = reference(
        "Model",
        "model_id",
        "Of the model that answered, or else of the last that was tried; null where none was.",
    )
    model_label: str | None = plain("`<provider slug>/<model name>`, also once deleted.")
    model: Model | None = resolved(
        _answering_model,
        "Null once deleted, and where there was none.",
        graphql_type=Model | None,
    )
    agent: str | None = plain("Who asked, by the name that it reported.")
    streamed: bool = plain("Whether the caller asked for a stream.")
    outcome: GatewayOutcome = plain("How it ended.")
    http_status: int | None = plain("What the caller got; null where it left before.")
    started_at: datetime = plain("When it came in.")
    milliseconds: int = plain("From there to the last byte of the answer.")
    first_token_ms: int | None = plain(
        "Milliseconds until the caller had the first token; null where there was no stream."
    )
    overhead_ms: float = plain("Trunkline's own share of the time, in milliseconds.")
    attempts: list[GatewayAttempt] = plain("In the order in which they were made.")


@strawberry.type(description="A request through the gateway ended.")
class GatewayRequestCompletion:
    """Read from `ChangeRow`."""

    kind: ChangeKind = plain(
        "READY first, and where more than 1,000 requests ended faster than you took them: read "
        "`gatewayRequests` then. CREATED for each request that ended."
    )
    id: strawberry.ID | None = reference(
        "GatewayRequest", "changed_id", "Of the request; null in READY."
    )
    subject: GatewayRequest | None = plain("The request; null in READY.", name="gatewayRequest")


async def _model_of_run(info: Info, root: strawberry.Parent[RunOutcome]) -> ModelRow | None:
    return await _model_by_id(info, root.model_id)


@strawberry.type(description="What `runFailoverChain` did. Null, and no attempts: nothing ran.")
class RunFailoverChainPayload:
    """Read from a `RunOutcome`."""

    request_id: str | None = plain("Of the request, which `gatewayRequests` shows a moment later.")
    outcome: GatewayOutcome | None = plain("How it ended.")
    text: str | None = plain("What a model answered; null where none did: `message` says why.")
    finish_reason: str | None = plain(
        "Why the answer ended: `stop`, or `length` at its most output tokens, for example."
    )
    model: Model | None = resolved(
        _model_of_run, "The model that answered.", graphql_type=Model | None
    )
    milliseconds: int | None = plain("From beginning to end.")
    message: str | None = plain("Why there is no answer, for a person; null where there is one.")
    attempts: list[GatewayAttempt] = plain("In the order in which they were made.")
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type(description="A circuit of a model, or of a whole provider, opened or closed.")
class CircuitChange:
    """Read from `CircuitChangeRow`."""

    kind: ChangeKind = plain(
        "READY first, and where more changed than is worth listing: read the `health` of steps "
        "then. UPDATED for each change."
    )
    model_id: strawberry.ID | None = reference(
        "Model", "model_id", "Of the model whose circuit it is; null where it is a provider's."
    )
    model: Model | None = plain("Null in READY, once deleted, and where it is a provider's.")
    provider_id: strawberry.ID | None = reference(
        "Provider",
        "provider_id",
        "Of the provider whose circuit it is; null where it is a model's.",
    )
    provider: Provider | None = plain("Null in READY, once deleted, and where it is a model's.")
    state: CircuitState | None = plain("As it stands now; null in READY.")
    opened_by: FailureClass | None = plain("What opened it; null while it is closed.")
    probes_again_at: datetime | None = plain(
        "When a request goes through again, as a probe; null while it is closed."
    )
