"""A database that can't be used is told as such, and a mistake of ours isn't."""

import pytest
from graphql import GraphQLError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db.engine import Connection, Database
from db.failing import StoreUnavailable
from schema.errors import present


async def _write(connection: Connection) -> None:
    await connection.execute(text("INSERT INTO installation (key, value) VALUES ('a', 'b')"))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite+aiosqlite:////nowhere/trunkline.db", "its file can't be opened"),
        # Nothing listens on the discard port.
        ("postgresql+asyncpg://postgres@127.0.0.1:9/test", "its server can't be reached"),
    ],
)
async def test_a_database_that_is_away_is_told(url: str, reason: str) -> None:
    database = Database.open(url)
    with pytest.raises(StoreUnavailable, match=reason):
        await database.transact(_write)
    with pytest.raises(StoreUnavailable, match=reason):
        async with database.read():
            pass
    await database.close()


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
