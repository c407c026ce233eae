"""Writing rollups: what events add to every level, in the transaction that inserts them.

So neither is seen without the other, and all levels sum the same.
"""

from collections.abc import Iterable, Sequence
from operator import add

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import BulkInsert, Row
from db.columns import to_microseconds
from db.latency_bins import bin_of
from db.rollup_columns import Parts, TotalTooLarge
from db.rollup_levels import FINEST, KEY, LEVELS, SUMMED, PlainKey
from db.tables import usage_rollups
from db.usage import NewEventRow
from db.usage_rollups import raise_if_overflown

Sums = dict[PlainKey, Parts]

_LARGEST = 2**63 - 1
_ADD = BulkInsert(
    usage_rollups,
    (*KEY, *SUMMED),
    on_conflict=f"({', '.join(KEY)}) DO UPDATE SET "
    + ", ".join(f"{name} = usage_rollups.{name} + excluded.{name}" for name in SUMMED),
)


async def add_to_rollups(connection: AsyncConnection, events: Iterable[NewEventRow]) -> None:
    """Count these events in every level. Raises `TotalTooLarge`; the transaction is lost then.

    Sorted by primary key: writers that touch the same rollups in different orders deadlock.
    """
    rows: list[Row] = []
    for level, sums in enumerate(sum_levels(events)):
        if any(max(parts) > _LARGEST for parts in sums.values()):
            raise TotalTooLarge("a total would exceed 64 bits")
        rows += [(level, *key, *parts) for key, parts in sorted(sums.items())]
    try:
        await _ADD.run(connection, rows)
    except DBAPIError as error:
        raise_if_overflown(error)
        raise


def sum_levels(events: Iterable[NewEventRow]) -> Sequence[Sums]:
    """What these events add to each level, by its number."""
    levels = [_summed((rollup_key(event), parts_of(event)) for event in events)]
    for level in LEVELS[1:]:
        fold = level.fold
        source = levels[level.source].items()
        levels.append(_summed((fold(key), parts) for key, parts in source))
    return levels


def _summed(every: Iterable[tuple[PlainKey, Parts]]) -> Sums:
    sums: Sums = {}
    for key, parts in every:
        held = sums.get(key)
        sums[key] = parts if held is None else tuple(map(add, held, parts))
    return sums


def rollup_key(event: NewEventRow) -> PlainKey:
    """The rollup of the finest level that counts an event."""
    instant = to_microseconds(event.occurred_at)
    return (
        instant - instant % FINEST.grain,
        event.provider_id,
        event.model_id,
        event.agent,
        event.chain_id,
        bin_of(event.latency_ms),
    )


def parts_of(event: NewEventRow) -> Parts:
    """What one event adds to its rollup, in the order of `SUMMED`."""
    used = bool(event.input_tokens or event.output_tokens)
    return (
        1,
        int(not event.succeeded),
        event.input_tokens,
        event.cache_read_tokens,
        event.cache_write_tokens,
        event.output_tokens,
        event.reasoning_tokens,
        event.cost_nanos or 0,
        int(event.cost_nanos is None and used),
        int(event.estimated),
        event.latency_ms or 0,
        int(event.latency_ms is not None),
    )
