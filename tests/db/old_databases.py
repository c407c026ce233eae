"""Databases as older versions left them: at any revision, with rows in each of its tables.

The rows are made from what the tables say of themselves, so that those of new revisions come along.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Boolean, Connection, Float, Integer, LargeBinary, MetaData, Table, select
from sqlalchemy.types import TypeEngine

import db.migrate

Rows = Mapping[str, Mapping[tuple[Any, ...], Mapping[str, Any]]]
"""By table, then by primary key: each column's value."""

_ROWS = 3
_OF_ONE_ROW = {"usage_clock"}
_MOMENT = 1_763_000_000_000_000
"""Microseconds since 1970."""
_MOMENTS = ("_at", "_from", "_start", "_before", "_until", "_since")
_TYPICAL = {
    "kind": "OLLAMA", "source": "CUSTOM", "price_source": "CUSTOM", "delivery": "ASSURED",
    "attempts": "[]", "extra_header_names": '["X-Team"]', "base_url": "http://127.0.0.1:11434",
    "agent": "support", "timezone": "Europe/Berlin", "period": "CALENDAR_MONTH",
}  # fmt: skip


def revisions() -> Sequence[str]:
    """Every revision, the first one first."""
    script = ScriptDirectory.from_config(_config())
    return sorted(one.revision for one in script.walk_revisions())


def at_revision(revision: str, connection: Connection) -> None:
    """Make or bring the schema to this revision."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def tables_of(connection: Connection) -> Sequence[Table]:
    """As they are in the database, those that others point to first."""
    metadata = MetaData()
    metadata.reflect(connection)
    return [one for one in metadata.sorted_tables if one.name != "alembic_version"]


def fill(connection: Connection, tables: Sequence[Table], revision: str) -> None:
    """Add rows to each table, as it is at this revision; the last has nothing where nothing may be.

    Each revision's have numbers of their own, which are ids too, so that each finds what it points
    to. Tables of one row stay as they are.
    """
    first = revisions().index(revision) * _ROWS + 1
    for table in tables:
        if table.name not in _OF_ONE_ROW:
            for number in range(first, first + _ROWS):
                connection.execute(table.insert().values(_row(table, number)))


def read(connection: Connection, tables: Sequence[Table]) -> Rows:
    """All that is in all tables."""
    found: dict[str, dict[tuple[Any, ...], Mapping[str, Any]]] = {}
    for table in tables:
        keys = [column.name for column in table.primary_key]
        found[table.name] = {
            tuple(row[key] for key in keys): dict(row)
            for row in connection.execute(select(table)).mappings()
        }
    return found


def lost(before: Rows, after: Rows) -> list[str]:
    """What was there before and isn't, or is other than it was."""
    found = []
    for table, rows in before.items():
        for key, row in rows.items():
            now = after.get(table, {}).get(key)
            if now is None:
                found.append(f"{table} {key} is gone")
            else:
                found += [
                    f"{table} {key}: {name} was {value!r}, is {now.get(name)!r}"
                    for name, value in row.items()
                    if now.get(name) != value
                ]
    return found


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(db.migrate.__file__).parent / "migrations"))
    return config


def _row(table: Table, number: int) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for column in table.columns:
        if column.nullable and number % _ROWS == 0:
            continue
        if column.foreign_keys or (column.primary_key and isinstance(column.type, Integer)):
            row[column.name] = number
        else:
            row[column.name] = _value(table.name, column.name, column.type, number)
    return row


def _value(table: str, name: str, kind: TypeEngine[Any], number: int) -> object:
    if isinstance(kind, Boolean):
        return number % 2 == 0
    if isinstance(kind, LargeBinary):
        return f"{table}.{name}.{number}".encode().ljust(32, b"-")
    if isinstance(kind, Float):
        return number * 1.5
    if isinstance(kind, Integer):
        return _MOMENT + number * 60_000_000 if name.endswith(_MOMENTS) else number % 2
    if name in _TYPICAL:
        return _TYPICAL[name]
    # Any letters, folded and not.
    return f"{table} {name} Ä{number}"
