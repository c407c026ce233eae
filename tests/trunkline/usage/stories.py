"""Made-up histories of usage for hypothesis: what is recorded when, in which calls, and what is
asked afterwards. Times lie around clock changes and the edges of windows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TypeVar

from hypothesis import strategies as st

from db.vocabulary import UsageDimension, UsageGranularity, UsageMetric, UsagePeriod
from tests.trunkline.usage.walked_calendar import QUARTER, clock_changes
from trunkline.usage.intake import MOST_COST_NANOS, MOST_LATENCY_MS, MOST_TOKENS
from trunkline.usage.windows import WindowRequest

T = TypeVar("T")

ZONES = (
    "Australia/Lord_Howe",  # half an hour of summer time
    "Antarctica/Troll",  # two hours of it
    "Pacific/Apia",  # no 30 December 2011
    "Pacific/Kiritimati",  # 14 hours ahead; no 31 December 1994
    "America/St_Johns",  # changed its clocks at 00:01
    "America/Havana",  # midnight twice
    "America/Sao_Paulo",  # no midnight on the day of change
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "Europe/Berlin",
    "UTC",
)
# Names that a key, a pattern, a sort or a database might take for another.
AGENTS = (
    "a", "A", "none", "other", "agent:a", "id:1", "ä", "a\u0308", " a", "a ", "%", "'; --", "0",
    "\u202e", "🧾", "\N{ZERO WIDTH SPACE}",
)  # fmt: skip
TARGETS = ("flat", "dated", "unknown", "free", "namesake", "passing", "retired")
"""Models, by what is particular about them: see `StoryWorld`."""
PROVIDERS = ("compatible", "local", "other", "brief")
CHAINS = ("support", "short")


@dataclass(frozen=True)
class Draft:
    """An event before its names are those of this run's objects."""

    key: str
    target: str
    agent: str | None
    chain: str | None
    at: datetime | None
    succeeded: bool
    tokens: tuple[int, int, int, int, int]
    estimated: bool
    cost: int | None
    latency: int | None


@dataclass(frozen=True)
class Question:
    """A request before the ids that it filters by are known."""

    dimension: UsageDimension
    window: WindowRequest
    providers: tuple[str, ...] | None
    models: tuple[str, ...] | None
    agents: tuple[str, ...] | None
    chains: tuple[str, ...] | None
    top_groups: int
    rank_by: UsageMetric
    with_percentiles: bool
    with_previous: bool


@dataclass(frozen=True)
class Story:
    """Rounds of calls that come together, a deletion between two of them, then questions."""

    rounds: tuple[tuple[tuple[Draft, ...], ...], ...]
    deleted_after: int
    began: datetime
    now: datetime
    questions: tuple[Question, ...]


@lru_cache
def changes_in(zone: str) -> Sequence[datetime]:
    """UTC has none: then any instant serves."""
    return clock_changes(zone) or [datetime(2020, 2, 29, tzinfo=UTC)]


def quarters(most: int) -> st.SearchStrategy[timedelta]:
    return st.integers(-most, most).map(lambda count: count * QUARTER)


slips = st.sampled_from([timedelta(0), timedelta(microseconds=-1), timedelta(microseconds=1)])
within = st.integers(0, 899_999_999).map(lambda count: timedelta(microseconds=count))
token_counts = st.integers(0, 3) | st.integers(0, 100_000) | st.just(MOST_TOKENS)
latencies = st.none() | st.integers(0, 40) | st.integers(0, 60_000) | st.just(MOST_LATENCY_MS)
costs = st.none() | st.none() | st.integers(0, 10**10) | st.just(MOST_COST_NANOS)
names = st.sampled_from(AGENTS) | st.text(
    st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=4
).filter(lambda text: bool(text.strip()))
shares = st.integers(0, 4)
rarely = st.sampled_from([False] * 5 + [True])


@st.composite
def presents(draw: st.DrawFn, zone: str) -> datetime:
    """A moment within days of a change of the zone's clocks, or a month and a bit after."""
    change = draw(st.sampled_from(changes_in(zone)))
    far = timedelta(days=30) if draw(rarely) else timedelta(0)
    return change + far + draw(quarters(6) | quarters(200)) + draw(within)


