"""Signed-in browsers, and the codes that sign them in. Only hashes are stored."""

from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import browser_sessions, sign_in_codes


async def insert_code(
    connection: AsyncConnection, code_hash: bytes, *, expires_at: datetime, now: datetime
) -> None:
    """Store a code that works once; those that expired go."""
    await connection.execute(delete(sign_in_codes).where(sign_in_codes.c.expires_at <= now))
    await connection.execute(
        insert(sign_in_codes).values(code_hash=code_hash, expires_at=expires_at)
    )


async def take_code(connection: AsyncConnection, code_hash: bytes, *, now: datetime) -> bool:
    """Use a code up. False where there is none such, or it expired."""
    taken = await connection.execute(
        delete(sign_in_codes)
        .where(sign_in_codes.c.code_hash == code_hash)
        .returning(sign_in_codes.c.expires_at)
    )
    expires_at = taken.scalar_one_or_none()
    return expires_at is not None and expires_at > now


async def insert_session(
    connection: AsyncConnection, token_hash: bytes, *, expires_at: datetime, now: datetime
) -> None:
    """Store a session; those that expired go."""
    await connection.execute(delete(browser_sessions).where(browser_sessions.c.expires_at <= now))
    await connection.execute(
        insert(browser_sessions).values(
            token_hash=token_hash, created_at=now, expires_at=expires_at
        )
    )


async def has_session(connection: AsyncConnection, token_hash: bytes, *, now: datetime) -> bool:
    """Whether this session stands."""
    expires_at = await connection.scalar(
        select(browser_sessions.c.expires_at).where(browser_sessions.c.token_hash == token_hash)
    )
    return expires_at is not None and expires_at > now


async def delete_session(connection: AsyncConnection, token_hash: bytes) -> None:
    """End a session."""
    await connection.execute(
        delete(browser_sessions).where(browser_sessions.c.token_hash == token_hash)
    )
