"""Change counters: how a process sees that another has committed, by reading a small table.

One row for each writer and kind of change, raised in the transaction of the change itself. So
whoever sees a row's new value sees what it stands for, and nobody sees it before. Each writer has
rows of its own, so that writers of different processes never wait for each other here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from sqlalchemy import TextClause, delete, select, text, true, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from db.columns import to_microseconds
from db.tables import change_counters, usage_clock

Counter = tuple[str, str]
"""A writer and a kind."""


@dataclass(frozen=True, slots=True)
class Counters:
    """Where every counter stands, and the commit of usage that the same snapshot shows."""

    values: Mapping[Counter, int]
    usage_as_of: datetime


async def bump_counters(
    connection: AsyncConnection, writer: str, kinds: Sequence[str], *, first: int, now: datetime
) -> Mapping[str, int]:
    """Raise the writer's counters of these kinds by one, and return where they stand, by kind.

    A counter that isn't there begins at `first`, which must be above every value that this writer
    had before: it may have been forgotten. The rows stay locked until the commit, so call it last.
    """
    # In one order for everybody: writers that raise theirs in different ones deadlock.
    parameters: dict[str, object] = {
        f"kind_{place}": kind for place, kind in enumerate(sorted(kinds))
    }
    found = await connection.execute(
        _bump(len(parameters)),
        parameters | {"writer": writer, "first": first, "now": to_microseconds(now)},
    )
    return {row.kind: row.value for row in found}


async def read_counters(connection: AsyncConnection) -> Counters:
    """Every counter, in one statement."""
    table = change_counters
    rows = await connection.execute(
        select(usage_clock.c.as_of, table.c.writer, table.c.kind, table.c.value).select_from(
            usage_clock.outerjoin(table, true())
        )
    )
    found = rows.all()
    if not found:
        raise LookupError("the usage clock is missing: migrations set it")
    return Counters(
        {(row.writer, row.kind): row.value for row in found if row.writer is not None},
        found[0].as_of,
    )


async def forget_silent_writers(
    connection: AsyncConnection, *, before: datetime, limit: int
) -> int:
    """Delete at most so many counters that were last raised before then; how many there were."""
    table = change_counters
    silent = select(table.c.writer, table.c.kind).where(table.c.raised_at < before).limit(limit)
    done = await connection.execute(
        delete(table).where(
            tuple_(table.c.writer, table.c.kind).in_(silent),
            # Again, for the row as it stands once its lock is ours: it may have been raised since,
            # and deleting it then would hide a change.
            table.c.raised_at < before,
        )
    )
    return done.rowcount


@lru_cache(maxsize=16)
def _bump(count: int) -> TextClause:
    rows = ", ".join(f"(:writer, :kind_{place}, :first, :now)" for place in range(count))
    return text(
        f"INSERT INTO change_counters (writer, kind, value, raised_at) VALUES {rows} "  # noqa: S608  # no input
        "ON CONFLICT (writer, kind) DO UPDATE SET "
        "value = change_counters.value + 1, raised_at = excluded.raised_at "
        "RETURNING kind, value"
    )
