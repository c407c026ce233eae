"""A database that can't be used is told as such, and a mistake of ours isn't."""

import sqlite3

import pytest
from graphql import GraphQLError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError

from db.engine import Connection, Database
from db.failing import StoreUnavailable, failing
from schema.errors import present


async def _write(connection: Connection) -> None:
    await connection.execute(text("INSERT INTO installation (key, value) VALUES ('a', 'b')"))


async def test_a_server_that_is_away_is_told() -> None:
    # Nothing listens on the discard port.
    database = Database.open("postgresql+asyncpg://postgres@127.0.0.1:9/test")
    with pytest.raises(StoreUnavailable, match="its server can't be reached"):
        await database.transact(_write)
    with pytest.raises(StoreUnavailable, match="its server can't be reached"):
        async with database.read():
            pass
    await database.close()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("database or disk is full", "its disk is full"),
        ("database is locked", "another process holds its lock"),
        ("unable to open database file", "its file can't be opened"),
    ],
)
def test_what_sqlite_says_is_told_in_words_of_ours(said: str, reason: str) -> None:
    with pytest.raises(StoreUnavailable, match=reason), failing():
        raise OperationalError(None, None, sqlite3.OperationalError(said))


async def test_a_mistake_of_ours_stays_one(database: Database) -> None:
    with pytest.raises(DBAPIError):
        await database.transact(lambda connection: connection.execute(text("SELECT nothing")))
    with pytest.raises(ConnectionRefusedError):
        # Not of the database, though it happened beside it.
        async with database.read():
            raise ConnectionRefusedError


def test_a_client_is_told_to_try_again() -> None:
    error = GraphQLError("?", original_error=StoreUnavailable("its disk is full"))
    error.message = str(error.original_error)
    present([error], None)
    assert error.extensions == {"code": "UNAVAILABLE"}
    assert error.message == (
        "the database can't be used just now: its disk is full. Try again in a moment"
    )
