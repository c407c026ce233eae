"""The names of agents that usage was ever recorded for."""

from collections.abc import Sequence

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import BulkInsert, among
from db.tables import usage_agents

_INSERT = BulkInsert(usage_agents, ("name",), on_conflict="(name) DO NOTHING")


async def stored_agents(connection: AsyncConnection, names: Sequence[str]) -> frozenset[str]:
    """Those of these names that are known."""
    statement = select(usage_agents.c.name).where(among(connection, usage_agents.c.name, names))
    return frozenset(await connection.scalars(statement))


async def hold_agents(connection: AsyncConnection) -> int:
    """Keep others from adding names until the transaction ends, and count those there are."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("LOCK TABLE usage_agents IN SHARE ROW EXCLUSIVE MODE"))
    return await connection.scalar(select(func.count()).select_from(usage_agents)) or 0


async def insert_agents(connection: AsyncConnection, names: Sequence[str]) -> None:
    """Add these names."""
    await _INSERT.run(connection, [(name,) for name in sorted(names)])
