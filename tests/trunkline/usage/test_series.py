"""Series made from sums: ranking, keys, OTHER, and points for every bucket."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.usage_rollups import POINTED, GroupId
from db.vocabulary import UsageDimension, UsageGranularity, UsageGroupKind, UsageMetric
from trunkline.errors import BadRequest
from trunkline.usage.points import Points
from trunkline.usage.series import Series, Subject, check_size, keys_of, make_series, rank_groups
from trunkline.usage.totals import Sums
from trunkline.usage.windows import Window, WindowRequest, window_of

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
AGENT, PROVIDER = UsageDimension.AGENT, UsageDimension.PROVIDER


def hours(count: int) -> Window:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    end = start.replace(day=1 + count // 24, hour=count % 24)
    return window_of(WindowRequest("UTC", None, start, end, UsageGranularity.HOUR), NOW)


def series(
    totals: Mapping[GroupId, Sums],
    *,
    dimension: UsageDimension = AGENT,
    top_groups: int = 10,
    rank_by: UsageMetric = UsageMetric.COST,
    window: Window | None = None,
) -> Series:
    """All of each group's usage in the first bucket."""
    ranking = rank_groups(dimension, totals, top_groups=top_groups, rank_by=rank_by)
    points: dict[GroupId | None, dict[int, list[int]]] = {}
    for group, sums in totals.items():
        parts = sums.added[: len(POINTED)]
        shown = group if group in ranking.shown else None
        held = points.setdefault(shown, {0: [0] * len(POINTED)})[0]
        points[shown][0] = [one + two for one, two in zip(held, parts, strict=True)]
    return make_series(
        window=window or hours(3),
        as_of=NOW,
        ranking=ranking,
        points=points,
        subjects={
            group: Subject(group, f"Provider {group}", living=True)
            for group in totals
            if isinstance(group, int)
        },
    )


def test_groups_are_ranked_by_the_metric_then_cost_tokens_and_key() -> None:
    totals: dict[GroupId, Sums] = {
        "b": Sums(requests=1, input_tokens=5, cost_usd=7),
        "a": Sums(requests=1, input_tokens=5, cost_usd=7),
        "dear": Sums(requests=1, cost_usd=9),
        "busy": Sums(requests=5, input_tokens=1, cost_usd=1),
        "wordy": Sums(requests=1, output_tokens=6, cost_usd=7),
    }
    by_cost = ["agent:dear", "agent:wordy", "agent:a", "agent:b", "agent:busy"]
    assert list(keys_of(series(totals).groups)) == by_cost
    by_requests = ["agent:busy", "agent:dear", "agent:wordy", "agent:a", "agent:b"]
    ranked = series(totals, rank_by=UsageMetric.REQUESTS)
    assert list(keys_of(ranked.groups)) == by_requests
    by_tokens = ["agent:wordy", "agent:a", "agent:b", "agent:busy", "agent:dear"]
    assert list(keys_of(series(totals, rank_by=UsageMetric.TOKENS).groups)) == by_tokens


def test_none_is_ranked_and_other_comes_last_even_where_it_is_largest() -> None:
    totals: dict[GroupId, Sums] = {f"agent-{n}": Sums(requests=1, cost_usd=5) for n in range(20)}
    totals[""] = Sums(requests=3, cost_usd=6)
    made = series(totals, top_groups=2)
    assert [group.kind for group in made.groups] == [
        UsageGroupKind.NONE, UsageGroupKind.AGENT, UsageGroupKind.OTHER
    ]  # fmt: skip
    other = made.groups[-1]
    assert (other.label, other.totals.requests, other.totals.cost_usd) == ("Other", 19, 95)
    assert other.points[0].cost_usd == 95
    assert made.totals == Sums(requests=23, cost_usd=106)


