"""Usage events and rollups on both databases: counted once, summed exactly, read by bucket."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.chains import delete_chain, insert_chain
from db.engine import Database
from db.models import NewModelRow, insert_models
from db.paging import BadCursor, PageRequest, encode_cursor
from db.providers import delete_provider, insert_provider
from db.rollup_columns import Parts, TotalTooLarge
from db.rollup_levels import SUMMED
from db.rollup_writing import add_to_rollups, parts_of, rollup_key
from db.usage import (
    NewEventRow,
    UsageCondition,
    UsageEventRow,
    advance_clock,
    find_event,
    hold_providers,
    insert_events,
    load_fingerprints,
    page_events,
    read_clock,
)
from db.usage_rollups import (
    POINTED,
    load_subjects,
    sum_buckets,
    sum_groups,
)
from db.vocabulary import ModelSource, ProviderKind, UsageDimension

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
ALL = UsageCondition()
LARGEST = 2**63 - 1


class Objects:
    """Two providers with two models each, and two chains."""

    def __init__(self) -> None:
        self.providers: list[int] = []
        self.models: list[tuple[int, int]] = []
        self.chains: list[int] = []


@pytest.fixture
async def objects(database: Database) -> Objects:
    made = Objects()

    async def make(connection: AsyncConnection) -> None:
        for slug in ("one", "two"):
            provider_id = await insert_provider(
                connection,
                slug=slug,
                name=slug.title(),
                kind=ProviderKind.OPENAI_COMPATIBLE,
                base_url="http://127.0.0.1:9",
                enabled=True,
                known_provider=None,
                now=NOW,
            )
            chain_id = await insert_chain(
                connection, slug=slug, name=f"Chain {slug}", description=None, enabled=True, now=NOW
            )
            assert provider_id is not None
            assert chain_id is not None
            new = [
                NewModelRow(wire_name=name, name=name, source=ModelSource.CUSTOM)
                for name in ("small", "large")
            ]
            added = await insert_models(connection, provider_id, new, now=NOW)
            made.providers.append(provider_id)
            made.chains.append(chain_id)
            made.models += [(provider_id, model_id) for model_id in added.values()]

    await database.transact(make)
    return made


def event(objects: Objects, key: str, **fields: Any) -> NewEventRow:
    provider_id, model_id = objects.models[0]
    made = NewEventRow(
        idempotency_key=key,
        fingerprint=key.encode(),
        occurred_at=NOW,
        provider_id=provider_id,
        model_id=model_id,
        agent="",
        chain_id=0,
        succeeded=True,
        input_tokens=10,
        cache_read_tokens=4,
        cache_write_tokens=1,
        output_tokens=3,
        reasoning_tokens=2,
        estimated=False,
        cost_nanos=7,
        latency_ms=None,
    )
    return replace(made, **fields)


def random_events(objects: Objects, count: int, seed: int) -> list[NewEventRow]:
    chance = random.Random(seed)
    events = []
    for number in range(count):
        provider_id, model_id = chance.choice(objects.models)
        spent = chance.randrange(100)
        events.append(
            event(
                objects,
                f"{seed}-{number}",
                occurred_at=NOW - timedelta(seconds=chance.randrange(6 * 3600)),
                provider_id=provider_id,
                model_id=model_id,
                agent=chance.choice(["", "a", "b", "ü", "Z"]),
                chain_id=chance.choice([0, *objects.chains]),
                succeeded=chance.random() < 0.8,
                input_tokens=spent,
                cache_read_tokens=spent // 2,
                output_tokens=chance.randrange(50),
                estimated=chance.random() < 0.1,
                cost_nanos=chance.choice([None, spent * 10**9 + 1]),
                latency_ms=chance.choice([None, chance.randrange(1000)]),
            )
        )
    return events


async def record(database: Database, events: Sequence[NewEventRow]) -> frozenset[str]:
    async def work(connection: AsyncConnection) -> frozenset[str]:
        inserted = await insert_events(connection, events, now=NOW)
        counted = [one for one in events if one.idempotency_key in inserted]
        await add_to_rollups(connection, counted)
        await advance_clock(connection, NOW)
        return inserted

    return await database.transact(work)


def group_of(dimension: UsageDimension, one: NewEventRow) -> int | str:
    match dimension:
        case UsageDimension.PROVIDER:
            return one.provider_id
        case UsageDimension.MODEL:
            return one.model_id
        case UsageDimension.AGENT:
            return one.agent
        case UsageDimension.FAILOVER_CHAIN:
            return one.chain_id


def added(*parts: Parts) -> Parts:
    return tuple(map(sum, zip(*parts, strict=True)))


async def test_an_event_is_inserted_once_and_counted_once(
    database: Database, objects: Objects
) -> None:
    events = [event(objects, key) for key in ("b", "a", "ü")]
    assert await record(database, events) == {"a", "b", "ü"}
    assert await record(database, [*events, event(objects, "c")]) == {"c"}
    async with database.read() as connection:
        stored = await load_fingerprints(connection, ["a", "ü", "never"])
        sums = await sum_groups(
            connection, UsageDimension.AGENT, (NOW, NOW + QUARTER), ALL
        )  # fmt: skip
    assert stored == {"a": b"a", "ü": "ü".encode()}
    assert sums == {"": (4, 0, 40, 16, 4, 12, 8, 28, 0, 0, 0, 0)}


def test_what_an_event_adds() -> None:
    made = Objects()
    made.models = [(1, 2)]
    parts = dict(
        zip(SUMMED, parts_of(event(made, "a", succeeded=False, latency_ms=5)), strict=True)
    )
    assert (parts["requests"], parts["failures"], parts["latency_count"]) == (1, 1, 1)
    unknown = dict(zip(SUMMED, parts_of(event(made, "a", cost_nanos=None)), strict=True))
    assert (unknown["cost_nanos"], unknown["unpriced_requests"]) == (0, 1)
    # A request that used nothing costs nothing that is unknown.
    empty = event(made, "a", cost_nanos=None, input_tokens=0, output_tokens=0)
    assert dict(zip(SUMMED, parts_of(empty), strict=True))["unpriced_requests"] == 0
    before_1970 = event(made, "a", occurred_at=datetime(1969, 12, 31, 23, 59, tzinfo=UTC))
    assert rollup_key(before_1970)[0] == -900 * 10**6


@pytest.mark.parametrize("dimension", UsageDimension)
async def test_sums_by_group_and_bucket_are_those_of_the_events(
    database: Database, objects: Objects, dimension: UsageDimension
) -> None:
    events = random_events(objects, 400, seed=7)
    for start in range(0, len(events), 90):
        await record(database, events[start : start + 90])
    # Uneven buckets, as clocks that are set make them; the first and the last hold no event.
    starts = [NOW - timedelta(hours=hours) for hours in (9, 5.75, 3, 2.5, 2, 1)] + [NOW + QUARTER]
    end = NOW + 3 * QUARTER
    async with database.read() as connection:
        groups = await sum_groups(connection, dimension, (starts[0], end), ALL)
        each = await sum_buckets(connection, dimension, starts, end, ALL)
        shown = sorted(groups, key=str)[:1]
        merged = await sum_buckets(connection, dimension, starts, end, ALL, shown=shown)
    pointed = [SUMMED.index(name) for name in POINTED]
    expected: dict[int | str, dict[int, Parts]] = {}
    for one in events:
        place = max(index for index, start in enumerate(starts) if start <= one.occurred_at)
        parts = tuple(parts_of(one)[index] for index in pointed)
        held = expected.setdefault(group_of(dimension, one), {})
        held[place] = added(held[place], parts) if place in held else parts
    assert each == expected
    assert groups == {
        group: added(*(parts_of(one) for one in events if group_of(dimension, one) == group))
        for group in expected
    }
    assert merged[shown[0]] == expected[shown[0]]
    assert set(merged) == {shown[0], None}
    for place, parts in merged[None].items():
        rest = [
            held[place]
            for group, held in expected.items()
            if group != shown[0] and place in held
        ]  # fmt: skip
        assert parts == added(*rest)


async def test_conditions_combine_and_an_empty_one_matches_nothing(
    database: Database, objects: Objects
) -> None:
    events = random_events(objects, 120, seed=3)
    await record(database, events)
    span = (NOW - timedelta(hours=7), NOW + QUARTER)
    provider_id, model_id = objects.models[3]

    async def requests(condition: UsageCondition) -> int:
        async with database.read() as connection:
            sums = await sum_groups(connection, UsageDimension.PROVIDER, span, condition)
            page = await page_events(connection, PageRequest(first=500), condition, span)
        count = sum(parts[0] for parts in sums.values())
        assert len(page.nodes) == count, "events and rollups are narrowed alike"
        return count

    assert await requests(ALL) == 120
    for empty in ("provider_ids", "model_ids", "agents", "chain_ids"):
        assert await requests(UsageCondition(**{empty: ()})) == 0
    assert await requests(UsageCondition(agents=("", "ü"))) == len(
        [one for one in events if one.agent in {"", "ü"}]
    )
    narrow = UsageCondition(
        provider_ids=(provider_id,), model_ids=(model_id,), agents=("a", "b"), chain_ids=(0,)
    )
    assert await requests(narrow) == len(
        [
            one
            for one in events
            if one.model_id == model_id and one.agent in {"a", "b"} and not one.chain_id
        ]
    )


async def test_sums_narrow_to_the_objects_that_were_asked_for(
    database: Database, objects: Objects
) -> None:
    await record(database, random_events(objects, 50, seed=1))
    async with database.read() as connection:
        sums = await sum_groups(
            connection,
            UsageDimension.PROVIDER,
            (NOW - timedelta(hours=7), NOW + QUARTER),
            ALL,
            among=[objects.providers[1], 999],
        )
    assert list(sums) == [objects.providers[1]]


async def test_writers_of_the_same_rollups_lose_nothing_and_do_not_deadlock(
    database: Database, objects: Objects
) -> None:
    batches = [random_events(objects, 40, seed=seed) for seed in range(12)]
    for seed, batch in enumerate(batches):
        random.Random(seed).shuffle(batch)
    # Each batch comes twice, as from a client that tries again too early.
    await asyncio.gather(*(record(database, batch) for batch in batches + batches))
    span = (NOW - timedelta(hours=7), NOW + QUARTER)
    async with database.read() as connection:
        sums = await sum_groups(connection, UsageDimension.FAILOVER_CHAIN, span, ALL)
    assert added(*sums.values()) == added(*(parts_of(one) for batch in batches for one in batch))


async def test_a_rollup_that_would_overflow_refuses_the_write(
    database: Database, objects: Objects
) -> None:
    await record(database, [event(objects, "a", cost_nanos=LARGEST - 1)])
    assert await record(database, [event(objects, "b", cost_nanos=1)]) == {"b"}
    with pytest.raises(TotalTooLarge):
        await record(database, [event(objects, "c", cost_nanos=1)])
    async with database.read() as connection:
        sums = await sum_groups(connection, UsageDimension.AGENT, (NOW, NOW + QUARTER), ALL)
        assert sums[""][SUMMED.index("cost_nanos")] == LARGEST
        assert await load_fingerprints(connection, ["c"]) == {}


async def test_a_sum_that_overflows_is_refused_or_exact_never_rounded(
    database: Database, objects: Objects
) -> None:
    later = NOW + timedelta(days=1)
    await record(database, [event(objects, "a", cost_nanos=LARGEST)])
    await record(database, [event(objects, "b", cost_nanos=LARGEST, occurred_at=later)])
    async with database.read() as connection:
        try:
            sums = await sum_groups(
                connection, UsageDimension.AGENT, (NOW, later + QUARTER), ALL
            )  # fmt: skip
        except TotalTooLarge:
            assert database.dialect == "sqlite"
        else:
            assert sums[""][SUMMED.index("cost_nanos")] == 2 * LARGEST


async def test_another_error_of_the_store_is_not_its_own_cause(
    database: Database, objects: Objects
) -> None:
    async def write(connection: AsyncConnection) -> None:
        await add_to_rollups(connection, [event(objects, "a")])

    async def read(connection: AsyncConnection) -> None:
        await sum_groups(connection, UsageDimension.AGENT, (NOW, NOW + QUARTER), ALL)

    for work in (write, read):

        async def without_rollups(connection: AsyncConnection, work: Any = work) -> None:
            await connection.execute(text("ALTER TABLE usage_rollups RENAME TO elsewhere"))
            await work(connection)

        with pytest.raises(DBAPIError, match="usage_rollups") as raised:
            await database.transact(without_rollups)
        assert raised.value.__cause__ is not raised.value


async def test_the_clock_only_goes_forward(database: Database) -> None:
    async def advance(connection: AsyncConnection, now: datetime) -> datetime:
        return (await advance_clock(connection, now)).as_of

    ahead = datetime(2999, 1, 1, tzinfo=UTC)
    assert await database.transact(lambda connection: advance(connection, ahead)) == ahead
    # The machine's clock was set back: the order of commits is not.
    after = await database.transact(lambda connection: advance(connection, NOW))
    assert after == ahead + timedelta(microseconds=1)
    async with database.read() as connection:
        assert await read_clock(connection) == after


async def test_every_commit_has_its_own_place_in_the_order(database: Database) -> None:
    async def advance(connection: AsyncConnection) -> datetime:
        return (await advance_clock(connection, NOW)).as_of

    places = await asyncio.gather(*(database.transact(advance) for _ in range(20)))
    assert len(set(places)) == 20


async def test_a_read_sees_rollups_and_clock_of_one_commit(
    database: Database, objects: Objects
) -> None:
    span = (NOW, NOW + QUARTER)
    await record(database, [event(objects, "a")])
    async with database.read() as connection:
        as_of = await read_clock(connection)
        await record(database, [event(objects, "b")])
        sums = await sum_groups(connection, UsageDimension.AGENT, span, ALL)
        assert sums[""][0] == 1
        assert await read_clock(connection) == as_of
    async with database.read() as connection:
        assert await read_clock(connection) > as_of
        assert (await sum_groups(connection, UsageDimension.AGENT, span, ALL))[""][0] == 2


async def test_pages_of_events_are_newest_first_and_hold_every_event_once(
    database: Database, objects: Objects
) -> None:
    events = random_events(objects, 60, seed=5)
    # Many at one instant: the id decides, and no page loses or repeats one.
    events = [
        replace(one, occurred_at=NOW - timedelta(minutes=number // 20))
        for number, one in enumerate(events)
    ]
    await record(database, events)
    seen: list[UsageEventRow] = []
    after = None
    while True:
        async with database.read() as connection:
            page = await page_events(connection, PageRequest(first=7, after=after), ALL, None)
        seen += page.nodes
        after = page.end_cursor
        if not page.has_next_page:
            break
    assert len(seen) == len({row.id for row in seen}) == 60
    assert seen == sorted(seen, key=lambda row: (row.occurred_at, row.id), reverse=True)
    async with database.read() as connection:
        span = (NOW - timedelta(minutes=1), NOW)
        narrowed = await page_events(connection, PageRequest(first=100), ALL, span)
        assert {row.occurred_at for row in narrowed.nodes} == {span[0]}
        assert (await page_events(connection, PageRequest(first=0), ALL, None)).has_next_page


@pytest.mark.parametrize(
    "cursor",
    [
        encode_cursor("usage_events", (2**62, 1)),
        encode_cursor("usage_events", (-(2**62), 1)),
        encode_cursor("providers", (1, 1)),
        encode_cursor("usage_events", ("1", 1)),
        "nonsense",
    ],
)
async def test_a_cursor_that_is_none_of_ours_is_refused(database: Database, cursor: str) -> None:
    async with database.read() as connection:
        with pytest.raises(BadCursor):
            await page_events(connection, PageRequest(first=1, after=cursor), ALL, None)


async def test_history_outlives_what_it_names(database: Database, objects: Objects) -> None:
    provider_id, model_id = objects.models[0]
    chain_id = objects.chains[0]
    await record(database, [event(objects, "a", chain_id=chain_id, agent="x")])

    async def remove(connection: AsyncConnection) -> None:
        assert await hold_providers(connection, objects.providers) == set(objects.providers)
        await delete_chain(connection, chain_id, now=NOW)
        await delete_provider(connection, provider_id, now=NOW)
        assert await hold_providers(connection, objects.providers) == {objects.providers[1]}

    await database.transact(remove)
    async with database.read() as connection:
        (row,) = (await page_events(connection, PageRequest(first=9), ALL, None)).nodes
        assert await find_event(connection, row.id) == row
        assert await find_event(connection, row.id + 1) is None
        labels = (row.provider_label, row.model_label, row.failover_chain_label, row.agent)
        assert labels == ("One", "large", "Chain one", "x")
        ids = (row.provider_id, row.model_id, row.failover_chain_id)
        assert ids == (provider_id, model_id, chain_id)
        for dimension, name in (
            (UsageDimension.PROVIDER, "One"),
            (UsageDimension.MODEL, "large"),
            (UsageDimension.FAILOVER_CHAIN, "Chain one"),
        ):
            (group,) = await sum_groups(connection, dimension, (NOW, NOW + QUARTER), ALL)
            assert isinstance(group, int)
            subject = (await load_subjects(connection, dimension, [group]))[group]
            assert (subject.name, subject.living) == (name, False)
        assert await load_subjects(connection, UsageDimension.AGENT, [1]) == {}


async def test_the_work_of_a_series_does_not_grow_with_its_buckets_times_its_rollups(
    database: Database, objects: Objects, count_statements: Any
) -> None:
    await record(database, random_events(objects, 2_000, seed=2))
    begin, end = NOW - timedelta(hours=6), NOW + QUARTER

    async def read(connection: AsyncConnection, step: timedelta) -> int:
        starts = [begin + step * place for place in range((end - begin) // step)]
        # Grouped by one and narrowed by another: of all levels only the finest answers that.
        every = UsageCondition(agents=("", "a", "b", "ü", "Z"))
        found = await sum_buckets(connection, UsageDimension.MODEL, starts, end, every, shown=[1])
        return sum(parts[0] for places in found.values() for parts in places.values())

    async with database.read() as connection:
        if database.dialect == "postgresql":
            with count_statements() as statements:
                assert await read(connection, QUARTER) == 2_000
            assert "LATERAL" in statements[0], "each stretch is looked up in the primary key"
            return
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        work = {}
        for step in (end - begin, QUARTER):
            ticks: list[None] = []
            await driver.set_progress_handler(lambda ticks=ticks: ticks.append(None), 100)
            assert await read(connection, step) == 2_000
            work[step] = len(ticks)
        await driver.set_progress_handler(None, 0)
    assert work[QUARTER] < 2 * work[end - begin], work
