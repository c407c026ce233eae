"""Usage: record it, list it, read it as series, watch it."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from db.chains import ChainRow
from db.models import ModelRow
from db.paging import Slice
from db.provider_rows import ProviderRow
from db.usage import UsageEventRow
from db.vocabulary import AccessScope
from resolvers import chains, models, providers, usage
from resolvers.usage import RecordOutcome
from schema.chains import FailoverChain
from schema.connections import PageInfo, page_request
from schema.fields import (
    After,
    First,
    Info,
    changing,
    described,
    or_none,
    plain,
    resolved,
    watching,
)
from schema.models import Model
from schema.node import Node, node_type, reference
from schema.payloads import USER_ERRORS, UserError
from schema.providers import Provider
from schema.scalars import Dollars, SafeInt
from schema.usage_series import (
    UsageFilter,
    UsageSeries,
    UsageSeriesInput,
    UsageUpdate,
    narrowed,
    series_request,
    usage_condition,
)
from schema.usage_totals import UsageRange
from trunkline.usage.delta import Update
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.series import Series
from trunkline.usage.windows import checked_span

EventParent = strawberry.Parent[UsageEventRow]


async def _provider(info: Info, root: EventParent) -> ProviderRow | None:
    return await providers.provider_by_id(info.context, root.provider_id)


async def _model(info: Info, root: EventParent) -> ModelRow | None:
    return await models.model_by_id(info.context, root.model_id)


async def _chain(info: Info, root: EventParent) -> ChainRow | None:
    chain_id = root.failover_chain_id
    return None if chain_id is None else await chains.chain_by_id(info.context, chain_id)


@node_type(
    UsageEventRow,
    description="One finished request to a model: what was asked of whom, and what it used.",
)
class UsageEvent(Node):
    """Read from `UsageEventRow`."""

    occurred_at: datetime = plain("When the request ended.")
    provider_id: strawberry.ID = reference(
        "Provider", "provider_id", "Of the provider, also once deleted.", nullable=False
    )
    provider_label: str = plain("The provider's name.")
    provider: Provider | None = resolved(
        _provider,
        "Null once deleted; the id and the label remain. So for the others.",
        graphql_type=Provider | None,
    )
    model_id: strawberry.ID = reference(
        "Model", "model_id", "Of the model, also once deleted.", nullable=False
    )
    model_label: str = plain("The model's name.")
    model: Model | None = resolved(_model, "Null once deleted.", graphql_type=Model | None)
    failover_chain_id: strawberry.ID | None = reference(
        "FailoverChain",
        "failover_chain_id",
        "Of the chain, also once deleted; null where there was none.",
    )
    failover_chain_label: str | None = plain("The chain's name; null where there was none.")
    failover_chain: FailoverChain | None = resolved(
        _chain, "Null once deleted, and where there was none.", graphql_type=FailoverChain | None
    )
    agent: str | None = plain("Who asked, by the name that it reported.")
    succeeded: bool = plain("Whether the request was answered.")
    input_tokens: SafeInt = plain("Cache reads and writes included.")
    cache_read_tokens: SafeInt = plain("Input that was read from the cache.")
    cache_write_tokens: SafeInt = plain("Input that was written to the cache.")
    output_tokens: SafeInt = plain("Reasoning included.")
    reasoning_tokens: SafeInt = plain("Output that was thought, not shown.")
    estimated: bool = plain("Whether the tokens were estimated.")
    cost_usd: Dollars | None = plain("Null where the price is unknown.")
    latency_ms: int | None = plain("Milliseconds from request to last byte; null: not reported.")


@strawberry.type(description="One event of a page, with its cursor.")
class UsageEventEdge:
    """Read from `Edge`."""

    cursor: str = plain("Its place in the list.")
    node: UsageEvent = plain("The event.")


@strawberry.type(description="A page of events; they are too many to count.")
class UsageEventConnection:
    """Read from `Slice`."""

    edges: list[UsageEventEdge] = plain("The page, each event with its cursor.")
    nodes: list[UsageEvent] = plain("The page.")
    page_info: PageInfo = plain("Where the page lies.")


@strawberry.input(description="One finished request to a model. Token classes are inclusive.")
class UsageEventInput:
    """Becomes a `NewUsageEvent`."""

    idempotency_key: str = strawberry.field(
        description=(
            "Names the event: one recorded before under the same key is not counted again. "
            "1 to 200 characters; `gw:` is reserved."
        )
    )
    provider_slug: str = strawberry.field(description="Of a provider that exists.")
    model_name: str = strawberry.field(
        description="One that the provider does not have yet is added as DISCOVERED."
    )
    agent: str | None = strawberry.field(
        default=UNSET, description="Who asked; up to 200 characters."
    )
    failover_chain_slug: str | None = strawberry.field(
        default=UNSET, description="The chain that the request ran through."
    )
    occurred_at: datetime | None = strawberry.field(default=UNSET, description="Default: now.")
    succeeded: bool = strawberry.field(default=True, description="Whether it was answered.")
    input_tokens: SafeInt = strawberry.field(
        default=SafeInt(0), description="Cache reads and writes included; at most 10^9."
    )
    cache_read_tokens: SafeInt = strawberry.field(
        default=SafeInt(0), description="Input that was read from the cache."
    )
    cache_write_tokens: SafeInt = strawberry.field(
        default=SafeInt(0), description="Input that was written to the cache."
    )
    output_tokens: SafeInt = strawberry.field(
        default=SafeInt(0), description="Reasoning included; at most 10^9."
    )
    reasoning_tokens: SafeInt = strawberry.field(
        default=SafeInt(0), description="Output that was thought, not shown."
    )
    estimated: bool = strawberry.field(
        default=False, description="Whether the tokens are an estimate."
    )
    latency_ms: int | None = strawberry.field(
        default=UNSET, description="Milliseconds from request to last byte."
    )
    cost_usd: Dollars | None = strawberry.field(
        default=UNSET,
        description=(
            "What the provider billed, where it says so, at most 10000; "
            "otherwise priced from the model."
        ),
    )


@strawberry.input(description="Up to 1000 events, all or none.")
class RecordUsageInput:
    """A batch."""

    events: list[UsageEventInput] = strawberry.field(description="1 to 1000.")


@strawberry.type(description="What `recordUsage` did. They are on disk when this answers.")
class RecordUsagePayload:
    """Read from a `RecordOutcome`."""

    recorded: int = plain("How many were counted.")
    duplicates: int = plain("How many had been recorded before, and count nothing again.")
    user_errors: list[UserError] = plain(USER_ERRORS)


def _event(input: UsageEventInput) -> NewUsageEvent:
    return NewUsageEvent(
        idempotency_key=input.idempotency_key,
        provider_slug=input.provider_slug,
        model_name=input.model_name,
        agent=or_none(input.agent),
        failover_chain_slug=or_none(input.failover_chain_slug),
        occurred_at=or_none(input.occurred_at),
        succeeded=input.succeeded,
        input_tokens=input.input_tokens,
        cache_read_tokens=input.cache_read_tokens,
        cache_write_tokens=input.cache_write_tokens,
        output_tokens=input.output_tokens,
        reasoning_tokens=input.reasoning_tokens,
        estimated=input.estimated,
        latency_ms=or_none(input.latency_ms),
        cost_nanos=or_none(input.cost_usd),
    )


async def _series(
    info: Info, input: Annotated[UsageSeriesInput, described("Which series.")]
) -> Series:
    return await usage.series(info.context, narrowed(info, series_request(info, input)))


async def _events(
    info: Info,
    first: First = 50,
    after: After = UNSET,
    range: Annotated[UsageRange | None, described("Only in this time.")] = UNSET,
    filter: Annotated[UsageFilter | None, described("Only this usage.")] = UNSET,
) -> Slice[UsageEventRow]:
    page = page_request(info, first, after, default=50)
    fixed = or_none(range)
    span = None if fixed is None else checked_span(fixed.from_, fixed.to)
    return await usage.list_events(info.context, page, usage_condition(or_none(filter)), span)


async def _record(
    info: Info, input: Annotated[RecordUsageInput, described("The events.")]
) -> RecordOutcome:
    return await usage.record_usage(info.context, [_event(event) for event in input.events])


def _updates(
    info: Info, input: Annotated[UsageSeriesInput, described("Which series.")]
) -> AsyncIterator[Update]:
    return usage.watch_series(info.context, series_request(info, input))


@strawberry.type
class UsageQuery:
    """Fields of Query."""

    usage_series: Any = resolved(
        _series,
        "Usage over a window, in groups and buckets.",
        graphql_type=UsageSeries | None,
        scope=AccessScope.READ,
    )
    usage_events: Any = resolved(
        _events, "Newest first.", graphql_type=UsageEventConnection, scope=AccessScope.READ
    )


@strawberry.type
class UsageMutation:
    """Fields of Mutation."""

    record_usage: Any = changing(
        _record,
        "Up to 1000 events, all or none. They are on disk when this answers.",
        graphql_type=RecordUsagePayload | None,
        scope=AccessScope.INGEST,
    )


@strawberry.type
class UsageSubscription:
    """Fields of Subscription."""

    usage_updated: Any = watching(
        _updates,
        "A snapshot, then what changed, at most four times a second.",
        graphql_type=UsageUpdate,
        scope=AccessScope.READ,
    )
