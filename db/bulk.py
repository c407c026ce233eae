"""Many rows in one statement: prepared once, whatever the number of rows.

SQLite runs it for each row within one call of its driver; PostgreSQL gets each column as one array.
Values go to the driver as they are: instants are whole microseconds here, never datetimes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Column, ColumnElement, Table, Text, any_, func, literal, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

_POSTGRESQL = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class BulkInsert:
    """INSERT … ON CONFLICT of these columns. `returning` names a column; PostgreSQL only."""

    sqlite: str
    postgresql: str

    @classmethod
    def into(
        cls, table: Table, columns: Sequence[str], *, on_conflict: str, returning: str | None = None
    ) -> "BulkInsert":
        """Write the statement down for both databases."""
        into = f"INSERT INTO {table.name} ({', '.join(columns)})"
        arrays = ", ".join(
            f"${place}::{_type(table.c[name])}[]" for place, name in enumerate(columns, 1)
        )
        tail = "" if returning is None else f" RETURNING {returning}"
        marks = ", ".join("?" * len(columns))
        return cls(
            f"{into} VALUES ({marks}) ON CONFLICT {on_conflict}",
            f"{into} SELECT * FROM unnest({arrays}) ON CONFLICT {on_conflict}{tail}",  # noqa: S608  # names of ours
        )

    async def run(self, connection: AsyncConnection, rows: Sequence[Row]) -> list[Any]:
        """Insert these rows, in their order, and give what is returned for each that went in.

        SQLite gives nothing: its driver runs a statement for many rows or returns rows, not both.
        """
        if not rows:
            return []
        if connection.dialect.name == "sqlite":
            await connection.exec_driver_sql(self.sqlite, list(rows))
            return []
        columns = tuple(map(list, zip(*rows, strict=True)))
        result = await connection.exec_driver_sql(self.postgresql, columns)
        return [row[0] for row in result] if result.returns_rows else []


def _type(column: "Column[Any]") -> str:
    name = column.type.compile(dialect=_POSTGRESQL)
    return name.partition(" COLLATE")[0]


def among(
    connection: AsyncConnection, column: "Column[Any]", values: Sequence[str]
) -> ColumnElement[bool]:
    """Whether a text column is one of these, which go in as one parameter.

    `column.in_(values)` writes and prepares another statement for each number of values.
    """
    if connection.dialect.name == "postgresql":
        return column == any_(literal(list(values), postgresql.ARRAY(Text)))
    return column.in_(select(func.json_each(orjson.dumps(values).decode()).table_valued("value")))
