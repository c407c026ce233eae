"""Fields about usage."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from db import usage as store
from db.paging import PageRequest, Slice
from db.usage import UsageCondition, UsageEventRow
from db.vocabulary import UsageDimension
from resolvers.chains import load_chains_by_id
from resolvers.context import OperationContext
from resolvers.models import load_models_by_id
from resolvers.providers import load_providers_by_id
from trunkline.errors import Problem, Refused
from trunkline.services import Services
from trunkline.usage.delta import Update
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.reading import SeriesRequest, read_series, read_totals
from trunkline.usage.recording import record_usage as run_record
from trunkline.usage.series import Group, Series
from trunkline.usage.totals import Sums
from trunkline.usage.windows import Span, WindowRequest, span_of


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordOutcome:
    """What `recordUsage` answers."""

    recorded: int = 0
    duplicates: int = 0
    user_errors: Sequence[Problem] = ()


async def series(context: OperationContext, request: SeriesRequest) -> Series:
    """`usageSeries`."""
    services = context.services
    return await read_series(services.database, request, services.clock)


async def watch_series(context: OperationContext, request: SeriesRequest) -> AsyncIterator[Update]:
    """`usageUpdated`."""
    async with aclosing(context.services.hub.watch(request, context.listeners())) as updates:
        async for update in updates:
            yield update


async def list_events(
    context: OperationContext,
    page: PageRequest,
    condition: UsageCondition,
    span: Span | None,
) -> Slice[UsageEventRow]:
    """A page of events, newest first."""
    between = None if span is None else (span.start, span.end)
    async with context.services.database.read() as connection:
        return await store.page_events(connection, page, condition, between)


async def usage_event_by_id(context: OperationContext, event_id: int) -> UsageEventRow | None:
    """The event with this id."""
    async with context.services.database.read() as connection:
        return await store.find_event(connection, event_id)


async def totals_of(
    context: OperationContext,
    dimension: UsageDimension,
    subject_id: int,
    request: WindowRequest,
    *,
    percentiles: bool,
) -> Sums | None:
    """One object's totals; those of the operation's other objects come in the same load."""
    span = span_of(request, context.services.clock())
    return await context.load_with(_load_totals, (dimension, span, percentiles), subject_id)


async def subject_of(context: OperationContext, group: Group) -> object | None:
    """The living object that a group stands for."""
    if group.subject is None:
        return None
    batch = {
        UsageDimension.PROVIDER: load_providers_by_id,
        UsageDimension.MODEL: load_models_by_id,
        UsageDimension.FAILOVER_CHAIN: load_chains_by_id,
    }[group.dimension]
    found: object | None = await context.load(batch, group.subject.id)
    return found


async def record_usage(context: OperationContext, events: Sequence[NewUsageEvent]) -> RecordOutcome:
    """`recordUsage`."""
    try:
        done = await run_record(context.services, events, access=context.access)
    except Refused as refusal:
        return RecordOutcome(user_errors=refusal.problems)
    return RecordOutcome(recorded=done.recorded, duplicates=done.duplicates)


async def _load_totals(
    services: Services, ids: Sequence[int], arguments: tuple[UsageDimension, Span, bool]
) -> Mapping[int, Sums]:
    dimension, span, percentiles = arguments
    return await read_totals(services.database, dimension, ids, span, percentiles=percentiles)
