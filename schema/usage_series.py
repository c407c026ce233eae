"""Usage as series of points, and its live updates."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import UNSET
from strawberry.utils.str_converters import to_camel_case

from db.usage import UsageCondition
from db.vocabulary import UsageDimension, UsageGranularity, UsageGroupKind, UsageMetric
from resolvers import usage
from schema.chains import FailoverChain
from schema.fields import Info, mentioned, mentions, or_none, plain, resolved
from schema.models import Model
from schema.node import decode_filter_ids
from schema.providers import Provider
from schema.scalars import Dollars, SafeInt
from schema.usage_totals import PERCENTILES, TIMEZONE, UsageTotals, UsageWindow, window_request
from trunkline.changes import unstorable_character
from trunkline.errors import BadRequest
from trunkline.usage.delta import Delta, Snapshot
from trunkline.usage.points import SUMMED
from trunkline.usage.reading import SeriesRequest
from trunkline.usage.series import Group

MOST_FILTERED = 1_000
_SUMS = {to_camel_case(field): field for field in SUMMED}


@strawberry.input(
    description="Only this usage. A list left out doesn't narrow; an empty one matches nothing."
)
class UsageFilter:
    """Becomes a `UsageCondition`."""

    provider_ids: list[strawberry.ID] | None = strawberry.field(
        default=UNSET, description="Of these providers, deleted ones included."
    )
    model_ids: list[strawberry.ID] | None = strawberry.field(
        default=UNSET, description="Of these models, deleted ones included."
    )
    agents: list[str] | None = strawberry.field(
        default=UNSET, description='By these agents; "" stands for none.'
    )
    failover_chain_ids: list[strawberry.ID] | None = strawberry.field(
        default=UNSET, description="Through these chains, deleted ones included."
    )


@strawberry.input(description="Which series.")
class UsageSeriesInput:
    """Becomes a `SeriesRequest`."""

    dimension: UsageDimension = strawberry.field(description="What it is grouped by.")
    window: UsageWindow = strawberry.field(description="Which time.")
    timezone: str = strawberry.field(description=TIMEZONE)
    granularity: UsageGranularity | None = strawberry.field(
        default=UNSET, description="Default: HOUR up to two days, else DAY."
    )
    filter: UsageFilter | None = strawberry.field(default=UNSET, description="Only this usage.")
    top_groups: int = strawberry.field(
        default=10,
        description=(
            "1 to 100 largest groups by `rankBy`, ties by cost, tokens, then key; "
            "the rest are summed in one of kind OTHER."
        ),
    )
    rank_by: UsageMetric = strawberry.field(
        default=UsageMetric.COST, description="What the largest groups are the largest by."
    )


def usage_condition(filter: UsageFilter | None, path: str = "filter") -> UsageCondition:
    """The filter for the work. Raises `BadRequest`."""
    if filter is None or filter is UNSET:
        return UsageCondition()
    agents = or_none(filter.agents)
    for listed in (filter.provider_ids, filter.model_ids, filter.agents, filter.failover_chain_ids):
        if listed and len(listed) > MOST_FILTERED:
            raise BadRequest(f"{path}: a list takes at most {MOST_FILTERED} entries")
    for agent in agents or ():
        if unstorable := unstorable_character(agent):
            raise BadRequest(f"{path}.agents: no agent's name holds {unstorable}")

    # Sorted, each once: filters that ask for the same are the same, and share a live series.
    def ids(
        listed: list[strawberry.ID] | None, type_name: str, field: str
    ) -> tuple[int, ...] | None:
        given = or_none(listed)
        if given is None:
            return None
        return tuple(sorted(set(decode_filter_ids(given, type_name, f"{path}.{field}"))))

    return UsageCondition(
        provider_ids=ids(filter.provider_ids, "Provider", "providerIds"),
        model_ids=ids(filter.model_ids, "Model", "modelIds"),
        agents=None if agents is None else tuple(sorted(set(agents))),
        chain_ids=ids(filter.failover_chain_ids, "FailoverChain", "failoverChainIds"),
    )


def series_request(info: Info, input: UsageSeriesInput) -> SeriesRequest:
    """The series for the work, with what the caller selected of it. Raises `BadRequest`.

    With all sums of its points: subscribers who show some and some who show others share it.
    """
    return SeriesRequest(
        dimension=input.dimension,
        window=window_request(input.window, input.timezone, or_none(input.granularity)),
        condition=usage_condition(or_none(input.filter), "input.filter"),
        top_groups=input.top_groups,
        rank_by=input.rank_by,
        with_percentiles=mentions(info, *PERCENTILES),
        with_previous=mentions(info, "previousTotals"),
    )


def narrowed(info: Info, request: SeriesRequest) -> SeriesRequest:
    """The series with those sums of its points alone that the caller selected."""
    names = mentioned(info)
    summed = tuple(field for name, field in _SUMS.items() if name in names)
    return replace(request, summed=summed if "points" in names else ())


@strawberry.type(description="One bucket of one group.")
class UsagePoint:
    """Read from `Point`."""

    start: datetime = plain("Where the bucket begins.")
    requests: SafeInt = plain("Attempts, those that failed included.")
    failures: SafeInt = plain("Attempts that failed.")
    input_tokens: SafeInt = plain("Cache reads and writes included.")
    cache_read_tokens: SafeInt = plain("Input that was read from the cache.")
    cache_write_tokens: SafeInt = plain("Input that was written to the cache.")
    output_tokens: SafeInt = plain("Reasoning included.")
    reasoning_tokens: SafeInt = plain("Output that was thought, not shown.")
    cost_usd: Dollars = plain("Of the requests whose price is known.")
    unpriced_requests: SafeInt = plain("While this is above 0, the cost is a lower bound.")
    latency_p50_ms: float | None = plain(
        "The median of the latencies that were reported, within 9.1 %; null where none was."
    )
    latency_p95_ms: float | None = plain(
        "The 95th percentile of the latencies that were reported, within 9.1 %; "
        "null where none was."
    )


UsageSubject = Annotated[
    Provider | Model | FailoverChain,
    strawberry.union("UsageSubject", description="What a group of kind OBJECT stands for."),
]


async def _subject(info: Info, root: strawberry.Parent[Group]) -> object | None:
    return await usage.subject_of(info.context, root)


PREVIOUS = (
    "Of the window before, to compare with: of a period, the one before it up to the same local "
    "time (today with yesterday, seven days with the seven before, this month with the month "
    "before); of a range, the range of the same length that ends where it begins."
)
GROUP_KEY = "Opaque; unique within the series and the same in every window."


@strawberry.type(description="One line of a series.")
class UsageGroup:
    """Read from `Group`."""

    key: str = plain(GROUP_KEY)
    kind: UsageGroupKind = plain("What it stands for.")
    label: str = plain("Its name, for people; that of a deleted object remains.")
    subject: UsageSubject | None = resolved(
        _subject, "The object, while it exists.", graphql_type=UsageSubject | None
    )
    totals: UsageTotals = plain("Of the whole window.")
    points: list[UsagePoint] = plain(
        "One for each bucket of the window, oldest first, none left out: "
        "an empty bucket holds zeros."
    )


@strawberry.type(description="Usage over a window, in groups and buckets.")
class UsageSeries:
    """Read from `Series`."""

    dimension: UsageDimension = plain("What it is grouped by.")
    granularity: UsageGranularity = plain("How long its points are.")
    timezone: str = plain("Where its days begin.")
    from_: datetime = plain("Where the first bucket begins.", name="from")
    to: datetime = plain("Exclusive.")
    as_of: datetime = plain(
        "The state that this shows, in the order of commits: of two answers the later is the truer."
    )
    groups: list[UsageGroup] = plain("Ranked; NONE counts among them, OTHER comes last.")
    totals: UsageTotals = plain("Of all groups together.")
    previous_totals: UsageTotals | None = plain(PREVIOUS)


@strawberry.type(
    description="Whole: replace what you hold. Sent first, and when the window moves on."
)
class UsageSnapshot:
    """Read from `Snapshot`."""

    series: UsageSeries = plain("The series as the query gives it.")

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        """Tells the two updates apart."""
        return isinstance(value, Snapshot)


@strawberry.type(
    description="Every point for a group that you do not hold, otherwise those that changed."
)
class UsageGroupChange:
    """Read from `Group`."""

    key: str = plain(GROUP_KEY)
    kind: UsageGroupKind = plain("What it stands for.")
    label: str = plain("Its name, for people.")
    subject: UsageSubject | None = resolved(
        _subject, "The object, while it exists.", graphql_type=UsageSubject | None
    )
    totals: UsageTotals = plain("Of the whole window.")
    points: list[UsagePoint] = plain("Replace those with the same start.")


@strawberry.type(
    description=(
        "What changed since the update before, in absolute values: applying it twice does no harm."
    )
)
class UsageDelta:
    """Read from `Delta`."""

    as_of: datetime = plain("The state that the series now shows.")
    totals: UsageTotals = plain("Of all groups together.")
    order: list[str] = plain("The keys of all groups, ranked: drop those that it lacks.")
    changes: list[UsageGroupChange] = plain("The groups that are new or changed.")
    previous_totals: UsageTotals | None = plain(PREVIOUS)

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        """Tells the two updates apart."""
        return isinstance(value, Delta)


UsageUpdate = Annotated[
    UsageSnapshot | UsageDelta,
    strawberry.union("UsageUpdate", description="A state, or what changed since the last."),
]
