"""A usage series as plain data, and its making from the sums of rollups.

Money is whole nanodollars. Everything here is a value: equal series are equal, and one that was
made is never changed, so that any number of subscribers may hold it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from db.vocabulary import UsageDimension, UsageGranularity, UsageGroupKind, UsageMetric
from trunkline.errors import BadRequest
from trunkline.usage.windows import MOST_POINTS, Window

OTHER_KEY = "other"
NONE_KEY = "none"


class Sums(NamedTuple):
    """What adds up, in the order in which the store gives it."""

    requests: int = 0
    failures: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: int = 0
    unpriced_requests: int = 0
    estimated_requests: int = 0
    latency_ms_sum: int = 0
    latency_count: int = 0

    @property
    def average_latency_ms(self) -> float | None:
        """Of the requests whose latency is known; None where there is none."""
        return self.latency_ms_sum / self.latency_count if self.latency_count else None

    def plus(self, other: "Sums") -> "Sums":
        """The sum of both."""
        return Sums(*(one + two for one, two in zip(self, other, strict=True)))


ZERO = Sums()


@dataclass(frozen=True, slots=True)
class Point:
    """One bucket of one group."""

    start: datetime
    requests: int
    failures: int
    input_tokens: int
    output_tokens: int
    cost_usd: int
    unpriced_requests: int


@dataclass(frozen=True, slots=True)
class Subject:
    """What a group stands for: a row of this dimension, living or not, by its name."""

    id: int
    label: str
    living: bool


@dataclass(frozen=True, slots=True)
class Group:
    """One line of a series. `subject` is None for agents, NONE and OTHER."""

    key: str
    kind: UsageGroupKind
    label: str
    subject: Subject | None
    dimension: UsageDimension
    totals: Sums
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """Usage over a window, in groups; `as_of` is the commit that it shows."""

    dimension: UsageDimension
    window: Window
    as_of: datetime
    groups: tuple[Group, ...]
    totals: Sums

    @property
    def granularity(self) -> UsageGranularity:
        """Of its buckets."""
        return self.window.granularity

    @property
    def timezone(self) -> str:
        """IANA name."""
        return self.window.timezone

    @property
    def from_(self) -> datetime:
        """Inclusive."""
        return self.window.start

    @property
    def to(self) -> datetime:
        """Exclusive."""
        return self.window.end


GroupId = int | str
"""What the store groups by: an id, 0 for none, or an agent's name, "" for none."""


def make_series(
    *,
    dimension: UsageDimension,
    window: Window,
    as_of: datetime,
    sums: Mapping[GroupId, Mapping[int, Sums]],
    subjects: Mapping[int, Subject],
    top_groups: int,
    rank_by: UsageMetric,
) -> Series:
    """A series from sums by group and index of bucket. Raises `BadRequest` for too many points."""
    totals = {group: _total(buckets.values()) for group, buckets in sums.items()}
    ranked = sorted(
        sums, key=lambda group: rank(group_key(dimension, group), totals[group], rank_by)
    )
    shown, rest = ranked[:top_groups], ranked[top_groups:]
    count = (len(shown) + bool(rest)) * len(window.bucket_starts)
    if count > MOST_POINTS:
        raise BadRequest(
            f"this would return {count} points, at most {MOST_POINTS} are allowed: ask for fewer "
            "groups, a shorter window or a coarser granularity"
        )
    groups = [
        _group(dimension, group, subjects, totals[group], _points(window, sums[group]))
        for group in shown
    ]
    if rest:
        merged: dict[int, Sums] = {}
        for group in rest:
            for index, one in sums[group].items():
                merged[index] = merged.get(index, ZERO).plus(one)
        groups.append(
            Group(
                key=OTHER_KEY,
                kind=UsageGroupKind.OTHER,
                label="Other",
                subject=None,
                dimension=dimension,
                totals=_total(merged.values()),
                points=_points(window, merged),
            )
        )
    return Series(
        dimension=dimension,
        window=window,
        as_of=as_of,
        groups=tuple(groups),
        totals=_total(totals.values()),
    )


def rank(key: str, totals: Sums, rank_by: UsageMetric) -> tuple[int, int, int, str]:
    """Sorts the largest first, ties by cost, tokens, then key."""
    tokens = totals.input_tokens + totals.output_tokens
    metric = {
        UsageMetric.COST: totals.cost_usd,
        UsageMetric.TOKENS: tokens,
        UsageMetric.REQUESTS: totals.requests,
    }[rank_by]
    return (-metric, -totals.cost_usd, -tokens, key)


def group_key(dimension: UsageDimension, group: GroupId) -> str:
    """The group's key: the same in every window, and no two alike in a series."""
    if not group:
        return NONE_KEY
    return f"agent:{group}" if dimension is UsageDimension.AGENT else f"id:{group}"


def _group(
    dimension: UsageDimension,
    group: GroupId,
    subjects: Mapping[int, Subject],
    totals: Sums,
    points: tuple[Point, ...],
) -> Group:
    subject = None
    if not group:
        kind = UsageGroupKind.NONE
        label = "No agent" if dimension is UsageDimension.AGENT else "No failover chain"
    elif isinstance(group, str):
        kind, label = UsageGroupKind.AGENT, group
    else:
        subject = subjects[group]
        kind, label = UsageGroupKind.OBJECT, subject.label
    return Group(
        key=group_key(dimension, group),
        kind=kind,
        label=label,
        subject=subject,
        dimension=dimension,
        totals=totals,
        points=points,
    )


def _points(window: Window, buckets: Mapping[int, Sums]) -> tuple[Point, ...]:
    return tuple(
        _point(start, buckets.get(index, ZERO)) for index, start in enumerate(window.bucket_starts)
    )


def _point(start: datetime, sums: Sums) -> Point:
    return Point(
        start=start,
        requests=sums.requests,
        failures=sums.failures,
        input_tokens=sums.input_tokens,
        output_tokens=sums.output_tokens,
        cost_usd=sums.cost_usd,
        unpriced_requests=sums.unpriced_requests,
    )


def _total(parts: Iterable[Sums]) -> Sums:
    columns = list(zip(*parts, strict=True))
    return Sums(*map(sum, columns)) if columns else ZERO


def keys_of(groups: Sequence[Group]) -> tuple[str, ...]:
    """The groups' keys in their order."""
    return tuple(group.key for group in groups)
