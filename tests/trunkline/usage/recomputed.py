"""Usage series worked out from the events themselves: slow, plain, and right on sight.

It shares nothing with what it checks but the words of the question: every event is looked at for
every figure, and percentiles are exact.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import NamedTuple

from db.usage import UsageCondition
from db.vocabulary import UsageDimension, UsageGranularity, UsageGroupKind, UsageMetric
from tests.trunkline.usage.walked_calendar import window, window_before
from trunkline.usage.reading import SeriesRequest


@dataclass(frozen=True)
class Happened:
    """An event that must have been counted, its names resolved. 0 and "" stand for none."""

    at: datetime
    provider: int
    model: int
    agent: str
    chain: int
    succeeded: bool
    tokens: tuple[int, int, int, int, int]
    estimated: bool
    cost: int | None
    latency: int | None


class Figures(NamedTuple):
    """What some events come to, by the names of `Sums` and `Point`. Percentiles are exact."""

    requests: int
    failures: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_usd: int
    unpriced_requests: int
    estimated_requests: int
    latency_ms_sum: int
    latency_count: int
    latency_p50_ms: int | None
    latency_p95_ms: int | None


NOTHING = Figures(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, None, None)


@dataclass(frozen=True)
class Line:
    """A group of the answer: what names it, its figures, and those of each bucket."""

    key: str
    kind: UsageGroupKind
    label: str
    living: bool | None
    totals: Figures
    points: tuple[Figures, ...]


@dataclass(frozen=True)
class Answer:
    """What a series must hold."""

    start: datetime
    end: datetime
    granularity: UsageGranularity
    bucket_starts: tuple[datetime, ...]
    totals: Figures
    previous: Figures
    lines: tuple[Line, ...]


class Name(NamedTuple):
    """What an object is called, and whether it is still there."""

    label: str
    living: bool


Names = Mapping[tuple[UsageDimension, int], Name]


def answer(
    events: Sequence[Happened], request: SeriesRequest, names: Names, now: datetime
) -> Answer:
    """The series that is asked for."""
    start, end, granularity, starts = window(request.window, now)
    before = window_before(request.window, start, end, now)
    counted = [event for event in events if _fits(event, request.condition)]
    inside = [event for event in counted if start <= event.at < end]
    groups: dict[int | str, list[Happened]] = {}
    for event in inside:
        groups.setdefault(_group(event, request.dimension), []).append(event)
    ranked = sorted(
        groups, key=lambda group: _rank(request, _key(request.dimension, group), groups[group])
    )
    ends = [*starts[1:], end]

    def points(of: Sequence[Happened]) -> tuple[Figures, ...]:
        return tuple(
            figures(event for event in of if begin <= event.at < until)
            for begin, until in zip(starts, ends, strict=True)
        )

    lines = []
    for group in ranked[: request.top_groups]:
        name = None
        if group == 0 or group == "":
            kind = UsageGroupKind.NONE
            label = "No agent" if group == "" else "No failover chain"
        elif isinstance(group, str):
            kind, label = UsageGroupKind.AGENT, group
        else:
            name = names[request.dimension, group]
            kind, label = UsageGroupKind.OBJECT, name.label
        lines.append(
            Line(
                _key(request.dimension, group),
                kind,
                label,
                None if name is None else name.living,
                figures(groups[group]),
                points(groups[group]),
            )
        )
    rest = [event for group in ranked[request.top_groups :] for event in groups[group]]
    if rest:
        other = UsageGroupKind.OTHER
        lines.append(Line("other", other, "Other", None, figures(rest), points(rest)))
    return Answer(
        start,
        end,
        granularity,
        tuple(starts),
        figures(inside),
        figures(event for event in counted if before[0] <= event.at < before[1]),
        tuple(lines),
    )


def figures(events: Iterable[Happened]) -> Figures:
    """What these come to."""
    every = list(events)
    if not every:
        return NOTHING
    latencies = sorted(event.latency for event in every if event.latency is not None)
    return Figures(
        len(every),
        sum(not event.succeeded for event in every),
        sum(event.tokens[0] for event in every),
        sum(event.tokens[1] for event in every),
        sum(event.tokens[2] for event in every),
        sum(event.tokens[3] for event in every),
        sum(event.tokens[4] for event in every),
        sum(event.cost for event in every if event.cost is not None),
        # A request of no tokens cost nothing, whatever the price.
        sum(event.cost is None and any(event.tokens) for event in every),
        sum(event.estimated for event in every),
        sum(latencies),
        len(latencies),
        _nearest_rank(latencies, 50),
        _nearest_rank(latencies, 95),
    )


def flat_cost(per_million: tuple[int, int], tokens: tuple[int, int, int, int, int]) -> int:
    """At a price for input and one for output, in nanodollars per million tokens; half-even."""
    exact = per_million[0] * tokens[0] + per_million[1] * tokens[3]
    return round(Fraction(exact, 1_000_000))


def _fits(event: Happened, condition: UsageCondition) -> bool:
    return (
        (condition.provider_ids is None or event.provider in condition.provider_ids)
        and (condition.model_ids is None or event.model in condition.model_ids)
        and (condition.agents is None or event.agent in condition.agents)
        and (condition.chain_ids is None or event.chain in condition.chain_ids)
    )


def _group(event: Happened, dimension: UsageDimension) -> int | str:
    if dimension is UsageDimension.AGENT:
        return event.agent
    return {
        UsageDimension.PROVIDER: event.provider,
        UsageDimension.MODEL: event.model,
        UsageDimension.FAILOVER_CHAIN: event.chain,
    }[dimension]


def _key(dimension: UsageDimension, group: int | str) -> str:
    if group == 0 or group == "":
        return "none"
    return f"agent:{group}" if dimension is UsageDimension.AGENT else f"id:{group}"


def _rank(
    request: SeriesRequest, key: str, events: Sequence[Happened]
) -> tuple[int, int, int, str]:
    """The largest first; ties by cost, tokens, then key."""
    of = figures(events)
    tokens = of.input_tokens + of.output_tokens
    by = {
        UsageMetric.COST: of.cost_usd,
        UsageMetric.TOKENS: tokens,
        UsageMetric.REQUESTS: of.requests,
    }[request.rank_by]
    return -by, -of.cost_usd, -tokens, key


def _nearest_rank(ordered: Sequence[int], percent: int) -> int | None:
    """Of n, the one of rank ⌈n·p/100⌉."""
    for place, latency in enumerate(ordered, 1):
        if place * 100 >= len(ordered) * percent:
            return latency
    return None
