"""Facts about the database as a whole, such as that it was seeded."""

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.migrate import ADVISORY_LOCK
from db.tables import installation
from db.upsert import insert_into


async def hold_installation(connection: AsyncConnection) -> None:
    """Keep every other process from installing until the transaction ends.

    On SQLite the transaction's own write lock does that.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})


async def installed_value(connection: AsyncConnection, key: str) -> str | None:
    """The fact of this name."""
    value: str | None = await connection.scalar(
        select(installation.c.value).where(installation.c.key == key)
    )
    return value


async def install_value(connection: AsyncConnection, key: str, value: str) -> None:
    """Set the fact of this name."""
    await connection.execute(
        insert_into(connection, installation)
        .values(key=key, value=value)
        .on_conflict_do_update(index_elements=["key"], set_={"value": value})
    )
