"""Questions: their values, one state for all that are asked at once, and how they end."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Integer, bindparam, func, literal_column, select, text, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from db.columns import real
from db.engine import Database
from db.questions import LARGEST_KEPT, Asked, Question, listed, one_of
from db.tables import providers, usage_events
from tests.db.test_models import NOW, add_provider

NAMES = Question(
    lambda dialect: (
        select(providers)
        .where(one_of(dialect, providers.c.id, "ids"), providers.c.enabled == True)  # noqa: E712  # SQL
        .order_by(providers.c.id)
        .limit(bindparam("limit", type_=Integer))
    )
)
COUNT = Question(lambda _: select(func.count().label("count")).select_from(providers))


def _endless(dialect: str) -> Any:
    if dialect == "postgresql":
        return select(literal_column("pg_sleep(60)::text").label("done"))
    numbers = select(literal_column("1").label("n")).cte("numbers", recursive=True)
    numbers = numbers.union_all(select(numbers.c.n + 1))
    return select(func.max(numbers.c.n).label("done"))


async def rename(database: Database, name: str) -> None:
    async def work(connection: AsyncConnection) -> None:
        await connection.execute(text("UPDATE providers SET name = :name"), {"name": name})

    await database.transact(work)


async def test_rows_hold_what_the_statement_reads(database: Database) -> None:
    first = await add_provider(database, "a", "A")
    await add_provider(database, "b", "B")
    asked = Asked(NAMES, {"ids": listed(database.dialect, [first, 99]), "limit": 5})
    (rows,) = await database.ask(asked)
    async with database.read() as connection:
        (expected,) = await connection.execute(select(providers).where(providers.c.id == first))
    assert [row._asdict() for row in rows] == [expected._asdict()]
    assert rows[0].created_at == NOW
    assert rows[0].enabled is True
    assert not rows[0].deleted_at


async def test_bytes_and_texts_come_as_they_are(database: Database) -> None:
    one = await add_provider(database, "a", 'quo"te\\ \u2028 \N{GRINNING FACE}')
    sealed = bytes(range(256))

    async def work(connection: AsyncConnection) -> None:
        await connection.execute(update(providers).values(api_key_encrypted=sealed))

    await database.transact(work)
    (rows,) = await database.ask(Asked(NAMES, {"ids": listed(database.dialect, [one]), "limit": 1}))
    assert rows[0].name == 'quo"te\\ \u2028 \N{GRINNING FACE}'
    assert rows[0].api_key_encrypted == sealed
    assert rows[0].extra_headers_encrypted is None


async def test_the_same_answer_is_read_once_on_sqlite(database: Database) -> None:
    """What was read is kept with the text that it was read from, so it is as true as that."""
    read: list[Any] = []

    def noted(row: Any) -> str:
        read.append(row)
        return str(row.name)

    one = await add_provider(database, "a", "A")
    question = Question(NAMES._write, noted)
    asked = Asked(question, {"ids": listed(database.dialect, [one]), "limit": 1})
    for name, reads in (("A", 1), ("A", 1), ("B", 2), ("B", 2)):
        await rename(database, name)
        assert await database.ask(asked) == [(name,)]
        if database.dialect == "sqlite":
            assert len(read) == reads
    await rename(database, "x" * LARGEST_KEPT)
    for reads in (3, 4):
        await database.ask(asked)
        if database.dialect == "sqlite":
            assert len(read) == reads, "too large to be kept"


def test_a_double_is_not_asked_for_as_text() -> None:
    question = Question(lambda _: select(usage_events.c.id, literal_column("0.1", real())))
    with pytest.raises(TypeError, match="exactly"):
        question.text(sqlite.dialect())


async def test_each_commit_is_seen_by_the_next_question(database: Database) -> None:
    """Also where another process made it: nothing is kept between questions."""
    one = await add_provider(database, "a", "A")
    asked = Asked(NAMES, {"ids": listed(database.dialect, [one]), "limit": 1})
    for name in ("B", "C", "D"):
        await rename(database, name)
        rows, count = await database.ask(asked, Asked(COUNT, {}))
        assert (rows[0].name, count[0].count) == (name, 1)


async def test_a_question_that_nobody_waits_for_is_ended(database: Database) -> None:
    began = datetime.now(UTC)
    asking = [asyncio.create_task(database.ask(Asked(Question(_endless), {}))) for _ in range(6)]
    await asyncio.sleep(0.05)
    for one in asking:
        one.cancel()
    assert all(
        isinstance(end, asyncio.CancelledError)
        for end in await asyncio.gather(*asking, return_exceptions=True)
    )
    # Those that ask after them get answers, from the same connections.
    answers = await asyncio.gather(*(database.ask(Asked(COUNT, {})) for _ in range(8)))
    assert {rows[0].count for (rows,) in answers} == {0}
    assert datetime.now(UTC) - began < timedelta(seconds=30)
