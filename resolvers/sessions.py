"""Fields about browser sessions. Each caller knows of their own; who may do everything, of all."""

from collections.abc import Mapping, Sequence

from db import access_tokens as stored_tokens
from db import sessions as store
from db.access_tokens import AccessTokenRow
from db.paging import PageRequest, Slice
from db.sessions import BrowserSessionRow, Holder
from db.vocabulary import AccessScope
from resolvers.context import OperationContext, Unauthenticated, Viewer
from resolvers.outcome import Outcome, deletion_of
from trunkline.access import sessions
from trunkline.services import Services


async def list_sessions(context: OperationContext, page: PageRequest) -> Slice[BrowserSessionRow]:
    """A page of sessions, the newest first."""
    services = context.services
    async with services.database.read() as connection:
        return await store.page_sessions(
            connection, page, of=_seen_by(_viewer(context)), now=services.clock()
        )


async def session_by_id(context: OperationContext, session_id: int) -> BrowserSessionRow | None:
    """The session with this id, of those that the caller may see."""
    return await context.load_with(_load_sessions, _seen_by(_viewer(context)), session_id)


def is_current(context: OperationContext, session: BrowserSessionRow) -> bool:
    """Whether the caller was let in by it."""
    return context.viewer is not None and context.viewer.session == session.token_hash


async def token_of(context: OperationContext, session: BrowserSessionRow) -> AccessTokenRow | None:
    """The access token that it was begun with."""
    if session.access_token_hash is None:
        return None
    return await context.load(_load_tokens, session.access_token_hash)


async def revoke_session(context: OperationContext, session_id: int) -> Outcome[BrowserSessionRow]:
    """`revokeBrowserSession`."""
    of = _seen_by(_viewer(context))
    return await deletion_of(
        sessions.revoke_session(context.services, session_id, of=of), session_id
    )


async def revoke_others(context: OperationContext, *, of_everybody: bool) -> Outcome[int]:
    """`revokeOtherBrowserSessions`. Raises `Forbidden` for everybody's without the scope ADMIN."""
    viewer = _viewer(context)
    if of_everybody:
        context.require(AccessScope.ADMIN)
    of = None if of_everybody else Holder(viewer.token_id)
    ended = await sessions.revoke_sessions(context.services, of=of, but=viewer.session)
    return Outcome(subject=ended)


def _viewer(context: OperationContext) -> Viewer:
    if context.viewer is None:
        raise Unauthenticated
    return context.viewer


def _seen_by(viewer: Viewer) -> Holder | None:
    return sessions.seen_by(viewer.access, viewer.token_id)


async def _load_sessions(
    services: Services, ids: Sequence[int], of: Holder | None
) -> Mapping[int, BrowserSessionRow]:
    async with services.database.read() as connection:
        return await store.load_sessions(connection, ids, of=of, now=services.clock())


async def _load_tokens(
    services: Services, hashes: Sequence[bytes]
) -> Mapping[bytes, AccessTokenRow]:
    async with services.database.read() as connection:
        return await stored_tokens.load_tokens_by_hash(connection, hashes)
