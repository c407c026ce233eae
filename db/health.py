"""Whether the store answers."""

from sqlalchemy import select

from db.engine import Database
from db.tables import installation


async def is_reachable(database: Database) -> None:
    """Read something small; raises what the driver raises."""
    async with database.read() as connection:
        await connection.execute(select(installation.c.key).limit(1))
