"""Deltas, merged by the contract's rules: the newest state exactly, whatever was skipped."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from db.usage_rollups import GroupId
from db.vocabulary import UsageDimension, UsageGranularity, UsageMetric
from tests.trunkline.usage.merging import merge
from trunkline.usage.delta import Delta, Snapshot, update_between
from trunkline.usage.series import Series, Subject, make_series, rank_groups
from trunkline.usage.totals import Sums
from trunkline.usage.windows import WindowRequest, window_of

START = datetime(2026, 11, 23, tzinfo=UTC)
Usage = dict[GroupId, dict[int, int]]


def state(
    usage: Usage, *, moved: int = 0, as_of: int = 0, top_groups: int = 3, renamed: int = 0
) -> Series:
    """A series of providers over four hours, from requests by provider and hour."""
    start = START + timedelta(hours=moved)
    window = window_of(
        WindowRequest("UTC", None, start, start + timedelta(hours=4), UsageGranularity.HOUR), start
    )
    ranking = rank_groups(
        UsageDimension.PROVIDER,
        {
            group: Sums(requests=sum(hours.values()), cost_usd=sum(hours.values()))
            for group, hours in usage.items()
        },
        top_groups=top_groups,
        rank_by=UsageMetric.COST,
    )
    points: dict[GroupId | None, dict[int, list[int]]] = {}
    for group, hours in usage.items():
        held = points.setdefault(group if group in ranking.shown else None, {})
        for hour, count in hours.items():
            before = held.get(hour, [0] * 9)
            held[hour] = [before[0] + count, 0, 0, 0, 0, 0, 0, before[7] + count, 0]
    subjects = {
        group: Subject(group, f"Provider {group} ({renamed})", living=group != renamed)
        for group in usage
        if isinstance(group, int)
    }
    return make_series(
        window=window,
        as_of=START + timedelta(microseconds=as_of),
        ranking=ranking,
        points=points,
        subjects=subjects,
    )


def test_the_first_is_a_snapshot() -> None:
    newest = state({1: {0: 1}})
    assert update_between(None, newest) == Snapshot(newest)


def test_a_change_brings_the_points_that_changed_and_every_group_in_order() -> None:
    held = state({1: {0: 5}, 2: {0: 1}})
    delta = update_between(held, state({1: {0: 5}, 2: {0: 1, 3: 9}}, as_of=1))
    assert isinstance(delta, Delta)
    assert delta.order == ("id:2", "id:1")
    (change,) = delta.changes
    assert [(point.start.hour, point.requests) for point in change.points] == [(3, 9)]
    assert (change.totals.requests, delta.totals.requests) == (10, 15)


def test_a_group_that_is_new_brings_every_point() -> None:
    delta = update_between(state({1: {0: 5}}), state({1: {0: 5}, 2: {1: 1}}, as_of=1))
    assert isinstance(delta, Delta)
    assert [(change.key, len(change.points)) for change in delta.changes] == [("id:2", 4)]


def test_a_group_that_leaves_is_lacking_from_the_order() -> None:
    held = state({1: {0: 9}, 2: {0: 8}}, top_groups=2)
    delta = update_between(held, state({1: {0: 9}}, as_of=1))
    assert isinstance(delta, Delta)
    assert (delta.order, delta.changes) == (("id:1",), ())


def test_a_label_that_changes_is_a_change_without_points() -> None:
    delta = update_between(state({1: {0: 5}}), state({1: {0: 5}}, renamed=7))
    assert isinstance(delta, Delta)
    (change,) = delta.changes
    assert (change.label, change.points) == ("Provider 1 (7)", ())


def test_a_subject_that_is_deleted_is_a_change() -> None:
    held = state({1: {0: 5}})
    (group,) = held.groups
    assert group.subject is not None
    gone = replace(group, subject=replace(group.subject, living=False))
    delta = update_between(held, replace(held, groups=(gone,)))
    assert isinstance(delta, Delta)
    assert len(delta.changes) == 1


def test_a_window_that_moves_brings_a_snapshot() -> None:
    newest = state({1: {0: 5}}, moved=1)
    assert update_between(state({1: {0: 5}}), newest) == Snapshot(newest)


def test_nothing_new_is_no_update() -> None:
    assert update_between(state({1: {0: 5}}), state({1: {0: 5}})) is None


usages = st.dictionaries(
    st.integers(0, 6), st.dictionaries(st.integers(0, 3), st.integers(1, 5), min_size=1)
)


@given(
    st.lists(
        st.tuples(usages, st.integers(0, 1), st.integers(0, 2), st.booleans()),
        min_size=1,
        max_size=8,
    ),
    st.integers(1, 4),
)
def test_merging_gives_the_newest_state_whatever_is_skipped_or_applied_twice(
    steps: list[tuple[Usage, int, int, bool]], top_groups: int
) -> None:
    seen: Series | None = None
    client: Series | None = None
    for place, (usage, moved, renamed, is_read) in enumerate(steps):
        newest = state(usage, moved=moved, as_of=place, top_groups=top_groups, renamed=renamed)
        if not is_read and place < len(steps) - 1:
            continue  # A slow reader: this state is never sent.
        update = update_between(seen, newest)
        if update is not None:
            client = merge(client, update)
            assert merge(client, update) == client
        seen = newest
    assert client == seen
