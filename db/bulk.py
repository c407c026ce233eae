"""Many rows in one statement: prepared once, whatever the number of rows.

SQLite runs it for each row within one call of its driver; PostgreSQL gets each column as one array.
Values go to the driver as they are: instants are whole microseconds here, never datetimes.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Dialect,
    Table,
    Text,
    any_,
    func,
    literal,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

Row = tuple[Any, ...]


class BulkInsert:
    """INSERT … ON CONFLICT of these columns. `returning` names a column; PostgreSQL only."""

    def __init__(
        self,
        table: Table,
        columns: Sequence[str],
        *,
        on_conflict: str,
        returning: str | None = None,
    ) -> None:
        self._columns = [table.c[name] for name in columns]
        self._into = f"INSERT INTO {table.name} ({', '.join(columns)})"
        self._tail = f"ON CONFLICT {on_conflict}"
        self._returning = "" if returning is None else f" RETURNING {returning}"
        self._texts: dict[str, str] = {}

    async def run(self, connection: AsyncConnection, rows: Sequence[Row]) -> list[Any]:
        """Insert these rows, in their order, and give what is returned for each that went in.

        SQLite gives nothing: its driver runs a statement for many rows or returns rows, not both.
        """
        if not rows:
            return []
        text = self._text(connection.dialect)
        if connection.dialect.name == "sqlite":
            await connection.exec_driver_sql(text, list(rows))
            return []
        columns = tuple(map(list, zip(*rows, strict=True)))
        result = await connection.exec_driver_sql(text, columns)
        return [row[0] for row in result] if result.returns_rows else []

    def _text(self, dialect: Dialect) -> str:
        """In the words of this database."""
        text = self._texts.get(dialect.name)
        if text is None:
            if dialect.name == "sqlite":
                values = f"VALUES ({', '.join('?' * len(self._columns))}) {self._tail}"
            else:
                arrays = ", ".join(
                    f"${place}::{_type(column, dialect)}[]"
                    for place, column in enumerate(self._columns, 1)
                )
                values = f"SELECT * FROM unnest({arrays}) {self._tail}{self._returning}"  # noqa: S608  # names of ours
            text = self._texts[dialect.name] = f"{self._into} {values}"
        return text


def _type(column: "Column[Any]", dialect: Dialect) -> str:
    name = column.type.compile(dialect=dialect)
    return name.partition(" COLLATE")[0]


def among(
    connection: AsyncConnection, column: "Column[Any]", values: Sequence[str]
) -> ColumnElement[bool]:
    """Whether a text column is one of these, which go in as one parameter.

    `column.in_(values)` writes and prepares another statement for each number of values.
    """
    if connection.dialect.name == "postgresql":
        return column == any_(literal(list(values), ARRAY(Text)))
    return column.in_(select(func.json_each(orjson.dumps(values).decode()).table_valued("value")))
