"""Browser sessions: listed and revoked."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from db.access_tokens import AccessTokenRow
from db.paging import Slice
from db.sessions import BrowserSessionRow
from db.vocabulary import AccessScope, SignInMethod
from resolvers import sessions
from resolvers.outcome import Outcome
from schema.access_token_types import AccessToken
from schema.connections import Connection, page_request
from schema.fields import After, First, Info, changing, described, plain, resolved
from schema.node import Node, decode_id, node_type, reference
from schema.payloads import USER_ERRORS, UserError


async def _token(info: Info, root: strawberry.Parent[BrowserSessionRow]) -> AccessTokenRow | None:
    return await sessions.token_of(info.context, root)


def _current(info: Info, root: strawberry.Parent[BrowserSessionRow]) -> bool:
    return sessions.is_current(info.context, root)


@node_type(
    BrowserSessionRow,
    description="A browser that is signed in: for twelve hours, and no longer than the access "
    "token that it was begun with.",
)
class BrowserSession(Node):
    """Read from `BrowserSessionRow`."""

    signed_in_with: SignInMethod = plain("What the browser showed to be let in.")
    access_token: Any = resolved(
        _token,
        "The token that it was begun with, whose scopes and limits it has; null where it may do "
        "everything.",
        graphql_type=AccessToken | None,
    )
    browser: str | None = plain(
        "What the browser called itself, such as `Firefox 132 on Linux`: its own word. Null where "
        "it said nothing."
    )
    address: str | None = plain("The address that it signed in from, as this server saw it.")
    current: bool = resolved(_current, "Whether this request came with it.", graphql_type=bool)
    created_at: datetime = plain("When the browser signed in.")
    last_used_at: datetime | None = plain("To the minute; null where that isn't known.")
    expires_at: datetime = plain("It is let in before then.")


@strawberry.input(description="Which session to end.")
class RevokeBrowserSessionInput:
    """Its id."""

    id: strawberry.ID = strawberry.field(description="Which session.")


@strawberry.input(description="Whose sessions to end.")
class RevokeOtherBrowserSessionsInput:
    """Whose."""

    of_everybody: bool = strawberry.field(
        default=False,
        description="Every session there is, which takes the scope ADMIN. Otherwise those begun "
        "with the caller's access token; or, where the caller has none, by a sign-in link or with "
        "the admin token.",
    )


@strawberry.type(description="What `revokeBrowserSession` did.")
class RevokeBrowserSessionPayload:
    """Read from an `Outcome`."""

    deleted_id: strawberry.ID | None = reference(
        "BrowserSession", "deleted_id", "The id that is gone."
    )
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type(description="What `revokeOtherBrowserSessions` did.")
class RevokeOtherBrowserSessionsPayload:
    """Read from an `Outcome`."""

    subject: int | None = plain("How many were ended.", name="revoked")
    user_errors: list[UserError] = plain(USER_ERRORS)


async def _sessions(
    info: Info, first: First = 50, after: After = UNSET
) -> Slice[BrowserSessionRow]:
    page = page_request(info, first, after, default=50)
    return await sessions.list_sessions(info.context, page)


async def _revoke(
    info: Info, input: Annotated[RevokeBrowserSessionInput, described("Which.")]
) -> Outcome[BrowserSessionRow]:
    return await sessions.revoke_session(info.context, decode_id(input.id, "BrowserSession"))


async def _revoke_others(
    info: Info, input: Annotated[RevokeOtherBrowserSessionsInput, described("Whose.")]
) -> Outcome[int]:
    return await sessions.revoke_others(info.context, of_everybody=input.of_everybody)


@strawberry.type
class BrowserSessionQuery:
    """Fields of Query."""

    browser_sessions: Any = resolved(
        _sessions,
        "Browsers that are signed in, the newest first: everybody's with the scope ADMIN, and "
        "otherwise those that signed in with the same access token.",
        graphql_type=Connection[BrowserSession],
        scope=AccessScope.READ,
    )


@strawberry.type
class BrowserSessionMutation:
    """Fields of Mutation. What one may see one may end, so none takes more than READ."""

    revoke_browser_session: Any = changing(
        _revoke,
        "Ends a session at once, with its sockets and event streams. It may be the caller's own.",
        graphql_type=RevokeBrowserSessionPayload | None,
        scope=AccessScope.READ,
    )
    revoke_other_browser_sessions: Any = changing(
        _revoke_others,
        "Ends every session but the one that this request came with.",
        graphql_type=RevokeOtherBrowserSessionsPayload | None,
        scope=AccessScope.READ,
    )
