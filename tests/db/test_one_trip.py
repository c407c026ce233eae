"""SQLite's driver: one trip to its thread a statement, and nothing lost by it."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from db.engine import Database
from db.one_trip import OneTripConnection, connected

ROWS = 2_500


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was asked of the threads."""
    made: list[Any] = []
    visit = OneTripConnection.visit

    async def counted(self: OneTripConnection, work: Any, *arguments: Any) -> Any:
        made.append(work)
        return await visit(self, work, *arguments)

    monkeypatch.setattr(OneTripConnection, "visit", counted)
    return made


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    found = tmp_path / "numbers.db"
    database = Database.open(f"sqlite+aiosqlite:///{found}")

    async def fill(connection: Any) -> None:
        await connection.execute(text("CREATE TABLE numbers (n INTEGER PRIMARY KEY)"))
        await connection.execute(
            text("INSERT INTO numbers (n) VALUES (:n)"), [{"n": number} for number in range(ROWS)]
        )

    await database.transact(fill)
    await database.close()
    return found


async def test_a_read_makes_a_trip_for_each_statement(path: Path, trips: list[Any]) -> None:
    database = Database.open(f"sqlite+aiosqlite:///{path}")
    async with database.read() as connection:
        await connection.scalar(text("SELECT 1"))  # The first of a connection asks it about itself.
    trips.clear()
    async with database.read() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
        assert await connection.scalar(text("SELECT max(n) FROM numbers")) == ROWS - 1
    assert len(trips) == 2
    trips.clear()
    async with database.read():
        pass
    assert not trips
    await database.close()


async def test_results_longer_than_a_trip_are_whole(path: Path) -> None:
    database = Database.open(f"sqlite+aiosqlite:///{path}")
    every = text("SELECT n FROM numbers ORDER BY n")
    async with database.read() as connection:
        assert list((await connection.execute(every)).scalars()) == list(range(ROWS))
        async with connection.stream(every) as streamed:
            assert [n async for n in streamed.scalars()] == list(range(ROWS))
        async with connection.stream(every) as streamed:
            assert (await streamed.fetchmany(7))[-1] == (6,)
        assert await connection.scalar(text("SELECT 1")) == 1, "one that was left lets others in"
    await database.close()


async def test_a_reader_sees_one_state_from_its_first_statement(path: Path) -> None:
    database = Database.open(f"sqlite+aiosqlite:///{path}")
    count = text("SELECT count(*) FROM numbers")

    async def add(connection: Any) -> None:
        await connection.execute(text("INSERT INTO numbers (n) VALUES (-1)"))

    async with database.read() as connection:
        assert await connection.scalar(count) == ROWS
        await database.transact(add)
        assert await connection.scalar(count) == ROWS
    async with database.read() as connection:
        assert await connection.scalar(count) == ROWS + 1
    await database.close()


async def test_what_failed_is_rolled_back(path: Path) -> None:
    database = Database.open(f"sqlite+aiosqlite:///{path}")

    async def fail(connection: Any) -> None:
        await connection.execute(text("DELETE FROM numbers"))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await database.transact(fail)
    async with database.read() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM numbers")) == ROWS
    await database.close()


async def test_who_closes_a_connection_that_was_told_to_stop_waits_for_nothing(
    tmp_path: Path,
) -> None:
    connection = await connected(str(tmp_path / "x.db"), reads=True, isolation_level=None)
    closing = asyncio.ensure_future(connection.close())
    await asyncio.sleep(0)
    connection.stop()
    async with asyncio.timeout(20):
        await closing


def test_a_thread_that_is_told_to_stop_may_outlive_its_loop(tmp_path: Path) -> None:
    go_on = threading.Event()

    async def leave() -> threading.Thread:
        connection = await connected(str(tmp_path / "x.db"), reads=True, isolation_level=None)
        connection._tx.put_nowait((None, go_on.wait))
        connection.stop()
        return connection._thread

    thread = asyncio.run(leave())
    go_on.set()
    # Where it raised something, pytest fails this test.
    thread.join(20)
    assert not thread.is_alive()


def test_an_answer_after_the_end_of_its_loop_disturbs_nobody(tmp_path: Path) -> None:
    """An exception of a thread fails the test."""
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(10)

    async def leave() -> OneTripConnection:
        connection = connected(str(tmp_path / "a.db"), reads=True, isolation_level=None)
        await connection
        visit = asyncio.ensure_future(connection.visit(work))
        await asyncio.to_thread(begun.wait, 10)
        visit.cancel()
        await asyncio.gather(visit, return_exceptions=True)
        return connection

    connection = asyncio.run(leave())
    go_on.set()
    connection.stop()
    connection._thread.join(10)
    assert not connection._thread.is_alive()
