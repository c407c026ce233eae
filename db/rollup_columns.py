"""Sums of buckets by column: a month by hour has thousands, and objects for each cost more than
reading them.

SQLite hands each row over by itself, at more than a microsecond. So it is asked for whole columns
as JSON, a row for each stretch, and is a third as long about it. What such a text was read to is
kept with it, as with questions (`questions.py`).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from operator import add, itemgetter
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    ColumnElement,
    CompoundSelect,
    Text,
    bindparam,
    func,
    select,
    union_all,
)

from db.rollup_grid import Grid, starts_at
from db.rollup_levels import Level, Stretch
from db.tables import usage_rollups

LARGEST = 2**63 - 1

MOST_KEPT = 8
LEAST_KEPT, LARGEST_KEPT = 2**13, 2**19
"""Stretches whose columns are kept, and characters of each: at most some 20 MB altogether."""

Parts = tuple[int, ...]


class TotalTooLarge(Exception):
    """A sum would no longer fit into 64 bits."""


class Buckets(Mapping[int, Parts]):
    """The sums of one group by index of bucket. Those that are left out are empty.

    `columns` are those sums once more, each of one kind, in the order of `places`.
    """

    __slots__ = ("_parts", "columns", "places")

    def __init__(self, places: Sequence[int], columns: Sequence[Sequence[int]]) -> None:
        self.places = places
        self.columns = columns
        self._parts: dict[int, Parts] | None = None

    @classmethod
    def of(cls, parts: Mapping[int, Sequence[int]]) -> "Buckets":
        """The same by column; not of none at all."""
        return cls(list(parts), list(zip(*parts.values(), strict=True)))

    def over(self, length: int) -> Sequence[Sequence[int]]:
        """The columns of so many buckets; 0 where one is empty."""
        if list(self.places) == list(range(length)):
            return self.columns
        return [self._spread(column, length) for column in self.columns]

    def __getitem__(self, place: int) -> Parts:
        return self._by_place()[place]

    def __iter__(self) -> Iterator[int]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def _spread(self, column: Sequence[int], length: int) -> list[int]:
        full = [0] * length
        for place, value in zip(self.places, column, strict=True):
            full[place] = value
        return full

    def _by_place(self) -> dict[int, Parts]:
        if self._parts is None:
            rows = zip(*self.columns, strict=True)
            self._parts = dict(zip(self.places, rows, strict=True))
        return self._parts


def whole_columns(
    grid: Grid,
    runs: Sequence[tuple[Level, Stretch]],
    group: Column[Any],
    names: Sequence[str],
    narrowed: Sequence[ColumnElement[bool]],
) -> tuple[CompoundSelect[Any], Mapping[str, int]]:
    """A statement for SQLite, and its parameters: of each stretch the groups, the places of the
    buckets and these columns, as JSON without brackets; null where it has no rollup. All columns
    are in one order.
    """
    stretches = _last_apart(grid, runs)
    values = {"origin": grid.origin, "width": grid.width}
    for number, stretch in enumerate(stretches):
        values |= {
            f"level_{number}": stretch.level,
            f"begin_{number}": stretch.begin,
            f"end_{number}": stretch.end,
        }
    shape = len(stretches), group, tuple(names)
    return _statement(*shape, narrowed) if narrowed else _kept_statement(*shape), values


def _last_apart(grid: Grid, runs: Sequence[tuple[Level, Stretch]]) -> Sequence[Stretch]:
    """The stretches, with the last bucket by itself: most often it is the present, and what came
    before stays what it was.
    """
    stretches = [stretch for _, stretch in runs]
    level, last = runs[-1]
    begin = last.end - level.grain
    if level.grain == grid.width and begin > last.begin:
        stretches[-1:] = [last._replace(end=begin), last._replace(begin=begin)]
    return stretches


@lru_cache(maxsize=128)
def _kept_statement(runs: int, group: Column[Any], names: tuple[str, ...]) -> CompoundSelect[Any]:
    # Writing one costs more than SQLAlchemy takes to find what it has compiled of it.
    return _statement(runs, group, names, ())


def _statement(
    runs: int,
    group: Column[Any],
    names: tuple[str, ...],
    narrowed: Sequence[ColumnElement[bool]],
) -> CompoundSelect[Any]:
    place = (starts_at - _given("origin")) // _given("width")
    columns = [place, *(usage_rollups.c[name] for name in names)]
    return union_all(
        *(
            select(
                func.group_concat(func.json_quote(group), type_=Text),
                *(func.group_concat(column, type_=Text) for column in columns),
            ).where(
                usage_rollups.c.level == _given(f"level_{number}"),
                starts_at >= _given(f"begin_{number}"),
                starts_at < _given(f"end_{number}"),
                *narrowed,
            )
            for number in range(runs)
        )
    )


def _given(name: str) -> BindParameter[int]:
    return bindparam(name, type_=BigInteger)


def buckets_of(texts: Sequence[Sequence[str | None]]) -> dict[Any, Buckets]:
    """What the rows of such a statement hold, by group. Raises `TotalTooLarge`."""
    columns: list[list[Any]] = []
    for row in texts:
        if row[0] is not None:
            part = _read(row)
            columns = (
                [[*held, *more] for held, more in zip(columns, part, strict=True)]
                if columns
                else part
            )
    if not columns:
        return {}
    groups, places, *sums = columns
    number = len(set(groups))
    if groups == groups[:number] * (len(groups) // number):
        # Each has every bucket, so its rows are evenly apart.
        return {
            group: _buckets(places[first::number], [column[first::number] for column in sums])
            for first, group in enumerate(groups[:number])
        }
    rows: defaultdict[Any, list[int]] = defaultdict(list)
    for row_number, group in enumerate(groups):
        rows[group].append(row_number)
    return {group: _group(own, places, sums) for group, own in rows.items()}


def _read(row: Sequence[Any]) -> list[list[Any]]:
    """The columns of a stretch. A long one is most often what it was the last time, and is not read
    again then.
    """
    worth_it = LEAST_KEPT <= sum(map(len, row)) <= LARGEST_KEPT
    return _kept(*row) if worth_it else _columns(*row)


def _columns(*texts: str) -> list[list[Any]]:
    return [orjson.loads(f"[{text}]") for text in texts]


_kept = lru_cache(maxsize=MOST_KEPT)(_columns)


def _group(rows: list[int], places: Sequence[int], sums: Sequence[Sequence[int]]) -> Buckets:
    if len(rows) == 1:
        row = rows[0]
        return Buckets((places[row],), [(column[row],) for column in sums])
    take = itemgetter(*rows)
    return _buckets(take(places), [take(column) for column in sums])


def _buckets(places: Sequence[int], columns: Sequence[Sequence[int]]) -> Buckets:
    if len(set(places)) == len(places):
        return Buckets(places, columns)
    return Buckets.of(_added(places, columns))


def _added(places: Sequence[int], columns: Sequence[Sequence[int]]) -> dict[int, Parts]:
    """Several rollups lie in one bucket where it is clipped."""
    found: dict[int, Parts] = {}
    for place, *parts in zip(places, *columns, strict=True):
        before = found.get(place)
        if before is None:
            found[place] = tuple(parts)
            continue
        total = found[place] = tuple(map(add, before, parts))
        if max(total) > LARGEST:
            raise TotalTooLarge("a total would exceed 64 bits")
    return found