def test_no_name_of_an_agent_takes_the_key_of_another_group() -> None:
    names = ["none", "other", "agent:none", "id:1", "-", ""]
    totals: dict[GroupId, Sums] = {name: Sums(requests=1, cost_usd=1) for name in names}
    made = series(totals | {"x": Sums(requests=1)}, top_groups=6)
    keys = keys_of(made.groups)
    assert len(set(keys)) == len(keys) == 7
    assert {group.label for group in made.groups} >= {"none", "other", "No agent", "Other"}


def test_every_bucket_has_a_point_and_an_empty_one_holds_zeros() -> None:
    made = series({1: Sums(requests=2, latency_ms_sum=9, latency_count=2)}, dimension=PROVIDER)
    (group,) = made.groups
    assert [point.start for point in group.points] == list(made.window.bucket_starts)
    assert [point.requests for point in group.points] == [2, 0, 0]
    assert group.subject == Subject(1, "Provider 1", living=True)
    assert group.totals.average_latency_ms == 4.5
    assert Sums().average_latency_ms is None


def test_a_series_of_nothing_has_no_groups_and_zeros() -> None:
    made = series({})
    assert (made.groups, made.totals) == ((), Sums())


def test_points_are_counted_with_other_before_any_is_read() -> None:
    window = hours(24 * 21)  # 504 points a group
    totals: dict[GroupId, Sums] = {str(n): Sums(requests=1) for n in range(200)}
    fits = rank_groups(AGENT, totals, top_groups=98, rank_by=UsageMetric.COST)
    check_size(fits, window)
    too_many = rank_groups(AGENT, totals, top_groups=99, rank_by=UsageMetric.COST)
    with pytest.raises(BadRequest, match="50400 points, at most 50000"):
        check_size(too_many, window)


@pytest.mark.parametrize(
    "totals", [Sums(input_tokens=2**52), Sums(cost_usd=2**62), Sums(latency_ms_sum=2**62)]
)
def test_a_total_that_no_client_could_read_exactly_is_refused(totals: Sums) -> None:
    series({"a": totals})
    with pytest.raises(BadRequest, match="too large to be exact"):
        series({"a": totals, "b": totals})


@given(
    st.dictionaries(
        st.text(max_size=3),
        st.tuples(*[st.integers(0, 9)] * 12).map(lambda parts: Sums(*parts)),
        max_size=12,
    ),
    st.integers(1, 12),
    st.sampled_from(UsageMetric),
)
def test_totals_are_the_sum_of_groups_and_of_points(
    totals: dict[GroupId, Sums], top_groups: int, rank_by: UsageMetric
) -> None:
    made = series(totals, top_groups=top_groups, rank_by=rank_by)
    assert len(made.groups) == min(top_groups, len(totals)) + (len(totals) > top_groups)
    for place in range(12):
        summed = sum(group.totals.added[place] for group in made.groups)
        assert summed == made.totals.added[place]
    for name in Sums._fields[: len(POINTED)]:
        for group in made.groups:
            summed = sum(getattr(point, name) for point in group.points)
            assert summed == getattr(group.totals, name)


def test_points_by_column_are_those_one_by_one() -> None:
    """Buckets in any order, some empty; sums that nobody asked for are 0."""
    window = hours(4)
    buckets = {3: (7, 1), 1: (5, 2)}
    points = Points(window.bucket_starts, buckets, {1: {3: 2}}, ("requests", "cost_usd"))
    assert [(point.requests, point.cost_usd) for point in points] == [
        (0, 0),
        (5, 2),
        (0, 0),
        (7, 1),
    ]
    assert [point.start for point in points] == list(window.bucket_starts)
    assert [point.latency_p50_ms is None for point in points] == [True, False, True, True]
    assert points[3] == list(points)[3] == points[-1]
    assert points[1:3] == tuple(points)[1:3]
    assert points == tuple(points)
    assert points != tuple(points)[:3]
    for name, column in points.columns.items():
        assert list(column) == [getattr(point, name) for point in points]
