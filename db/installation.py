"""Facts about the database as a whole, such as that it was seeded."""

from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.advisory_lock import hold
from db.engine import Database
from db.migrate import ADVISORY_LOCK
from db.tables import installation
from db.upsert import insert_into

_ID = "installation_id"


async def hold_installation(connection: AsyncConnection) -> None:
    """Keep every other process from installing until the transaction ends."""
    await hold(connection, ADVISORY_LOCK)


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


async def installation_id(database: Database) -> str:
    """This database's name among others: 32 hexadecimal digits, made when first asked for.

    A copy of a database has its original's.
    """

    async def make(connection: AsyncConnection) -> str:
        await hold_installation(connection)
        made = await installed_value(connection, _ID)
        if made is None:
            made = uuid4().hex
            await install_value(connection, _ID, made)
        return made

    async with database.read() as connection:
        known = await installed_value(connection, _ID)
    return await database.transact(make) if known is None else known
