"""The levels of rollups: how much each keeps of what names an event's sums.

Every level sums the same events and is written in their transaction. The finest keeps everything,
so that any question can be answered from it; with many models, agents and chains it has nearly a
row an event. The others keep one dimension, by the quarter hour, hour and day in UTC, so that the
usual questions cost what their answers hold, however many events are behind them.

What a level does not keep is 0, "" or, for the bin of the latency, `NO_LATENCY`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from db.columns import to_microseconds
from db.latency_bins import NO_LATENCY

SUMMED = (
    "requests",
    "failures",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_nanos",
    "unpriced_requests",
    "estimated_requests",
    "latency_ms_sum",
    "latency_count",
)
"""The columns that add up, in the order in which totals give them."""

QUARTER = 15 * 60 * 1_000_000
HOUR = 4 * QUARTER
DAY = 24 * HOUR
"""Microseconds."""


class RollupKey(NamedTuple):
    """Names a rollup within its level, in the order of the primary key."""

    bucket_start: int
    provider_id: int
    model_id: int
    agent: str
    chain_id: int
    latency_bin: int


PlainKey = tuple[int, int, int, str, int, int]
"""A `RollupKey`, or a tuple equal to one: there are many, and these are made five times as fast."""

KEY = ("level", *RollupKey._fields)
"""The primary key."""


@dataclass(frozen=True, slots=True)
class Level:
    """One level. It sums what the level of number `source` holds; the finest is its own source."""

    number: int
    grain: int
    columns: frozenset[str]
    fold: Callable[[PlainKey], PlainKey]
    source: int

    @property
    def has_bins(self) -> bool:
        """Whether latencies are kept apart."""
        return "latency_bin" in self.columns


FINEST = Level(0, QUARTER, frozenset(RollupKey._fields[1:]), lambda key: key, 0)


def _models(grain: int) -> Callable[[PlainKey], PlainKey]:
    return lambda key: (key[0] - key[0] % grain, key[1], key[2], "", 0, NO_LATENCY)


def _agents(grain: int) -> Callable[[PlainKey], PlainKey]:
    return lambda key: (key[0] - key[0] % grain, 0, 0, key[3], 0, NO_LATENCY)


def _chains(grain: int) -> Callable[[PlainKey], PlainKey]:
    return lambda key: (key[0] - key[0] % grain, 0, 0, "", key[4], NO_LATENCY)


def _with_bin(fold: Callable[[PlainKey], PlainKey]) -> Callable[[PlainKey], PlainKey]:
    return lambda key: (*fold(key)[:5], key[5])


_DIMENSIONS = (
    (frozenset({"provider_id", "model_id"}), _models),
    (frozenset({"agent"}), _agents),
    (frozenset({"chain_id"}), _chains),
)


def _levels() -> Iterator[Level]:
    yield FINEST
    number = 1
    for columns, fold in _DIMENSIONS:
        yield Level(number, QUARTER, columns, fold(QUARTER), FINEST.number)
        yield Level(number + 1, HOUR, columns, fold(HOUR), number)
        yield Level(number + 2, DAY, columns, fold(DAY), number + 1)
        with_bin = _with_bin(fold(HOUR))
        yield Level(number + 3, HOUR, columns | {"latency_bin"}, with_bin, FINEST.number)
        number += 4


LEVELS = tuple(_levels())
"""By number, each after its source. A number is stored: it never changes its meaning."""


def levels_for(columns: frozenset[str]) -> Sequence[Level]:
    """The levels that answer what needs these columns, coarsest first, down to the quarter hour."""
    fit = [
        level
        for level in LEVELS
        if columns <= level.columns and level.has_bins == ("latency_bin" in columns)
    ]
    coarsest: dict[int, Level] = {}
    for level in sorted([*fit, FINEST], key=lambda level: (level.grain, len(level.columns))):
        coarsest.setdefault(level.grain, level)
    return tuple(reversed(coarsest.values()))


class Stretch(NamedTuple):
    """Rollups of one level from `begin` to `end` (left out), in microseconds."""

    level: int
    begin: int
    end: int


def cover(levels: Sequence[Level], begin: datetime, end: datetime) -> Sequence[Stretch]:
    """The fewest stretches of these levels that hold exactly this time, on quarter hours."""
    return tuple(_cover(levels, to_microseconds(begin), to_microseconds(end)))


def _cover(levels: Sequence[Level], begin: int, end: int) -> Iterator[Stretch]:
    if begin >= end:
        return
    level, *finer = levels
    first = begin + -begin % level.grain
    last = end - end % level.grain
    if first >= last:
        yield from _cover(finer, begin, end)
        return
    yield from _cover(finer, begin, first)
    yield Stretch(level.number, first, last)
    yield from _cover(finer, last, end)
