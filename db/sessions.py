"""Browser sessions and the one-use codes that begin them. Only hashes are stored.

Whatever has expired is swept away by the next write, so neither table grows.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import browser_sessions, sign_in_codes


@dataclass(frozen=True, slots=True)
class BrowserSessionRow:
    """A browser that is signed in until `expires_at`, or until the access token of the given hash
    is no longer let in, where it was begun with one.
    """

    id: int
    created_at: datetime
    expires_at: datetime
    access_token_hash: bytes | None


async def add_code(
    connection: AsyncConnection, code_hash: bytes, *, now: datetime, expires_at: datetime
) -> None:
    """Store a code that may be taken once, until it expires."""
    await connection.execute(delete(sign_in_codes).where(sign_in_codes.c.expires_at <= now))
    await connection.execute(
        insert(sign_in_codes).values(code_hash=code_hash, expires_at=expires_at)
    )


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
    access_token_hash: bytes | None = None,
) -> None:
    """Begin a browser session, perhaps with the access token of this hash."""
    await connection.execute(delete(browser_sessions).where(browser_sessions.c.expires_at <= now))
    await connection.execute(
        insert(browser_sessions).values(
            token_hash=token_hash,
            created_at=now,
            expires_at=expires_at,
            access_token_hash=access_token_hash,
        )
    )


async def find_session(
    connection: AsyncConnection, token_hash: bytes, *, now: datetime
) -> BrowserSessionRow | None:
    """The session of this token, unless it has expired or was ended."""
    table = browser_sessions
    found = await connection.execute(
        select(table.c.id, table.c.created_at, table.c.expires_at, table.c.access_token_hash).where(
            table.c.token_hash == token_hash, table.c.expires_at > now
        )
    )
    row = found.one_or_none()
    return None if row is None else BrowserSessionRow(*row)


async def end_session(connection: AsyncConnection, token_hash: bytes) -> None:
    """End the session of this token; nothing happens where there is none."""
    await connection.execute(
        delete(browser_sessions).where(browser_sessions.c.token_hash == token_hash)
    )
