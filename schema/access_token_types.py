"""Access tokens as the API shows them, what their mutations take, and what these answer."""

from datetime import datetime
from typing import Any

import strawberry
from strawberry import UNSET

from db.access_tokens import AccessTokenRow
from db.chains import ChainRow
from db.vocabulary import AccessScope
from resolvers import access_tokens
from schema.chains import FailoverChain
from schema.fields import Info, plain, resolved
from schema.node import Node, node_type, reference
from schema.payloads import USER_ERRORS, UserError
from trunkline.access.inputs import DEFAULT_GRACE

_SHOWN_ONCE = (
    "The token: keep it, it is shown this once. Null where nothing changed. Send it as "
    "`Authorization: Bearer <token>`."
)


async def _chains(info: Info, root: strawberry.Parent[AccessTokenRow]) -> list[ChainRow] | None:
    return await access_tokens.chains_of(info.context, root)


@node_type(
    AccessTokenRow,
    description="Lets a program in, for what its scopes say. What it may do never changes.",
)
class AccessToken(Node):
    """Read from `AccessTokenRow`."""

    name: str = plain(
        "For people, and the agent of its requests through the gateway, unless these name another."
    )
    masked: str = plain("What tells it from others, such as `tl_…4f2A`.")
    scopes: list[AccessScope] = plain("What it may be used for.")
    failover_chains: Any = resolved(
        _chains,
        "The only chains that it may ask the gateway for; deleted ones are left out. Null where it "
        "may ask for any chain or model.",
        graphql_type=list[FailoverChain] | None,
    )
    agents: list[str] | None = plain(
        "The only agents whose requests and usage it may send; null where any."
    )
    expires_at: datetime | None = plain("It is let in before then; null where it never expires.")
    created_at: datetime = plain("When it was created.")
    rotated_at: datetime | None = plain("When it was last rotated; null where never.")
    previous_until: datetime | None = plain(
        "Until when the token before the last rotation is let in too; null where there is none."
    )
    last_used_at: datetime | None = plain("To the minute; null where never.")


@strawberry.input(description="A name and what the token may do.")
class CreateAccessTokenInput:
    """Becomes a `NewAccessToken`."""

    name: str = strawberry.field(
        description="1 to 200 characters, of no other token. Without another word it is the agent "
        "of the token's requests through the gateway."
    )
    scopes: list[AccessScope] = strawberry.field(description="At least one.")
    expires_at: datetime | None = strawberry.field(
        default=UNSET, description="Left out, it never expires."
    )
    failover_chain_ids: list[strawberry.ID] | None = strawberry.field(
        default=UNSET,
        description="The only chains that it may ask the gateway for, at most 100, and no single "
        "models then. Left out, any chain or model.",
    )
    agents: list[str] | None = strawberry.field(
        default=UNSET,
        description="The only agents whose requests and usage it may send, at most 100. Left out, "
        "any.",
    )


@strawberry.input(description="Which token to replace by a new one of the same rights.")
class RotateAccessTokenInput:
    """Id and grace."""

    id: strawberry.ID = strawberry.field(description="Which token.")
    grace_seconds: int = strawberry.field(
        default=int(DEFAULT_GRACE.total_seconds()),
        description="How long the present token is let in beside the new one, 0 to 2592000 (30 "
        "days). One that an earlier rotation left is no longer, at once.",
    )


@strawberry.input(description="Which token to revoke.")
class RevokeAccessTokenInput:
    """Its id."""

    id: strawberry.ID = strawberry.field(description="Which token.")


@strawberry.type(description="What `createAccessToken` did.")
class CreateAccessTokenPayload:
    """Read from a `TokenOutcome`."""

    subject: AccessToken | None = plain("The new token.", name="accessToken")
    text: str | None = plain(_SHOWN_ONCE, name="token")
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type(description="What `rotateAccessToken` did.")
class RotateAccessTokenPayload:
    """Read from a `TokenOutcome`."""

    subject: AccessToken | None = plain("The token as it stands now.", name="accessToken")
    text: str | None = plain(_SHOWN_ONCE, name="token")
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type(description="What `revokeAccessToken` did.")
class RevokeAccessTokenPayload:
    """Read from an `Outcome`."""

    deleted_id: strawberry.ID | None = reference(
        "AccessToken", "deleted_id", "The id that is gone."
    )
    user_errors: list[UserError] = plain(USER_ERRORS)
