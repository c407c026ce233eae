"""Fields about the gateway: its requests, a prompt through a chain, the circuits."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from db import chains as stored_chains
from db import gateway_request_pages as store
from db.chains import StepRow
from db.gateway_attempts import GatewayAttemptRow
from db.gateway_request_pages import GatewayRequestCondition, GatewayRequestRow
from db.models import ModelRow
from db.paging import PageRequest, Slice
from db.provider_rows import ProviderRow
from db.vocabulary import ChangeKind, GatewayOutcome
from resolvers.context import OperationContext
from resolvers.models import load_models_by_id
from resolvers.providers import load_providers_by_id
from resolvers.watching import ChangeRow
from trunkline.errors import Problem, Refused
from trunkline.events import CircuitChanged, Missed
from trunkline.failover.breakers import CircuitOf, Health
from trunkline.failover.circuits import CircuitState
from trunkline.failover.classes import FailureClass
from trunkline.gateway.prompt_input import checked_prompt
from trunkline.gateway.prompting import Prompt, run_prompt
from trunkline.patience import patiently
from trunkline.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """What `runFailoverChain` answers. None, and no attempts, where nothing ran."""

    request_id: str | None = None
    outcome: GatewayOutcome | None = None
    text: str | None = None
    finish_reason: str | None = None
    model_id: int | None = None
    milliseconds: int | None = None
    message: str | None = None
    attempts: Sequence[GatewayAttemptRow] = ()
    user_errors: Sequence[Problem] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthRow:
    """How a step's model does in this process just now."""

    state: CircuitState
    opened_by: FailureClass | None
    probes_again_at: datetime | None
    success_share: float | None
    attempts: int
    latency_p50_ms: float | None
    latency_p95_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitChangeRow:
    """One message; all but `kind` is None in READY. Of a model or of a provider, never of both."""

    kind: ChangeKind
    model_id: int | None = None
    model: ModelRow | None = None
    provider_id: int | None = None
    provider: ProviderRow | None = None
    state: CircuitState | None = None
    opened_by: FailureClass | None = None
    probes_again_at: datetime | None = None


async def list_requests(
    context: OperationContext, page: PageRequest, condition: GatewayRequestCondition
) -> Slice[GatewayRequestRow]:
    """A page of requests, newest first."""
    async with context.services.database.read() as connection:
        return await store.page_gateway_requests(connection, page, condition)


async def request_by_id(context: OperationContext, request_id: int) -> GatewayRequestRow | None:
    """The request with this id."""
    return await context.load(_load_requests, request_id)


async def step_by_id(context: OperationContext, step_id: int | None) -> StepRow | None:
    """The step of an attempt, while its chain has it."""
    return None if step_id is None else await context.load(_load_steps, step_id)


async def run_chain(context: OperationContext, prompt: Prompt) -> RunOutcome:
    """`runFailoverChain`."""
    services = context.services
    if prompt.agent is None and context.viewer is not None and context.viewer.agent:
        prompt = replace(prompt, agent=context.viewer.agent)
    try:
        run = await run_prompt(services, await checked_prompt(services, prompt, context.access))
    except Refused as refusal:
        return RunOutcome(user_errors=refusal.problems)
    return RunOutcome(
        request_id=run.request_id,
        outcome=run.outcome,
        text=run.text,
        finish_reason=run.finish_reason,
        model_id=run.model_id,
        milliseconds=run.milliseconds,
        message=run.message,
        attempts=run.attempts,
    )


async def watch_requests(
    context: OperationContext, condition: GatewayRequestCondition
) -> AsyncIterator[ChangeRow[GatewayRequestRow]]:
    """READY, then each request that is committed from then on, once, in the order of commits.

    READY again in place of those of which more came than is worth listing.
    """
    services = context.services
    feed = services.request_feed.watch(services.database, services.events, condition)
    async with aclosing(feed) as requests:
        async for found in requests:
            if isinstance(found, Missed):
                yield ChangeRow(ChangeKind.READY)
            else:
                yield ChangeRow(ChangeKind.CREATED, found.id, found)


async def step_health(context: OperationContext, step: StepRow) -> HealthRow:
    """How a step's model does: the worse of its own circuit and its provider's."""
    model = await context.load(load_models_by_id, step.model_id)
    services = context.services
    breakers = services.gateway.breakers
    own = breakers.health(CircuitOf.MODEL, step.model_id)
    # A model of a step isn't deleted; where it is meanwhile, its own circuit is all there is.
    of_provider = own if model is None else breakers.health(CircuitOf.PROVIDER, model.provider_id)
    worse = max(of_provider, own, key=lambda one: _BADNESS[one.state])
    waits = [one.opens_again_in for one in (own, of_provider) if one.opens_again_in is not None]
    return HealthRow(
        state=worse.state,
        opened_by=worse.opened_by,
        # A request needs both.
        probes_again_at=_instant(services, max(waits) if waits else None),
        success_share=own.recent.success_share,
        attempts=own.recent.attempts,
        latency_p50_ms=own.recent.latency_p50_ms,
        latency_p95_ms=own.recent.latency_p95_ms,
    )


async def watch_circuits(context: OperationContext) -> AsyncIterator[CircuitChangeRow]:
    """READY, then each change of a circuit of this process, with its state as it stands then."""
    services = context.services
    with services.events.subscribe(CircuitChanged) as subscription:
        yield CircuitChangeRow(kind=ChangeKind.READY)
        async for event in subscription:
            if isinstance(event, Missed):
                yield CircuitChangeRow(kind=ChangeKind.READY)
            elif isinstance(event, CircuitChanged):
                yield await patiently(partial(_circuit, services, event))


_BADNESS = {CircuitState.CLOSED: 0, CircuitState.HALF_OPEN: 1, CircuitState.OPEN: 2}


async def _circuit(services: Services, event: CircuitChanged) -> CircuitChangeRow:
    breakers = services.gateway.breakers
    if event.model_id is not None:
        health = breakers.health(CircuitOf.MODEL, event.model_id)
        models = await load_models_by_id(services, [event.model_id])
        return _changed(services, health, model_id=event.model_id, model=models.get(event.model_id))
    provider_id = event.provider_id or 0
    health = breakers.health(CircuitOf.PROVIDER, provider_id)
    providers = await load_providers_by_id(services, [provider_id])
    return _changed(services, health, provider_id=provider_id, provider=providers.get(provider_id))


def _changed(
    services: Services,
    health: Health,
    *,
    model_id: int | None = None,
    model: ModelRow | None = None,
    provider_id: int | None = None,
    provider: ProviderRow | None = None,
) -> CircuitChangeRow:
    return CircuitChangeRow(
        kind=ChangeKind.UPDATED,
        model_id=model_id,
        model=model,
        provider_id=provider_id,
        provider=provider,
        state=health.state,
        opened_by=health.opened_by,
        probes_again_at=_instant(services, health.opens_again_in),
    )


def _instant(services: Services, seconds: float | None) -> datetime | None:
    return None if seconds is None else services.clock() + timedelta(seconds=seconds)


async def _load_requests(services: Services, ids: Sequence[int]) -> Mapping[int, GatewayRequestRow]:
    async with services.database.read() as connection:
        return await store.load_gateway_requests(connection, ids)


async def _load_steps(services: Services, ids: Sequence[int]) -> Mapping[int, StepRow]:
    async with services.database.read() as connection:
        return await stored_chains.load_steps(connection, ids)
