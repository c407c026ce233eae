"""The store's two ways in: snapshots that can't write, transactions that lose nothing."""

import asyncio

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.database_url import BadDatabaseUrl
from db.engine import Database
from db.tables import installation


async def _value(database: Database) -> str | None:
    async with database.read() as connection:
        return await connection.scalar(select(installation.c.value))


async def _set(connection: AsyncConnection, value: str) -> None:
    await connection.execute(insert(installation).values(key="k", value=value))


async def test_what_is_written_is_read_by_the_next(database: Database) -> None:
    await database.transact(lambda connection: _set(connection, "1"))
    assert await _value(database) == "1"


async def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    async def fail(connection: AsyncConnection) -> None:
        await _set(connection, "1")
        raise LookupError

    with pytest.raises(LookupError):
        await database.transact(fail)
    assert await _value(database) is None


async def test_a_reader_cannot_write(database: Database) -> None:
    async with database.read() as connection:
        with pytest.raises(DBAPIError):
            await _set(connection, "1")


async def test_a_reader_sees_one_state(database: Database) -> None:
    await database.transact(lambda connection: _set(connection, "before"))
    async with database.read() as connection:
        assert await connection.scalar(select(installation.c.value)) == "before"
        await database.transact(
            lambda writing: writing.execute(update(installation).values(value="after"))
        )
        assert await connection.scalar(select(installation.c.value)) == "before"
    assert await _value(database) == "after"


async def test_a_cancelled_caller_does_not_undo_the_write(database: Database) -> None:
    begun = asyncio.Event()
    go_on = asyncio.Event()

    async def slow(connection: AsyncConnection) -> None:
        await _set(connection, "1")
        begun.set()
        await go_on.wait()

    caller = asyncio.create_task(database.transact(slow))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go_on.set()
    # SQLite has one writer and PostgreSQL ten: either way the write ends on its own.
    await database.close()
    assert await _value(database) == "1"


async def test_closing_waits_for_a_read_that_is_being_cancelled(database: Database) -> None:
    """Given back after the pool is gone, its connection would stay open for good."""
    begun = asyncio.Event()
    ended = False

    async def read() -> None:
        nonlocal ended
        try:
            async with database.read() as connection:
                await connection.scalar(select(installation.c.value))
                begun.set()
                await asyncio.Event().wait()
        finally:
            ended = True

    reader = asyncio.create_task(read())
    await begun.wait()
    reader.cancel()
    await database.close()
    assert ended
    with pytest.raises(asyncio.CancelledError):
        await reader


async def test_two_hundred_read_modify_writes_lose_none(database: Database) -> None:
    await database.transact(lambda connection: _set(connection, "0"))

    async def increment(connection: AsyncConnection) -> None:
        held = select(installation.c.value).with_for_update()
        value = await connection.scalar(held)
        await connection.execute(update(installation).values(value=str(int(value or 0) + 1)))

    await asyncio.gather(*(database.transact(increment) for _ in range(200)))
    assert await _value(database) == "200"


@pytest.mark.parametrize(
    "url",
    [
        "", "mysql://root@localhost/x", "sqlite://", "sqlite+aiosqlite:///:memory:", "nonsense",
        "postgresql://h:port/d",
        "sqlite+aiosqlite:///x.db?mode=ro", "sqlite+aiosqlite:///x.db?timeout=5&nonsense=1",
    ],
)  # fmt: skip
def test_a_url_of_no_database_is_refused(url: str) -> None:
    with pytest.raises(BadDatabaseUrl):
        Database.open(url)


async def test_what_comes_after_a_commit_comes_without_the_caller_too(database: Database) -> None:
    begun, go_on, told = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(connection: AsyncConnection) -> str:
        begun.set()
        await go_on.wait()
        return "done"

    def tell(result: str) -> None:
        assert result == "done"
        told.set()

    caller = asyncio.create_task(database.transact(slow, after=tell))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert not told.is_set()
    go_on.set()
    await asyncio.wait_for(told.wait(), 30)


async def test_nothing_comes_after_a_transaction_that_failed(database: Database) -> None:
    async def fail(connection: AsyncConnection) -> None:
        raise LookupError

    told: list[None] = []
    with pytest.raises(LookupError):
        await database.transact(fail, after=told.append)
    assert told == []
