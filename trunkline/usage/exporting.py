"""Usage on its way out: recorded events, or a series as a row per group and bucket.

What comes out is made part by part, a transaction a page, so that an export holds one page in
memory and no transaction while somebody reads it slowly. Formats: `docs/export-and-import.md`.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

import msgspec

from db import usage_export as store
from db.engine import Connection, Database
from db.usage import UsageCondition
from db.vocabulary import UsageDimension, UsageMetric
from trunkline.clock import Clock
from trunkline.errors import BadRequest
from trunkline.usage.csv_table import Cell, encode_csv
from trunkline.usage.event_lines import EventLine, encode_events, line_of
from trunkline.usage.reading import SeriesRequest, read_series
from trunkline.usage.series_rows import POINT_COLUMNS, point_rows
from trunkline.usage.windows import WindowRequest

PAGE_EVENTS = 1_000
"""Of one transaction and one part: some 400 kB."""
PART_POINTS = 2_000


class ExportFormat(StrEnum):
    """How rows are written."""

    NDJSON = "ndjson"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class UsageNames:
    """What usage is narrowed to, by names; None: not by this. "" stands for none.

    A slug stands for every object that has or had it, deleted ones included.
    """

    provider_slugs: tuple[str, ...] | None = None
    model_names: tuple[str, ...] | None = None
    agents: tuple[str, ...] | None = None
    chain_slugs: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsExport:
    """Events, oldest first. `start` is inclusive, `end` exclusive; either may be left out."""

    names: UsageNames = field(default_factory=UsageNames)
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesExport:
    """A series as `usageSeries` gives it."""

    dimension: UsageDimension
    window: WindowRequest
    names: UsageNames = field(default_factory=UsageNames)
    top_groups: int = 10
    rank_by: UsageMetric = UsageMetric.COST


class Part(NamedTuple):
    """The next bytes, and how many rows they hold."""

    body: bytes
    rows: int


async def export_usage(
    database: Database, export: EventsExport | SeriesExport, file_format: ExportFormat, clock: Clock
) -> AsyncGenerator[Part, None]:
    """The parts of an export. Raises `BadRequest`, only before the first.

    Of events it holds every one that was recorded when it began, once, unless it expires before its
    page is read, and none whose recording began later. PostgreSQL gives ids before the commit: of
    those that were being recorded just then it holds any.
    """
    if isinstance(export, EventsExport):
        async for part in _events(database, export, file_format):
            yield part
        return
    async with database.read() as connection:
        condition = await _condition(connection, export.names)
    request = SeriesRequest(
        dimension=export.dimension,
        window=export.window,
        condition=condition,
        top_groups=export.top_groups,
        rank_by=export.rank_by,
        with_percentiles=True,
    )
    rows = point_rows(await read_series(database, request, clock))
    if file_format is ExportFormat.CSV:
        yield Part(encode_csv([POINT_COLUMNS]), 0)
    while page := list(islice(rows, PART_POINTS)):
        yield Part(_encoded_points(page, file_format), len(page))


async def _events(
    database: Database, export: EventsExport, file_format: ExportFormat
) -> AsyncGenerator[Part, None]:
    if export.start is not None and export.end is not None and export.start >= export.end:
        raise BadRequest("from must lie before to")
    async with database.read() as connection:
        condition = await _condition(connection, export.names)
        newest = await store.last_event_id(connection)
    if file_format is ExportFormat.CSV:
        yield Part(encode_csv([_event_columns()]), 0)
    place: store.Place | None = None
    full = True
    while full:
        async with database.read() as connection:
            events = await store.read_events_after(
                connection,
                place,
                count=PAGE_EVENTS,
                up_to_id=newest,
                condition=condition,
                start=export.start,
                end=export.end,
            )
        full = len(events) == PAGE_EVENTS
        if events:
            place = (events[-1].occurred_at, events[-1].id)
            yield Part(_encoded_events(map(line_of, events), file_format), len(events))


def _encoded_events(lines: Iterable[EventLine], file_format: ExportFormat) -> bytes:
    if file_format is ExportFormat.CSV:
        return encode_csv(msgspec.structs.astuple(line) for line in lines)
    return encode_events(list(lines))


def _encoded_points(rows: Sequence[Sequence[Cell]], file_format: ExportFormat) -> bytes:
    if file_format is ExportFormat.CSV:
        return encode_csv(rows)
    return msgspec.json.Encoder().encode_lines(
        [dict(zip(POINT_COLUMNS, row, strict=True)) for row in rows]
    )


def _event_columns() -> tuple[str, ...]:
    return EventLine.__struct_encode_fields__


async def _condition(connection: Connection, names: UsageNames) -> UsageCondition:
    """The names' ids. Raises `BadRequest` for one that never named anything."""
    return UsageCondition(
        provider_ids=await _ids(connection, "provider", names.provider_slugs, store.provider_ids),
        model_ids=await _ids(connection, "model", names.model_names, store.model_ids),
        agents=names.agents,
        chain_ids=await _ids(connection, "chain", names.chain_slugs, store.chain_ids, none=True),
    )


async def _ids(
    connection: Connection,
    what: str,
    names: tuple[str, ...] | None,
    find: Callable[[Connection, Sequence[str]], Awaitable[Mapping[str, set[int]]]],
    *,
    none: bool = False,
) -> tuple[int, ...] | None:
    if names is None:
        return None
    found = await find(connection, names)
    ids: set[int] = set().union(*found.values())
    for name in names:
        if not name and none:
            ids.add(0)
        elif name not in found:
            raise BadRequest(f"{what}: there is none, and never was, of the name {name[:64]!r}")
    return tuple(sorted(ids))
