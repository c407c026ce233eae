"""Change counters: seen with what they stand for, and forgotten in small steps."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from db.change_counters import bump_counters, forget_silent_writers, read_counters
from db.engine import Connection, Database
from db.usage import advance_clock

NOW = datetime(2026, 11, 23, tzinfo=UTC)
DAY = timedelta(days=1)


async def bump(
    database: Database, writer: str, *kinds: str, first: int = 100, now: datetime = NOW
) -> dict[str, int]:
    async def work(connection: Connection) -> dict[str, int]:
        return dict(await bump_counters(connection, writer, kinds, first=first, now=now))

    return await database.transact(work)


async def stored(database: Database) -> dict[tuple[str, str], int]:
    async with database.read() as connection:
        return dict((await read_counters(connection)).values)


async def forget(database: Database, before: datetime, limit: int = 100) -> int:
    return await database.transact(
        lambda connection: forget_silent_writers(connection, before=before, limit=limit)
    )


async def test_each_writer_and_kind_counts_by_itself(database: Database) -> None:
    assert await bump(database, "a", "provider", "model") == {"model": 100, "provider": 100}
    assert await bump(database, "a", "provider", first=500) == {"provider": 101}
    assert await bump(database, "b", "provider", first=7) == {"provider": 7}
    assert await stored(database) == {
        ("a", "model"): 100,
        ("a", "provider"): 101,
        ("b", "provider"): 7,
    }


async def test_concurrent_commits_of_one_writer_each_get_a_value_of_their_own(
    database: Database,
) -> None:
    values = await asyncio.gather(*(bump(database, "a", "usage", "model") for _ in range(20)))
    assert sorted(one["usage"] for one in values) == list(range(100, 120))
    assert all(one["usage"] == one["model"] for one in values)


async def test_what_is_rolled_back_was_not_counted(database: Database) -> None:
    async def fail(connection: Connection) -> None:
        await bump_counters(connection, "a", ["usage"], first=100, now=NOW)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await database.transact(fail)
    assert await stored(database) == {}


async def test_a_writer_waits_for_no_other(database: Database) -> None:
    if database.dialect != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    held, done = asyncio.Event(), asyncio.Event()

    async def hold(connection: Connection) -> None:
        await bump_counters(connection, "a", ["usage"], first=100, now=NOW)
        held.set()
        await done.wait()

    holding = asyncio.create_task(database.transact(hold))
    await held.wait()
    assert await asyncio.wait_for(bump(database, "b", "usage"), 20) == {"usage": 100}
    done.set()
    await holding


async def test_the_state_of_usage_is_read_beside(database: Database) -> None:
    async with database.read() as connection:
        before = (await read_counters(connection)).usage_as_of
    clock = await database.transact(lambda connection: advance_clock(connection, NOW))
    async with database.read() as connection:
        assert (await read_counters(connection)).usage_as_of == clock.as_of > before


async def test_silent_writers_are_forgotten_a_few_at_a_time(database: Database) -> None:
    for number in range(5):
        await bump(database, f"gone-{number}", "usage", now=NOW - DAY)
    await bump(database, "here", "usage")
    assert await forget(database, NOW - DAY / 2, limit=3) == 3
    assert await forget(database, NOW - DAY / 2, limit=3) == 2
    assert await forget(database, NOW - DAY / 2, limit=3) == 0
    assert await stored(database) == {("here", "usage"): 100}


async def test_a_writer_that_speaks_while_it_is_being_forgotten_stays(database: Database) -> None:
    if database.dialect != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    await bump(database, "slow", "usage", now=NOW - DAY)
    held, done = asyncio.Event(), asyncio.Event()

    async def speak(connection: Connection) -> None:
        await bump_counters(connection, "slow", ["usage"], first=100, now=NOW)
        held.set()
        await done.wait()

    speaking = asyncio.create_task(database.transact(speak))
    await held.wait()
    forgetting = asyncio.create_task(forget(database, NOW - DAY / 2))
    # It waits for the row's lock by now, or finds it raised anyway.
    await asyncio.sleep(0.1)
    done.set()
    await speaking
    assert await forgetting == 0
    assert await stored(database) == {("slow", "usage"): 101}
