"""The use cases that change an access token: create, rotate, revoke.

A token is shown once, by the change that made it. What it may do never changes: make another.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from db import access_tokens as store
from db import chains as stored_chains
from db.access_tokens import AccessTokenRow
from db.engine import Connection
from db.vocabulary import ChangeKind
from trunkline.access.inputs import (
    MOST_TOKENS,
    NewAccessToken,
    check_chain_ids,
    check_expiry,
    checked_agents,
    checked_grace,
    checked_name,
    checked_scopes,
)
from trunkline.audit.changes import Change, created, deleted, updated
from trunkline.audit.showing import shown_token
from trunkline.changes import Problems, not_found
from trunkline.errors import Problem, ProblemCode, Refused
from trunkline.events import AccessTokenChanged
from trunkline.secrets import fingerprint
from trunkline.services import Services

PREFIX = "tl_"
RANDOM_BYTES = 32


@dataclass(frozen=True, slots=True)
class TokenMade:
    """The token as it stands, and its text, which nobody can read again."""

    token: AccessTokenRow
    text: str = field(repr=False)


def generate_token() -> str:
    """`tl_` and 256 random bits in URL-safe base64."""
    return PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def mask_of(token: str) -> str:
    """What tells a token from others: its last four characters of 43."""
    return f"{PREFIX}…{token[-4:]}"


async def create_token(services: Services, new: NewAccessToken) -> TokenMade:
    """Create a token. Raises `Refused` with every problem: INVALID, DUPLICATE, NOT_FOUND, TAKEN,
    TOO_FEW, TOO_MANY.
    """
    now = services.clock()
    problems = Problems()
    name = checked_name(problems, new.name)
    scopes = checked_scopes(problems, new.scopes)
    check_expiry(problems, new.expires_at, now)
    check_chain_ids(problems, new.chain_ids)
    agents = checked_agents(problems, new.agents)
    noted = problems.found
    text = generate_token()

    async def create(connection: Connection) -> Change[TokenMade]:
        found = Problems()
        name_fits = not any(one.field == ("name",) for one in noted)
        taken = await store.find_token_by_name(connection, name) if name_fits else None
        if not any(one.field == ("failoverChainIds",) for one in noted):
            await _check_chains(connection, found, new.chain_ids or ())
        if await store.hold_tokens(connection) >= MOST_TOKENS:
            found.add(
                ProblemCode.TOO_MANY, None, f"there are {MOST_TOKENS} tokens already: revoke some"
            )
        problems_now = [*noted, *([_taken(taken.name)] if taken else ()), *found.found]
        if problems_now:
            raise Refused(problems_now)
        token_id = await store.insert_token(
            connection,
            name=name,
            token_hash=fingerprint(text),
            masked=mask_of(text),
            scopes=scopes,
            chain_ids=new.chain_ids,
            agents=agents,
            expires_at=new.expires_at,
            now=now,
        )
        if token_id is None:  # Another call took the name in this moment.
            raise Refused([_taken(name)])
        token = await _present(connection, token_id)
        events = [AccessTokenChanged(ChangeKind.CREATED, token_id)]
        return Change(TokenMade(token, text), events, created(shown_token(token)))

    return await services.change("createAccessToken", create)


async def rotate_token(services: Services, token_id: int, grace_seconds: int) -> TokenMade:
    """Give a token a new text; the present one is let in beside it for so long, and one that a
    rotation before left in its grace no longer. Raises `Refused`: NOT_FOUND, INVALID.
    """
    problems = Problems()
    grace = checked_grace(problems, grace_seconds)
    problems.refuse_if_any()
    text = generate_token()

    async def rotate(connection: Connection) -> Change[TokenMade]:
        current = await store.lock_token(connection, token_id)
        if current is None:
            raise not_found(("id",), "access token")
        now = services.clock()
        if current.expires_at is not None and current.expires_at <= now:
            message = "this token has expired: revoke it and create another"
            raise Refused([Problem(ProblemCode.INVALID, ("id",), message)], current=current)
        await store.replace_token(
            connection,
            current,
            fingerprint(text),
            mask_of(text),
            previous_until=now + grace,
            now=now,
        )
        token = await _present(connection, token_id)
        changes = updated(shown_token(current), shown_token(token), replaced=["masked"])
        events = [AccessTokenChanged(ChangeKind.UPDATED, token_id)]
        return Change(TokenMade(token, text), events, changes)

    return await services.change("rotateAccessToken", rotate)


async def revoke_token(services: Services, token_id: int) -> None:
    """End a token, the one before it, and the browser sessions begun with either, at once.

    Raises `Refused`: NOT_FOUND.
    """

    async def revoke(connection: Connection) -> Change[None]:
        current = await store.lock_token(connection, token_id)
        if current is None:
            raise not_found(("id",), "access token")
        await store.delete_token(connection, current)
        events = [AccessTokenChanged(ChangeKind.DELETED, token_id)]
        return Change(None, events, deleted(shown_token(current)))

    await services.change("revokeAccessToken", revoke)


async def _present(connection: Connection, token_id: int) -> AccessTokenRow:
    return (await store.load_tokens(connection, [token_id]))[token_id]


def _taken(name: str) -> Problem:
    return Problem(
        ProblemCode.TAKEN,
        ("name",),
        f"there is a token called {name!r} already: revoke it, or choose another name",
    )


async def _check_chains(
    connection: Connection, problems: Problems, chain_ids: Sequence[int]
) -> None:
    known = await stored_chains.load_chains(connection, chain_ids)
    for place, chain_id in enumerate(chain_ids):
        if chain_id not in known:
            problems.add(
                ProblemCode.NOT_FOUND,
                ("failoverChainIds", str(place)),
                "there is no such failover chain",
            )
