"""Browser sessions and the one-use codes that begin them. Only hashes are stored.

Whatever has expired is swept away by the next write, and a holder has so many sessions at most, so
neither table grows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.paging import PageRequest, Slice, decode_cursor, slice_of
from db.tables import access_tokens, browser_sessions, sign_in_codes
from db.vocabulary import SignInMethod

MOST_SESSIONS = 100
"""Of one holder: an access token as it is now, or whoever may do everything. One more ends the
oldest, so nobody can sign others out by signing in.
"""
_ORDER = "browser_sessions"


@dataclass(frozen=True, slots=True)
class BrowserSessionRow:
    """A browser that is signed in until `expires_at`, or until the access token of the given hash
    is no longer let in, where it was begun with one.
    """

    id: int
    created_at: datetime
    expires_at: datetime
    signed_in_with: SignInMethod
    browser: str | None
    address: str | None
    last_used_at: datetime | None
    token_hash: bytes = field(repr=False)
    access_token_hash: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose sessions: those begun with the access token of this id, or with its former text; those
    begun by a link or with the admin token where it is None.
    """

    token_id: int | None


async def add_code(
    connection: AsyncConnection, code_hash: bytes, *, now: datetime, expires_at: datetime
) -> None:
    """Store a code that may be taken once, until it expires."""
    await connection.execute(delete(sign_in_codes).where(sign_in_codes.c.expires_at <= now))
    await connection.execute(
        insert(sign_in_codes).values(code_hash=code_hash, expires_at=expires_at)
    )


async def has_code(connection: AsyncConnection, code_hash: bytes, *, now: datetime) -> bool:
    """Whether this code could be taken."""
    table = sign_in_codes
    statement = select(table).where(table.c.code_hash == code_hash, table.c.expires_at > now)
    return (await connection.execute(statement)).one_or_none() is not None


async def take_code(connection: AsyncConnection, code_hash: bytes, *, now: datetime) -> bool:
    """Use a code up. False where it was never given out, was used, or has expired."""
    taken = await connection.scalar(
        delete(sign_in_codes)
        .where(sign_in_codes.c.code_hash == code_hash, sign_in_codes.c.expires_at > now)
        .returning(sign_in_codes.c.code_hash)
    )
    return taken is not None


async def add_session(
    connection: AsyncConnection,
    token_hash: bytes,
    *,
    now: datetime,
    expires_at: datetime,
    signed_in_with: SignInMethod = SignInMethod.SIGN_IN_LINK,
    access_token_hash: bytes | None = None,
    browser: str | None = None,
    address: str | None = None,
) -> None:
    """Begin a browser session, perhaps with the access token of this hash."""
    table = browser_sessions
    await connection.execute(delete(table).where(table.c.expires_at <= now))
    await connection.execute(
        insert(table).values(
            token_hash=token_hash,
            created_at=now,
            expires_at=expires_at,
            access_token_hash=access_token_hash,
            signed_in_with=signed_in_with.value,
            browser=browser,
            address=address,
            last_used_at=now,
        )
    )
    same = table.c.access_token_hash == access_token_hash  # "IS NULL" for None.
    kept = select(table.c.id).where(same).order_by(table.c.id.desc()).limit(MOST_SESSIONS)
    await connection.execute(delete(table).where(same, table.c.id.not_in(kept)))


async def find_session(
    connection: AsyncConnection, token_hash: bytes, *, now: datetime
) -> BrowserSessionRow | None:
    """The session of this token, unless it has expired or was ended."""
    table = browser_sessions
    statement = select(table).where(table.c.token_hash == token_hash, table.c.expires_at > now)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _session(row)


async def page_sessions(
    connection: AsyncConnection, page: PageRequest, *, of: Holder | None, now: datetime
) -> Slice[BrowserSessionRow]:
    """Living sessions of a holder, or of everybody, the newest first."""
    table = browser_sessions
    living = _living(of, now)
    statement = select(table).where(living).order_by(table.c.id.desc()).limit(page.first + 1)
    if page.after is not None:
        (last,) = decode_cursor(_ORDER, page.after, (int,))
        statement = statement.where(table.c.id < last)
    found = [_session(row) for row in await connection.execute(statement)]
    total = None
    if page.with_total:
        counted = select(func.count()).select_from(table).where(living)
        total = int(await connection.scalar(counted) or 0)
    return slice_of(page, found, lambda row: (row.id,), _ORDER, total)


async def load_sessions(
    connection: AsyncConnection, ids: Sequence[int], *, of: Holder | None, now: datetime
) -> Mapping[int, BrowserSessionRow]:
    """Those of these that a holder, or anybody, has and that live, by id."""
    statement = select(browser_sessions).where(browser_sessions.c.id.in_(ids), _living(of, now))
    return {row.id: _session(row) for row in await connection.execute(statement)}


async def end_session(connection: AsyncConnection, token_hash: bytes) -> None:
    """End the session of this token; nothing happens where there is none."""
    await connection.execute(
        delete(browser_sessions).where(browser_sessions.c.token_hash == token_hash)
    )


async def end_sessions(
    connection: AsyncConnection,
    *,
    of: Holder | None,
    now: datetime,
    only: int | None = None,
    but: bytes | None = None,
) -> Sequence[BrowserSessionRow]:
    """End the living sessions of a holder, or of everybody: `only` the one of this id, all `but`
    the one of this token. Returns those that were ended.
    """
    table = browser_sessions
    statement = delete(table).where(_living(of, now)).returning(table)
    if only is not None:
        statement = statement.where(table.c.id == only)
    if but is not None:
        statement = statement.where(table.c.token_hash != but)
    return [_session(row) for row in await connection.execute(statement)]


async def note_session_use(
    connection: AsyncConnection, session_id: int, *, now: datetime, every: timedelta
) -> None:
    """Store when a session was last used, unless that was stored within `every`."""
    table = browser_sessions
    await connection.execute(
        update(table)
        .where(
            table.c.id == session_id,
            or_(table.c.last_used_at.is_(None), table.c.last_used_at <= now - every),
        )
        .values(last_used_at=now)
    )


def _living(of: Holder | None, now: datetime) -> ColumnElement[bool]:
    """Not expired, and begun with nothing that is no longer let in."""
    table, tokens = browser_sessions, access_tokens
    unexpired = or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now)
    mine = [] if of is None or of.token_id is None else [tokens.c.id == of.token_id]
    present = select(tokens.c.token_hash).where(unexpired, *mine)
    previous = select(tokens.c.previous_hash).where(unexpired, tokens.c.previous_until > now, *mine)
    begun_with = table.c.access_token_hash
    of_token = or_(begun_with.in_(present), begun_with.in_(previous))
    if of is None:
        let_in = or_(begun_with.is_(None), of_token)
    else:
        let_in = begun_with.is_(None) if of.token_id is None else of_token
    return and_(table.c.expires_at > now, let_in)


def _session(row: Row[Any]) -> BrowserSessionRow:
    return BrowserSessionRow(
        id=row.id,
        created_at=row.created_at,
        expires_at=row.expires_at,
        signed_in_with=SignInMethod(row.signed_in_with),
        browser=row.browser,
        address=row.address,
        last_used_at=row.last_used_at,
        token_hash=row.token_hash,
        access_token_hash=row.access_token_hash,
    )
