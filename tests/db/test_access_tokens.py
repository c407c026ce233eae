"""What is let in, as the store sees it: by one rule for a row and for many hashes at once."""

from datetime import timedelta
from functools import partial

import pytest

from db.access_tokens import (
    delete_token,
    find_token,
    find_token_by_name,
    insert_token,
    living_access,
    load_tokens,
    lock_token,
    note_use,
    page_tokens,
    replace_token,
)
from db.engine import Connection, Database
from db.paging import PageRequest
from db.sessions import add_session, find_session
from db.vocabulary import AccessScope
from tests.conftest import SetClock

FIRST, SECOND, SESSION, UNKNOWN = (bytes([number]) * 32 for number in range(4))
HOUR = timedelta(hours=1)


async def insert(
    database: Database, clock: SetClock, name: str = "ci", token_hash: bytes = FIRST
) -> int | None:
    return await database.transact(
        lambda connection: insert_token(
            connection,
            name=name,
            token_hash=token_hash,
            masked="tl_…abcd",
            scopes=[AccessScope.READ],
            chain_ids=[3, 1],
            agents=["ä", "b"],
            expires_at=clock() + 3 * HOUR,
            now=clock(),
        )
    )


async def rotate(database: Database, clock: SetClock, token_id: int) -> None:
    async def work(connection: Connection) -> None:
        token = await lock_token(connection, token_id)
        assert token is not None
        await replace_token(
            connection, token, SECOND, "tl_…efgh", previous_until=clock() + HOUR, now=clock()
        )

    await database.transact(work)


async def living(database: Database, clock: SetClock) -> set[bytes]:
    """Those let in by the statement; each row must say the same of itself."""
    asked = [FIRST, SECOND, UNKNOWN]
    async with database.read() as connection:
        found = await living_access(connection, [*asked, SESSION], now=clock())
        for one in asked:
            token = await find_token(connection, one)
            assert (one in found) == (token is not None and token.admits(one, clock()))
    return set(found)


async def test_what_is_let_in_while_time_goes_by(database: Database, clock: SetClock) -> None:
    token_id = await insert(database, clock)
    assert token_id is not None
    assert await living(database, clock) == {FIRST}
    await rotate(database, clock, token_id)
    await database.transact(
        lambda connection: add_session(
            connection, SESSION, now=clock(), expires_at=clock() + 2 * HOUR
        )
    )
    assert await living(database, clock) == {FIRST, SECOND, SESSION}
    clock.advance(hours=1)
    assert await living(database, clock) == {SECOND, SESSION}
    clock.advance(hours=1)
    assert await living(database, clock) == {SECOND}
    clock.advance(hours=1)
    assert await living(database, clock) == set()


async def test_a_grace_is_no_longer_than_the_token(database: Database, clock: SetClock) -> None:
    token_id = await insert(database, clock)
    assert token_id is not None
    clock.advance(hours=2.5)
    await rotate(database, clock, token_id)
    assert await living(database, clock) == {FIRST, SECOND}
    clock.advance(hours=0.5)
    assert await living(database, clock) == set()


async def test_a_deleted_token_takes_the_sessions_of_both_its_hashes_along(
    database: Database, clock: SetClock
) -> None:
    token_id = await insert(database, clock)
    assert token_id is not None
    await rotate(database, clock, token_id)

    async def begin(connection: Connection) -> None:
        for session, begun_with in ((b"a", FIRST), (b"b", SECOND), (b"c", None)):
            await add_session(
                connection,
                session * 32,
                now=clock(),
                expires_at=clock() + HOUR,
                access_token_hash=begun_with,
            )

    await database.transact(begin)

    async def delete(connection: Connection) -> None:
        token = await lock_token(connection, token_id)
        assert token is not None
        await delete_token(connection, token)

    await database.transact(delete)
    async with database.read() as connection:
        left = [await find_session(connection, one * 32, now=clock()) for one in (b"a", b"b", b"c")]
        assert await load_tokens(connection, [token_id]) == {}
    assert [one is not None for one in left] == [False, False, True]


@pytest.mark.parametrize("name", ["\0", "\udcff", "nobody"])
async def test_a_name_that_no_token_has_is_not_found(database: Database, name: str) -> None:
    async with database.read() as connection:
        assert await find_token_by_name(connection, name) is None


async def test_a_name_or_hash_that_is_taken_is_not_stored(
    database: Database, clock: SetClock
) -> None:
    assert await insert(database, clock, "CI")
    assert await insert(database, clock, "ci", SECOND) is None
    assert await insert(database, clock, "other", FIRST) is None


async def test_pages_come_by_name_and_rows_come_back_as_they_were(
    database: Database, clock: SetClock
) -> None:
    for number, name in enumerate(["b", "A", "c"]):
        await insert(database, clock, name, bytes([number]) * 32)
    async with database.read() as connection:
        first = await page_tokens(connection, PageRequest(2, with_total=True))
        rest = await page_tokens(connection, PageRequest(2, first.end_cursor))
    assert [one.name for one in first.nodes] == ["A", "b"]
    assert (first.total_count, first.has_next_page) == (3, True)
    assert [one.name for one in rest.nodes] == ["c"]
    row = rest.nodes[0]
    assert (row.scopes, row.chain_ids, row.agents) == ((AccessScope.READ,), (3, 1), ("ä", "b"))
    assert row.expires_at == clock() + 3 * HOUR


async def test_a_use_is_stored_unless_one_was_lately(database: Database, clock: SetClock) -> None:
    token_id = await insert(database, clock)
    assert token_id is not None
    stored = []
    for seconds in (0, 59, 1):
        clock.advance(seconds=seconds)
        await database.transact(
            partial(note_use, token_id=token_id, now=clock(), every=timedelta(minutes=1))
        )
        async with database.read() as connection:
            stored.append((await load_tokens(connection, [token_id]))[token_id].last_used_at)
    began = clock() - timedelta(minutes=1)
    assert stored == [began, began, clock()]
