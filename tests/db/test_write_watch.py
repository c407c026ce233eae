"""What a watch hears of an operation's writes, on both databases."""

import asyncio

import pytest
from sqlalchemy import insert, select

from db.engine import Connection, Database
from db.tables import installation
from db.write_watch import watching_writes


class Watch:
    """Writes down what it is told."""

    def __init__(self, *, withdrawn: bool = False, refuses: bool = False) -> None:
        self.withdrawn = withdrawn
        self.refuses = refuses
        self.told: list[str] = []

    def begun(self) -> None:
        if self.refuses:
            raise asyncio.CancelledError
        self.told.append("begun")

    def ended(self, *, committed: bool) -> None:
        self.told.append("committed" if committed else "undone")


async def write(connection: Connection) -> None:
    await connection.execute(insert(installation).values(key="k", value="1"))


async def count(database: Database) -> int:
    async with database.read() as connection:
        return len((await connection.execute(select(installation))).all())


async def test_a_write_begins_and_is_committed(database: Database) -> None:
    watch = Watch()
    with watching_writes(watch):
        await database.transact(write)
    assert watch.told == ["begun", "committed"]
    await database.transact(lambda _: asyncio.sleep(0))
    assert watch.told == ["begun", "committed"]


async def test_a_write_that_fails_is_undone(database: Database) -> None:
    async def fail(connection: Connection) -> None:
        await write(connection)
        raise LookupError

    watch = Watch()
    with watching_writes(watch), pytest.raises(LookupError):
        await database.transact(fail)
    assert watch.told == ["begun", "undone"]


async def test_a_write_that_may_not_begin_any_more_does_nothing(database: Database) -> None:
    watch = Watch(refuses=True)
    with watching_writes(watch), pytest.raises(asyncio.CancelledError):
        await database.transact(write)
    assert watch.told == []
    assert await count(database) == 0
    await database.transact(write)
    assert await count(database) == 1


@pytest.mark.parametrize(("withdrawn", "rows"), [(True, 0), (False, 1)])
async def test_only_a_withdrawn_write_is_dropped_while_it_waits(
    database: Database, withdrawn: bool, rows: int
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_connection: Connection) -> None:
        begun.set()
        await go_on.wait()

    # One has SQLite's writer, ten have all of PostgreSQL's connections.
    holding = [asyncio.create_task(database.transact(hold)) for _ in range(10)]
    await begun.wait()

    async def change() -> None:
        with watching_writes(Watch(withdrawn=withdrawn)):
            await database.transact(write)

    waiting = asyncio.create_task(change())
    for _ in range(20):
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go_on.set()
    await asyncio.gather(*holding)
    # Whoever waits for its turn now comes after it.
    await database.transact(lambda _: asyncio.sleep(0))
    await database.close()
    assert await count(database) == rows