@st.composite
def drafts(draw: st.DrawFn, number: int, near: datetime, latest: datetime) -> Draft:
    given, written = draw(token_counts), draw(token_counts)
    spread = 40 * 96 if draw(rarely) else 40
    about = draw(st.sampled_from([near, latest]))
    moment = about + draw(quarters(spread)) + draw(slips | within)
    return Draft(
        key=f"key-{number}",
        target=draw(st.sampled_from(TARGETS)),
        agent=draw(st.none() | names),
        chain=draw(st.sampled_from([None, *CHAINS])),
        at=None if draw(rarely) else min(moment, latest),
        succeeded=draw(st.booleans()),
        tokens=(
            given,
            # Of four parts at most two each, so that both fit.
            given * draw(st.integers(0, 2)) // 4,
            given * draw(st.integers(0, 2)) // 4,
            written,
            written * draw(shares) // 4,
        ),
        estimated=draw(st.booleans()),
        cost=draw(costs),
        latency=draw(latencies),
    )


@st.composite
def windows(draw: st.DrawFn, zone: str, near: datetime) -> WindowRequest:
    granularity = draw(st.none() | st.sampled_from(UsageGranularity))
    if draw(st.booleans()):
        return WindowRequest(zone, draw(st.sampled_from(UsagePeriod)), granularity=granularity)
    begin = near - draw(st.integers(-8, 40)) * QUARTER
    count = draw(st.integers(1, 60) | st.integers(20, 192) | st.integers(220, 40 * 96))
    return WindowRequest(zone, None, begin, begin + count * QUARTER, granularity)


@st.composite
def questions(draw: st.DrawFn, zone: str, near: datetime) -> Question:
    def some(of: Sequence[str]) -> st.SearchStrategy[tuple[str, ...] | None]:
        listed = st.lists(st.sampled_from(of), max_size=4, unique=True).map(tuple)
        return listed if draw(rarely) else st.none()

    return Question(
        dimension=draw(st.sampled_from(UsageDimension)),
        window=draw(windows(zone, near)),
        providers=draw(some((*PROVIDERS, "nothing"))),
        models=draw(some((*TARGETS, "nothing"))),
        agents=draw(some((*AGENTS, "", "nobody"))),
        chains=draw(some((*CHAINS, "none", "nothing"))),
        top_groups=draw(st.integers(1, 8)),
        rank_by=draw(st.sampled_from(UsageMetric)),
        with_percentiles=draw(st.booleans()),
        with_previous=draw(st.booleans()),
    )


@st.composite
def stories(draw: st.DrawFn) -> Story:
    zone = draw(st.sampled_from(ZONES))
    change = draw(st.sampled_from(changes_in(zone)))
    near = change.replace(minute=change.minute // 15 * 15)  # Some came a minute past midnight.
    # Most changes are just over; some are days ago.
    passed = draw(st.sampled_from([6, 50, 200, 2_880]).flatmap(lambda most: st.integers(0, most)))
    now = near + passed * QUARTER + draw(within)
    began = now - timedelta(minutes=draw(st.integers(1, 200)))
    count = draw(st.integers(8, 30))
    made = [draw(drafts(number, near, began + timedelta(minutes=5))) for number in range(count)]
    again = draw(st.lists(st.sampled_from(made), max_size=10))
    order = draw(st.permutations([*made, *again]))
    sizes = draw(st.lists(st.integers(1, 9), min_size=1, max_size=12))
    calls = tuple(_cut(order, [*sizes, len(order)]))
    rounds = tuple(_cut(calls, [*draw(st.lists(st.integers(1, 4), max_size=5)), len(calls)]))
    return Story(
        rounds=rounds,
        deleted_after=draw(st.integers(0, len(rounds))),
        began=began,
        now=now,
        questions=tuple(draw(questions(zone, near)) for _ in range(4)),
    )


def _cut(items: Sequence[T], sizes: Sequence[int]) -> Iterator[tuple[T, ...]]:
    start = 0
    for size in sizes:
        if start < len(items):
            yield tuple(items[start : start + size])
            start += size
