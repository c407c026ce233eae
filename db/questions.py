"""SELECTs that are written down once, and asked again and again with other parameters.

Building a statement with SQLAlchemy, finding it among those it compiled and passing its rows on
costs more than the store takes to answer most of ours. What is asked at each look at a dashboard
is a `Question`: its text is kept, and `Database.ask` gives it to the driver.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Column, ColumnElement, Dialect, Select, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import asyncpg as postgresql
from sqlalchemy.dialects.sqlite import aiosqlite as sqlite
from sqlalchemy.types import TypeEngine

from db.columns import Flag, Instant, from_microseconds, whole

DialectName = Literal["sqlite", "postgresql"]
Rows = Sequence[Any]
"""Named tuples, by the names of what was selected."""

_DIALECTS: Mapping[str, Callable[[], Dialect]] = {
    "sqlite": sqlite.dialect,
    "postgresql": postgresql.dialect,
}


@dataclass(frozen=True, slots=True)
class Text:
    """A question in the words of one database."""

    sql: str
    names: tuple[str, ...]
    constants: Mapping[str, Any]
    row: Any
    readers: tuple[tuple[int, Callable[[Any], Any]], ...]
    """How values become what they mean, by their place, where they aren't that already."""

    def values(self, given: Mapping[str, Any]) -> tuple[Any, ...]:
        """What goes in, in its order."""
        constants = self.constants
        return tuple(given[name] if name in given else constants[name] for name in self.names)

    def rows(self, found: Sequence[Sequence[Any]]) -> Rows:
        """What came back."""
        make = self.row._make
        readers = self.readers
        if not readers:
            return list(map(make, found))
        rows = []
        for one in found:
            values = list(one)
            for place, read in readers:
                values[place] = read(values[place])
            rows.append(make(values))
        return rows


class Question:
    """A statement, made for each database by `write`. Its parameters are `bindparam`s that have no
    value; those are given as the driver takes them.
    """

    def __init__(self, write: Callable[[DialectName], Select[Any]]) -> None:
        self._write = write
        self._texts: dict[str, Text] = {}

    def text(self, dialect_name: DialectName) -> Text:
        """In the words of this database."""
        text = self._texts.get(dialect_name)
        if text is None:
            dialect = _DIALECTS[dialect_name]()
            text = self._texts[dialect_name] = _text(self._write(dialect_name), dialect)
        return text


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its parameters."""

    question: Question
    given: Mapping[str, Any]


def one_of(dialect: DialectName, column: "Column[Any]", name: str) -> ColumnElement[bool]:
    """Whether a column is one of the whole numbers in this parameter: see `listed`."""
    if dialect == "postgresql":
        return column == any_(bindparam(name, type_=ARRAY(whole())))
    return column.in_(select(func.json_each(bindparam(name)).table_valued("value").c.value))


def listed(dialect: DialectName, numbers: Sequence[int]) -> Any:
    """The parameter of `one_of`."""
    return list(numbers) if dialect == "postgresql" else f"[{','.join(map(str, numbers))}]"


def _text(statement: Select[Any], dialect: Dialect) -> Text:
    compiled: Any = statement.compile(dialect=dialect)
    constants = {}
    for name, parameter in compiled.binds.items():
        if parameter.value is not None:
            write = parameter.type.dialect_impl(dialect).bind_processor(dialect)
            constants[name] = parameter.value if write is None else write(parameter.value)
    columns = list(statement.selected_columns)
    readers = []
    for place, column in enumerate(columns):
        read = _reader(column.type, dialect)
        if read is not None:
            readers.append((place, read))
    row = namedtuple("Row", [column.key for column in columns])  # type: ignore[misc]  # named by the statement
    return Text(str(compiled), tuple(compiled.positiontup), constants, row, tuple(readers))


def _reader(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    # Ours are called for each value: without SQLAlchemy's function around them.
    if isinstance(kind, Instant):
        return _instant
    if isinstance(kind, Flag):
        return _flag if dialect.name == "sqlite" else None
    read: Callable[[Any], Any] | None = kind.dialect_impl(dialect).result_processor(dialect, None)
    return read


def _instant(value: int | None) -> datetime | None:
    return None if value is None else from_microseconds(value)


def _flag(value: int | None) -> bool | None:
    return None if value is None else value != 0
