"""Access tokens under change: every problem at once, shown once, both work while one rotates."""

import asyncio
from datetime import timedelta

import pytest

from db.access_tokens import page_tokens
from db.engine import Database
from db.paging import PageRequest
from db.vocabulary import AccessScope
from tests.conftest import SetClock
from trunkline.access.changes import TokenMade, create_token, revoke_token, rotate_token
from trunkline.access.inputs import LONGEST_GRACE, NewAccessToken
from trunkline.access.known import KnownTokens
from trunkline.errors import Refused
from trunkline.secrets import fingerprint
from trunkline.services import Services

READ = (AccessScope.READ,)
HOUR = 3_600


def problems(refusal: Refused) -> set[tuple[str, ...]]:
    return {(problem.code, *(problem.field or ())) for problem in refusal.problems}


async def make(services: Services, name: str = "ci", **fields: object) -> TokenMade:
    given: dict[str, object] = {"name": name, "scopes": READ, **fields}
    return await create_token(services, NewAccessToken(**given))  # type: ignore[arg-type]  # of a test


async def lets_in(services: Services, text: str) -> bool:
    known = KnownTokens(services.database, services.clock, services.events)
    found = await known.admit(text)
    await known.drain()
    return found is not None


async def test_tokens_made_at_once_do_not_pass_the_bound(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.access.changes.MOST_TOKENS", 3)
    made = await asyncio.gather(
        *(make(services, f"token-{number}") for number in range(8)), return_exceptions=True
    )
    refused = [one for one in made if isinstance(one, Refused)]
    assert [problems(one) for one in refused] == [{("TOO_MANY",)}] * 5
    async with services.database.read() as connection:
        assert len((await page_tokens(connection, PageRequest(first=100))).nodes) == 3


async def test_every_problem_of_a_new_token_at_once(services: Services) -> None:
    new = NewAccessToken(
        name="Admin",
        scopes=(),
        expires_at=services.clock(),
        chain_ids=[99],
        agents=["a", "a", " "],
    )
    with pytest.raises(Refused) as refusal:
        await create_token(services, new)
    assert problems(refusal.value) == {
        ("INVALID", "name"),
        ("TOO_FEW", "scopes"),
        ("INVALID", "expiresAt"),
        ("NOT_FOUND", "failoverChainIds", "0"),
        ("DUPLICATE", "agents", "1"),
        ("INVALID", "agents", "2"),
    }


@pytest.mark.parametrize("name", [" ", "a\nb", "x" * 201, "a\0b"])
async def test_a_name_that_is_none_is_refused(services: Services, name: str) -> None:
    with pytest.raises(Refused) as refusal:
        await make(services, name)
    assert problems(refusal.value) == {("INVALID", "name")}


async def test_limits_to_nothing_are_refused(services: Services) -> None:
    # An empty list is a mistake: left out it would limit to nothing in particular.
    with pytest.raises(Refused) as refusal:
        await make(services, chain_ids=[], agents=[])
    assert problems(refusal.value) == {("TOO_FEW", "failoverChainIds"), ("TOO_FEW", "agents")}


async def test_a_name_is_one_tokens(services: Services) -> None:
    await make(services, "Build")
    with pytest.raises(Refused) as refusal:
        await make(services, "build")
    assert problems(refusal.value) == {("TAKEN", "name")}
    done = await asyncio.gather(*(make(services, "race") for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(one, TokenMade) for one in done) == 1
    for one in done:
        if isinstance(one, Refused):
            assert problems(one) == {("TAKEN", "name")}
        else:
            assert isinstance(one, TokenMade)


async def test_a_token_has_256_bits_and_only_its_hash_is_stored(
    services: Services, database: Database
) -> None:
    made = await make(services)
    assert made.text.startswith("tl_")
    assert len(made.text) == len("tl_") + 43
    assert made.text not in repr(made)
    async with database.read() as connection:
        (row,) = (await page_tokens(connection, PageRequest(10))).nodes
    assert row == made.token
    assert row.token_hash == fingerprint(made.text)
    assert row.masked == f"tl_…{made.text[-4:]}"
    assert row.token_hash.hex() not in repr(row)
    assert (await make(services, "another")).text != made.text


async def test_both_tokens_work_until_the_grace_is_over(
    services: Services, clock: SetClock
) -> None:
    first = await make(services)
    second = await rotate_token(services, first.token.id, HOUR)
    assert second.token.rotated_at == clock()
    assert second.token.previous_until == clock() + timedelta(hours=1)
    assert await lets_in(services, first.text)
    assert await lets_in(services, second.text)
    clock.advance(seconds=HOUR - 1)
    assert await lets_in(services, first.text)
    clock.advance(seconds=1)
    assert not await lets_in(services, first.text)
    assert await lets_in(services, second.text)


async def test_a_second_rotation_ends_the_first_token_at_once(services: Services) -> None:
    first = await make(services)
    second = await rotate_token(services, first.token.id, HOUR)
    third = await rotate_token(services, first.token.id, HOUR)
    assert [await lets_in(services, one.text) for one in (first, second, third)] == [
        False, True, True
    ]  # fmt: skip
    fourth = await rotate_token(services, first.token.id, 0)
    assert not await lets_in(services, third.text)
    assert await lets_in(services, fourth.text)


@pytest.mark.parametrize("seconds", [-1, int(LONGEST_GRACE.total_seconds()) + 1])
async def test_a_grace_has_bounds(services: Services, seconds: int) -> None:
    made = await make(services)
    with pytest.raises(Refused) as refusal:
        await rotate_token(services, made.token.id, seconds)
    assert problems(refusal.value) == {("INVALID", "graceSeconds")}


async def test_an_expired_token_lets_nobody_in_and_is_not_rotated(
    services: Services, clock: SetClock
) -> None:
    made = await make(services, expires_at=clock() + timedelta(hours=2))
    rotated = await rotate_token(services, made.token.id, 24 * HOUR)
    clock.advance(seconds=2 * HOUR)
    assert not await lets_in(services, made.text)
    assert not await lets_in(services, rotated.text)
    with pytest.raises(Refused) as refusal:
        await rotate_token(services, made.token.id, HOUR)
    assert problems(refusal.value) == {("INVALID", "id")}


async def test_a_revoked_token_is_gone_with_the_one_before_it(services: Services) -> None:
    first = await make(services)
    second = await rotate_token(services, first.token.id, HOUR)
    await revoke_token(services, first.token.id)
    assert not await lets_in(services, first.text)
    assert not await lets_in(services, second.text)
    for change in (revoke_token(services, 1), rotate_token(services, 1, HOUR)):
        with pytest.raises(Refused) as refusal:
            await change
        assert problems(refusal.value) == {("NOT_FOUND", "id")}
    assert await lets_in(services, (await make(services)).text), "its name is free again"
