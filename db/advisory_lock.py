"""Locks that are known by a number, where there is no row yet that could be locked."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


async def hold(connection: AsyncConnection, number: int) -> None:
    """Keep every other transaction from holding this lock until this one ends.

    On SQLite the transaction's own write lock does that.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": number})
