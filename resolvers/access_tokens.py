"""Fields about access tokens. Whoever reads one, by whatever way, has the scope ADMIN, or came with
that token: browser sessions name the one that they were begun with.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from db import access_tokens as store
from db.access_tokens import AccessTokenRow
from db.chains import ChainRow
from db.paging import PageRequest, Slice
from db.vocabulary import AccessScope
from resolvers.chains import load_chains_by_id
from resolvers.context import OperationContext
from resolvers.outcome import Outcome, deletion_of, refused
from trunkline.access import changes
from trunkline.access.changes import TokenMade
from trunkline.access.inputs import NewAccessToken
from trunkline.errors import Problem, Refused
from trunkline.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenOutcome:
    """What a change of a token answers; its text only where this change made one."""

    subject: AccessTokenRow | None = None
    text: str | None = field(default=None, repr=False)
    user_errors: Sequence[Problem] = ()


async def list_tokens(context: OperationContext, page: PageRequest) -> Slice[AccessTokenRow]:
    """A page of tokens by name."""
    async with context.services.database.read() as connection:
        return await store.page_tokens(connection, page)


async def token_by_id(context: OperationContext, token_id: int) -> AccessTokenRow | None:
    """The token with this id. Raises `Forbidden`."""
    context.require(AccessScope.ADMIN)
    return await context.load(_load_tokens, token_id)


async def chains_of(context: OperationContext, token: AccessTokenRow) -> list[ChainRow] | None:
    """The living chains that a token is limited to; None where it isn't."""
    if token.chain_ids is None:
        return None
    loads = (context.load(load_chains_by_id, chain_id) for chain_id in token.chain_ids)
    return [chain for chain in await asyncio.gather(*loads) if chain is not None]


async def create_token(context: OperationContext, new: NewAccessToken) -> TokenOutcome:
    """`createAccessToken`."""
    try:
        return _made(await changes.create_token(context.services, new))
    except Refused as refusal:
        return _refused(refusal)


async def rotate_token(
    context: OperationContext, token_id: int, grace_seconds: int
) -> TokenOutcome:
    """`rotateAccessToken`."""
    try:
        return _made(await changes.rotate_token(context.services, token_id, grace_seconds))
    except Refused as refusal:
        return _refused(refusal)


async def revoke_token(context: OperationContext, token_id: int) -> Outcome[AccessTokenRow]:
    """`revokeAccessToken`."""
    return await deletion_of(changes.revoke_token(context.services, token_id), token_id)


async def _load_tokens(services: Services, ids: Sequence[int]) -> Mapping[int, AccessTokenRow]:
    async with services.database.read() as connection:
        return await store.load_tokens(connection, ids)


def _made(made: TokenMade) -> TokenOutcome:
    return TokenOutcome(subject=made.token, text=made.text)


def _refused(refusal: Refused) -> TokenOutcome:
    outcome: Outcome[AccessTokenRow] = refused(refusal)
    return TokenOutcome(subject=outcome.subject, user_errors=outcome.user_errors)
