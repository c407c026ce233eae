"""A usage series as plain data, and its making from the sums of rollups.

Money is whole nanodollars. Everything here is a value: equal series are equal, and one that was
made is never changed, so that any number of subscribers may hold it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from db.usage_rollups import Bins, GroupId
from db.vocabulary import UsageDimension, UsageGranularity, UsageGroupKind, UsageMetric
from trunkline.errors import BadRequest
from trunkline.usage.points import SUMMED, Point, Points
from trunkline.usage.totals import Sums, checked, total, with_percentiles
from trunkline.usage.windows import MOST_POINTS, Window

T = TypeVar("T")
Buckets = Mapping[GroupId | None, Mapping[int, T]]

OTHER_KEY = "other"
NONE_KEY = "none"


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
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Series:
    """Usage over a window, in groups; `as_of` is the commit that it shows.

    `previous_totals` are those of the window before, where they were asked for. `stands_until` is
    when the series changes by the passing of time alone; None: never.
    """

    dimension: UsageDimension
    window: Window
    as_of: datetime
    groups: tuple[Group, ...]
    totals: Sums
    previous_totals: Sums | None = None
    stands_until: datetime | None = None

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


@dataclass(frozen=True, slots=True)
class Ranking:
    """The groups of a series, largest first: those `shown`, and the `rest`, summed in one OTHER."""

    dimension: UsageDimension
    totals: Mapping[GroupId, Sums]
    shown: tuple[GroupId, ...]
    rest: tuple[GroupId, ...]


def rank_groups(
    dimension: UsageDimension,
    totals: Mapping[GroupId, Sums],
    *,
    top_groups: int,
    rank_by: UsageMetric,
) -> Ranking:
    """Which groups are shown, in which order."""
    ranked = sorted(
        totals, key=lambda group: _rank(group_key(dimension, group), totals[group], rank_by)
    )
    return Ranking(dimension, totals, tuple(ranked[:top_groups]), tuple(ranked[top_groups:]))


def check_size(ranking: Ranking, window: Window) -> None:
    """Raise `BadRequest` where the series would have too many points, before they are read."""
    count = (len(ranking.shown) + bool(ranking.rest)) * len(window.bucket_starts)
    if count > MOST_POINTS:
        raise BadRequest(
            f"this would return {count} points, at most {MOST_POINTS} are allowed: ask for fewer "
            "groups, a shorter window or a coarser granularity"
        )


def make_series(
    *,
    window: Window,
    as_of: datetime,
    ranking: Ranking,
    points: Buckets[Sequence[int]],
    latencies: Buckets[Bins] | None = None,
    subjects: Mapping[int, Subject],
    previous_totals: Sums | None = None,
    stands_until: datetime | None = None,
    summed: Sequence[str] = SUMMED,
) -> Series:
    """A series from what the store gives: sums by group (None: the rest) and index of bucket.

    `latencies` are there where percentiles are asked for; `points` hold the sums `summed`. Raises
    `BadRequest` where a total is more than a client could read exactly.
    """
    latencies = latencies or {}
    groups = [
        _group(
            ranking,
            group,
            subjects,
            with_percentiles(ranking.totals[group], latencies.get(group, {}).values()),
            Points(window.bucket_starts, points.get(group, {}), latencies.get(group, {}), summed),
        )
        for group in ranking.shown
    ]
    if ranking.rest:
        rest = latencies.get(None, {})
        groups.append(
            Group(
                key=OTHER_KEY,
                kind=UsageGroupKind.OTHER,
                label="Other",
                subject=None,
                dimension=ranking.dimension,
                totals=with_percentiles(
                    total(ranking.totals[group] for group in ranking.rest), rest.values()
                ),
                points=Points(window.bucket_starts, points.get(None, {}), rest, summed),
            )
        )
    every = (bins for places in latencies.values() for bins in places.values())
    return Series(
        dimension=ranking.dimension,
        window=window,
        as_of=as_of,
        groups=tuple(groups),
        totals=with_percentiles(checked(total(ranking.totals.values())), every),
        previous_totals=previous_totals,
        stands_until=stands_until,
    )


def group_key(dimension: UsageDimension, group: GroupId) -> str:
    """The group's key: the same in every window, and no two alike in a series."""
    if not group:
        return NONE_KEY
    return f"agent:{group}" if dimension is UsageDimension.AGENT else f"id:{group}"


def keys_of(groups: Sequence[Group]) -> tuple[str, ...]:
    """The groups' keys in their order."""
    return tuple(group.key for group in groups)


def _rank(key: str, totals: Sums, rank_by: UsageMetric) -> tuple[int, int, int, str]:
    """Sorts the largest first, ties by cost, tokens, then key."""
    tokens = totals.input_tokens + totals.output_tokens
    metric = {
        UsageMetric.COST: totals.cost_usd,
        UsageMetric.TOKENS: tokens,
        UsageMetric.REQUESTS: totals.requests,
    }[rank_by]
    return (-metric, -totals.cost_usd, -tokens, key)


def _group(
    ranking: Ranking,
    group: GroupId,
    subjects: Mapping[int, Subject],
    totals: Sums,
    points: Sequence[Point],
) -> Group:
    subject = None
    if not group:
        kind = UsageGroupKind.NONE
        agent = ranking.dimension is UsageDimension.AGENT
        label = "No agent" if agent else "No failover chain"
    elif isinstance(group, str):
        kind, label = UsageGroupKind.AGENT, group
    else:
        subject = subjects[group]
        kind, label = UsageGroupKind.OBJECT, subject.label
    return Group(
        key=group_key(ranking.dimension, group),
        kind=kind,
        label=label,
        subject=subject,
        dimension=ranking.dimension,
        totals=totals,
        points=points,
    )
