"""Series are right to the last digit: whatever was recorded, however and in whatever order, what
is read equals a plain recomputation from the events.
"""

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.vocabulary import UsageDimension, UsageGranularity, UsagePeriod
from tests.conftest import SetClock
from tests.trunkline.usage.recomputed import Figures, answer, figures
from tests.trunkline.usage.stories import ZONES, Story, presents, stories
from tests.trunkline.usage.story_world import StoryWorld, make_world
from tests.trunkline.usage.walked_calendar import window, window_before
from trunkline.services import Services
from trunkline.usage.comparison import span_before
from trunkline.usage.latency import LARGEST_RELATIVE_ERROR
from trunkline.usage.points import Point
from trunkline.usage.reading import SeriesRequest, read_series, read_totals
from trunkline.usage.series import Series
from trunkline.usage.totals import Sums
from trunkline.usage.windows import Span, WindowRequest, window_of


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    data=st.data(),
    which=st.sampled_from(UsagePeriod),
    granularity=st.none() | st.sampled_from(UsageGranularity),
)
def test_periods_are_those_of_the_calendar_and_so_is_what_they_are_compared_with(
    zone: str, data: st.DataObject, which: UsagePeriod, granularity: UsageGranularity | None
) -> None:
    now = data.draw(presents(zone))
    request = WindowRequest(zone, which, granularity=granularity)
    start, end, walked, starts = window(request, now)
    found = window_of(request, now)
    assert (found.start, found.end, found.granularity) == (start, end, walked)
    assert list(found.bucket_starts) == starts
    before = span_before(request, now)
    assert (before.start, before.end) == window_before(request, start, end, now)


def test_of_a_time_that_came_twice_the_day_before_the_first_counts() -> None:
    # Clocks went from 0:01 back to 23:01, when the new day had begun. 23:15 came twice before it.
    now = datetime(1987, 10, 25, 2, 31, tzinfo=UTC)
    before = span_before(WindowRequest("America/St_Johns", UsagePeriod.TODAY), now)
    assert before.end == datetime(1987, 10, 25, 1, 45, tzinfo=UTC)


@pytest.fixture
async def world(services: Services, clock: SetClock) -> StoryWorld:
    return await make_world(services, clock)


@pytest.mark.slow
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # A story begins with an empty store.
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(story=stories())
async def test_a_series_is_what_its_events_come_to(world: StoryWorld, story: Story) -> None:
    await world.begin_story()
    world.clock.now = story.began
    pause = (story.now - story.began) / (len(story.rounds) + 1)
    for place, calls in enumerate(story.rounds):
        if place == story.deleted_after:
            await world.delete_and_add_again()
        await world.record(calls)
        world.clock.now += pause
    world.clock.now = story.now
    for question in story.questions:
        request = world.request(question)
        series = await read_series(world.services.database, request, world.clock)
        _compare(series, request, world)
        await _compare_totals(series, request.dimension, world)


def _compare(series: Series, request: SeriesRequest, world: StoryWorld) -> None:
    right = answer(world.happened, request, world.names, world.clock())
    assert (series.from_, series.to) == (right.start, right.end)
    assert series.granularity is right.granularity
    assert series.window.bucket_starts == right.bucket_starts
    told = request.with_percentiles
    _same(series.totals, right.totals, told)
    if request.with_previous:
        assert series.previous_totals is not None
        _same(series.previous_totals, right.previous, told)
    assert (series.previous_totals is not None) is request.with_previous
    found = [
        (group.key, group.kind, group.label, group.subject and group.subject.living)
        for group in series.groups
    ]
    assert found == [(line.key, line.kind, line.label, line.living) for line in right.lines]
    for group, line in zip(series.groups, right.lines, strict=True):
        _same(group.totals, line.totals, told)
        starts = [point.start for point in group.points]
        assert starts == list(right.bucket_starts)
        for point, figure in zip(group.points, line.points, strict=True):
            _same(point, figure, told)


async def _compare_totals(series: Series, dimension: UsageDimension, world: StoryWorld) -> None:
    """What objects show of themselves over the same time, whatever the filter."""
    if dimension is UsageDimension.AGENT:
        return
    ids = [one for known, one in world.names if known is dimension]
    span = Span(series.from_, series.to)
    found = await read_totals(world.services.database, dimension, ids, span, percentiles=True)
    for one in ids:
        mine = (
            event
            for event in world.happened
            if span.start <= event.at < span.end
            and one
            == {
                UsageDimension.PROVIDER: event.provider,
                UsageDimension.MODEL: event.model,
                UsageDimension.FAILOVER_CHAIN: event.chain,
            }[dimension]
        )
        _same(found[one], figures(mine), told=True)


def _same(found: Sums | Point, right: Figures, told: bool) -> None:
    """To the last digit, and percentiles within the error that is stated of them."""
    names = [name for name in right._fields if hasattr(found, name)]
    added = [name for name in names if not name.startswith("latency_p")]
    assert {name: getattr(found, name) for name in added} == {
        name: getattr(right, name) for name in added
    }
    for name in ("latency_p50_ms", "latency_p95_ms"):
        shown, exact = getattr(found, name), getattr(right, name) if told else None
        if exact is None:
            assert shown is None
        else:
            assert shown is not None
            assert abs(shown - exact) <= exact * LARGEST_RELATIVE_ERROR * (1 + 1e-12)
