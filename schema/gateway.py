"""The gateway: its requests, listed and watched; a prompt through a chain; the circuits."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from db.gateway_request_pages import GatewayRequestRow
from db.paging import Slice
from db.vocabulary import AccessScope
from resolvers import gateway
from resolvers.gateway import CircuitChangeRow, RunOutcome
from resolvers.watching import ChangeRow
from schema.connections import Connection, page_request
from schema.fields import (
    After,
    First,
    Info,
    changing,
    described,
    or_none,
    resolved,
    watching,
)
from schema.gateway_inputs import (
    GatewayRequestFilter,
    RunFailoverChainInput,
    prompt_of,
    request_condition,
)
from schema.gateway_types import (
    CircuitChange,
    GatewayRequest,
    GatewayRequestCompletion,
    RunFailoverChainPayload,
)
from schema.node import decode_id

Filter = Annotated[GatewayRequestFilter | None, described("Only these; left out, all.")]


async def _requests(
    info: Info, first: First = 50, after: After = UNSET, filter: Filter = UNSET
) -> Slice[GatewayRequestRow]:
    page = page_request(info, first, after, default=50)
    return await gateway.list_requests(info.context, page, request_condition(or_none(filter)))


async def _request(
    info: Info, id: Annotated[strawberry.ID, described("The request's global id.")]
) -> GatewayRequestRow | None:
    return await gateway.request_by_id(info.context, decode_id(id, "GatewayRequest"))


async def _run(
    info: Info, input: Annotated[RunFailoverChainInput, described("Prompt and chain.")]
) -> RunOutcome:
    return await gateway.run_chain(info.context, prompt_of(input))


def _completed(info: Info, filter: Filter = UNSET) -> AsyncIterator[ChangeRow[GatewayRequestRow]]:
    return gateway.watch_requests(info.context, request_condition(or_none(filter)))


def _circuits(info: Info) -> AsyncIterator[CircuitChangeRow]:
    return gateway.watch_circuits(info.context)


@strawberry.type
class GatewayQuery:
    """Fields of Query."""

    gateway_requests: Any = resolved(
        _requests,
        "Requests through the gateway, the newest first. They are kept as long as usage events.",
        graphql_type=Connection[GatewayRequest],
        scope=AccessScope.READ,
    )
    gateway_request: Any = resolved(
        _request,
        "One request; null where there is none.",
        graphql_type=GatewayRequest | None,
        scope=AccessScope.READ,
    )


@strawberry.type
class GatewayMutation:
    """Fields of Mutation."""

    run_failover_chain: Any = changing(
        _run,
        "Runs one prompt through a chain, as a request of an agent would run: with its retries and "
        "circuits, counted as usage, and at the providers' prices. For trying a chain out.",
        graphql_type=RunFailoverChainPayload | None,
        scope=(AccessScope.GATEWAY, AccessScope.READ),
    )


@strawberry.type
class GatewaySubscription:
    """Fields of Subscription."""

    gateway_request_completed: Any = watching(
        _completed,
        "READY, then each request that ends, of all servers, once and in order.",
        graphql_type=GatewayRequestCompletion,
        # Each is told from its own beginning; the reading of the store is one for all.
        shared=False,
        scope=AccessScope.READ,
    )
    circuit_changed: Any = watching(
        _circuits,
        "READY, then each change of a circuit of this server: each has its own.",
        graphql_type=CircuitChange,
        shared=False,
        scope=AccessScope.READ,
    )
