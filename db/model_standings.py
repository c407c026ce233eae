"""What it takes to see that a model was changed, where nobody said which."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import models


async def model_standings(connection: AsyncConnection) -> Mapping[int, tuple[int, bool]]:
    """The version of every living model, and whether it is deprecated, by id."""
    statement = select(models.c.id, models.c.version, models.c.deprecated).where(
        models.c.deleted_at.is_(None)
    )
    return {row.id: (row.version, row.deprecated) for row in await connection.execute(statement)}
