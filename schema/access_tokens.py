"""Access tokens: create, list, rotate, revoke."""

from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from db.access_tokens import AccessTokenRow
from db.paging import Slice
from db.vocabulary import AccessScope
from resolvers import access_tokens
from resolvers.access_tokens import TokenOutcome
from resolvers.outcome import Outcome
from schema.access_token_types import (
    AccessToken,
    CreateAccessTokenInput,
    CreateAccessTokenPayload,
    RevokeAccessTokenInput,
    RevokeAccessTokenPayload,
    RotateAccessTokenInput,
    RotateAccessTokenPayload,
)
from schema.connections import Connection, page_request
from schema.fields import After, First, Info, changing, described, or_none, resolved
from schema.node import decode_id
from trunkline.access.inputs import NewAccessToken


async def _tokens(info: Info, first: First = 100, after: After = UNSET) -> Slice[AccessTokenRow]:
    page = page_request(info, first, after, default=100)
    return await access_tokens.list_tokens(info.context, page)


async def _create(
    info: Info, input: Annotated[CreateAccessTokenInput, described("The token.")]
) -> TokenOutcome:
    chains = or_none(input.failover_chain_ids)
    new = NewAccessToken(
        name=input.name,
        scopes=input.scopes,
        expires_at=or_none(input.expires_at),
        chain_ids=None if chains is None else [decode_id(one, "FailoverChain") for one in chains],
        agents=or_none(input.agents),
    )
    return await access_tokens.create_token(info.context, new)


async def _rotate(
    info: Info, input: Annotated[RotateAccessTokenInput, described("Which.")]
) -> TokenOutcome:
    return await access_tokens.rotate_token(
        info.context, decode_id(input.id, "AccessToken"), input.grace_seconds
    )


async def _revoke(
    info: Info, input: Annotated[RevokeAccessTokenInput, described("Which.")]
) -> Outcome[AccessTokenRow]:
    return await access_tokens.revoke_token(info.context, decode_id(input.id, "AccessToken"))


@strawberry.type
class AccessTokenQuery:
    """Fields of Query."""

    access_tokens: Any = resolved(
        _tokens,
        "Every access token that was not revoked, by name, also those that have expired.",
        graphql_type=Connection[AccessToken],
        scope=AccessScope.ADMIN,
    )


@strawberry.type
class AccessTokenMutation:
    """Fields of Mutation."""

    create_access_token: Any = changing(
        _create,
        "Creates an access token.",
        graphql_type=CreateAccessTokenPayload | None,
        scope=AccessScope.ADMIN,
    )
    rotate_access_token: Any = changing(
        _rotate,
        "Replaces a token by a new one of the same name and rights; for a while both are let in.",
        graphql_type=RotateAccessTokenPayload | None,
        scope=AccessScope.ADMIN,
    )
    revoke_access_token: Any = changing(
        _revoke,
        "Ends a token at once, with the sockets, event streams and sessions that it began.",
        graphql_type=RevokeAccessTokenPayload | None,
        scope=AccessScope.ADMIN,
    )
