"""SELECTs that are written down once, and asked again and again with other parameters.

Building a statement with SQLAlchemy, finding it among those it compiled and passing its rows on
costs more than the store takes to answer most of ours. What is asked at each look at a dashboard
is a `Question`: its text is kept, and `Database.ask` gives it to the driver.

SQLite hands over each row by itself and asks for the interpreter's lock at each, which waits for
whatever else runs. So it answers with one piece of JSON. Most answers are the same as the last
time, so what a piece was read to is kept with it: the store is asked each time, and only reading
the same piece twice is saved.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import orjson
from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Dialect,
    Float,
    LargeBinary,
    Select,
    any_,
    bindparam,
    case,
    func,
    select,
)
from sqlalchemy.types import TypeEngine

from db.columns import Flag, Instant, from_microseconds, whole

DialectName = Literal["sqlite", "postgresql"]

MOST_KEPT = 8
"""Answers of one question."""

LARGEST_KEPT = 2**17
"""Characters of an answer that is kept: some 400 models."""


class Question:
    """A statement, made for each database by `write`; `read` makes a value of each of its rows.

    Its parameters are `bindparam`s that have no value; those are given as the driver takes them.
    A row is a named tuple, by the names of what was selected. The same value may be given more
    than once, so it must be one that nobody changes.
    """

    def __init__(
        self,
        write: Callable[[DialectName], Select[Any]],
        read: Callable[[Any], Any] = lambda row: row,
    ) -> None:
        self._write = write
        self._read = read
        self._texts: dict[str, Text] = {}

    def text(self, dialect: Dialect) -> "Text":
        """In the words of this database."""
        text = self._texts.get(dialect.name)
        if text is None:
            name: DialectName = "sqlite" if dialect.name == "sqlite" else "postgresql"
            text = self._texts[name] = Text(self._write(name), dialect, self._read)
        return text


class Asked(NamedTuple):
    """A question with its parameters."""

    question: Question
    given: Mapping[str, Any]


class Text:
    """A question in the words of one database."""

    def __init__(
        self, statement: Select[Any], dialect: Dialect, read: Callable[[Any], Any]
    ) -> None:
        self._in_one = dialect.name == "sqlite"
        columns = list(statement.selected_columns)
        written = _in_one_piece(statement) if self._in_one else statement
        compiled: Any = written.compile(dialect=dialect)
        self.sql = str(compiled)
        self._names: tuple[str, ...] = tuple(compiled.positiontup)
        self._constants = {
            name: _written(parameter, dialect)
            for name, parameter in compiled.binds.items()
            if parameter.value is not None
        }
        self._row: Any = namedtuple("Row", [column.key for column in columns])  # type: ignore[misc]  # named by the statement
        readers = [_reader(column.type, dialect) for column in columns]
        self._readers = [(place, one) for place, one in enumerate(readers) if one is not None]
        self._read = read
        self._kept = lru_cache(MOST_KEPT)(self._of_piece)

    def values(self, given: Mapping[str, Any]) -> tuple[Any, ...]:
        """What goes in, in its order."""
        constants = self._constants
        return tuple(given[name] if name in given else constants[name] for name in self._names)

    def answer(self, found: Sequence[Sequence[Any]]) -> Sequence[Any]:
        """What each of the rows that the driver found was read to."""
        if not self._in_one:
            return self._of_rows(map(list, found))
        piece: str = found[0][0]
        return self._kept(piece) if len(piece) <= LARGEST_KEPT else self._of_piece(piece)

    def _of_piece(self, piece: str) -> Sequence[Any]:
        return self._of_rows(orjson.loads(piece))

    def _of_rows(self, rows: Iterable[list[Any]]) -> Sequence[Any]:
        make, read = self._row._make, self._read
        answer = []
        for values in rows:
            for place, read_value in self._readers:
                values[place] = read_value(values[place])
            answer.append(read(make(values)))
        return tuple(answer)


def one_of(dialect: DialectName, column: "Column[Any]", name: str) -> ColumnElement[bool]:
    """Whether a column is one of the whole numbers in this parameter: see `listed`."""
    if dialect == "postgresql":
        return column == any_(bindparam(name, type_=ARRAY(whole())))
    return column.in_(select(func.json_each(bindparam(name)).table_valued("value").c.value))


def listed(dialect: DialectName, numbers: Sequence[int]) -> Any:
    """The parameter of `one_of`."""
    return list(numbers) if dialect == "postgresql" else f"[{','.join(map(str, numbers))}]"


def _in_one_piece(statement: Select[Any]) -> Select[Any]:
    """The rows as one JSON array of arrays, in their order; bytes as hexadecimal digits."""
    rows = statement.subquery()
    return select(func.json_group_array(func.json_array(*map(_as_json, rows.c))))


def _as_json(column: ColumnElement[Any]) -> ColumnElement[Any]:
    if isinstance(column.type, Float):
        # SQLite writes 15 digits of them.
        raise TypeError(f"{column} can't be asked for: JSON would not hold its value exactly")
    if isinstance(column.type, LargeBinary):
        return case((column.is_not(None), func.hex(column)))
    return column


def _written(parameter: Any, dialect: Dialect) -> Any:
    write = parameter.type.dialect_impl(dialect).bind_processor(dialect)
    return parameter.value if write is None else write(parameter.value)


def _reader(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    # Ours are called for each value: without SQLAlchemy's function around them.
    if isinstance(kind, Instant):
        return _instant
    if isinstance(kind, Flag):
        return _flag if dialect.name == "sqlite" else None
    if isinstance(kind, LargeBinary) and dialect.name == "sqlite":
        return _bytes
    read: Callable[[Any], Any] | None = kind.dialect_impl(dialect).result_processor(dialect, None)
    return read


def _instant(value: int | None) -> datetime | None:
    return None if value is None else from_microseconds(value)


def _flag(value: int | None) -> bool | None:
    return None if value is None else value != 0


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else bytes.fromhex(value)
