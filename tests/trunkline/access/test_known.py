"""Tokens in memory: no read for each request, and none that has ended is let in."""

from typing import Any

import pytest

from db.access_tokens import load_tokens
from db.engine import Database
from db.vocabulary import AccessScope
from tests.conftest import SetClock
from trunkline.access.changes import create_token, revoke_token
from trunkline.access.inputs import NewAccessToken
from trunkline.access.known import KEPT, KnownTokens
from trunkline.events import AccessTokenChanged
from trunkline.services import Services


@pytest.fixture
async def known(services: Services) -> KnownTokens:
    return KnownTokens(services.database, services.clock, services.events)


async def made(services: Services, name: str = "ci") -> tuple[int, str]:
    token = await create_token(services, NewAccessToken(name=name, scopes=[AccessScope.GATEWAY]))
    return token.token.id, token.text


async def test_many_requests_cost_one_read(
    services: Services, known: KnownTokens, count_statements: Any
) -> None:
    _, text = await made(services)
    assert await known.admit(text)  # The driver asks the database about itself at first.
    await known.drain()
    known._drop()
    with count_statements() as statements:
        for _ in range(100):
            assert await known.admit(text)
        await known.drain()
    assert len(statements) == 1, statements


async def test_a_revoked_token_is_refused_at_once(services: Services, known: KnownTokens) -> None:
    token_id, text = await made(services)
    assert await known.admit(text)
    await revoke_token(services, token_id)
    assert await known.admit(text) is None
    await known.drain()


async def test_what_another_process_revokes_is_refused_when_it_sends_word(
    services: Services, known: KnownTokens, database: Database, clock: SetClock
) -> None:
    token_id, text = await made(services)
    assert await known.admit(text)
    await known.drain()
    before = services.events._listeners
    services.events._listeners = []  # As if it were done elsewhere.
    await revoke_token(services, token_id)
    services.events._listeners = before
    assert await known.admit(text), "nobody has said so yet"
    services.events.missed(AccessTokenChanged)
    assert await known.admit(text) is None


async def test_and_after_a_moment_in_any_case(
    services: Services, clock: SetClock, database: Database
) -> None:
    deaf = KnownTokens(database, clock)
    token_id, text = await made(services)
    assert await deaf.admit(text)
    await deaf.drain()
    await revoke_token(services, token_id)
    clock.advance(seconds=KEPT.total_seconds())
    assert await deaf.admit(text) is None


async def test_a_read_that_a_change_overtook_is_not_kept(
    services: Services, known: KnownTokens, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, text = await made(services)
    await known.admit(text)
    await known.drain()
    known._drop()
    read = database.read

    def overtaken() -> Any:
        known._drop()
        return read()

    monkeypatch.setattr(database, "read", overtaken)
    assert await known.admit(text)
    monkeypatch.setattr(database, "read", read)
    assert not known._kept
    assert await known.admit(text)
    assert known._kept


@pytest.mark.parametrize("text", ["", "tl_", "tl_" + "x" * 43, "sk-x", "tl_\ud800", "tl_" * 9_999])
async def test_what_is_no_token_lets_nobody_in_and_is_not_kept(
    known: KnownTokens, text: str
) -> None:
    assert await known.admit(text) is None
    assert not known._kept


async def test_last_used_is_stored_once_a_minute(
    services: Services, known: KnownTokens, clock: SetClock, count_statements: Any
) -> None:
    token_id, text = await made(services)
    began = clock()
    for seconds in (0, 30, 29):
        clock.advance(seconds=seconds)
        await known.admit(text)
        await known.drain()
    assert await last_used(services, token_id) == began
    clock.advance(seconds=1)
    await known.admit(text)
    await known.drain()
    assert await last_used(services, token_id) == clock()


async def last_used(services: Services, token_id: int) -> object:
    async with services.database.read() as connection:
        return (await load_tokens(connection, [token_id]))[token_id].last_used_at
