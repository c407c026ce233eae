"""Stretches of a series as text: what is kept of one is what it says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db import rollup_columns
from db.columns import to_microseconds
from db.rollup_columns import LEAST_KEPT, Buckets, buckets_of, whole_columns
from db.rollup_grid import Grid
from db.rollup_levels import HOUR, LEVELS, Stretch
from db.tables import usage_rollups

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)


def text(*values: Any) -> str:
    return ",".join(map(str, values))


def stretch(cells: list[tuple[str, int, int]]) -> list[str | None]:
    """Groups, places and one sum, as the store gives them."""
    groups, places, sums = zip(*cells, strict=True)
    return [text(*(f'"{one}"' for one in groups)), text(*places), text(*sums)]


def held(found: dict[Any, Buckets]) -> dict[Any, dict[int, tuple[int, ...]]]:
    return {group: dict(buckets) for group, buckets in found.items()}


@pytest.mark.parametrize(
    "cells",
    [
        [("a", 0, 5), ("b", 0, 6), ("a", 1, 7), ("b", 1, 8)],
        [("a", 0, 5), ("b", 0, 6), ("a", 1, 7)],
        [("a", 0, 5), ("b", 0, 6), ("b", 1, 7), ("a", 1, 8)],
        [("a", 0, 5), ("a", 1, 6)],
        [("a", 0, 5), ("a", 0, 6)],
        [("a", 0, 5), ("b", 0, 1), ("a", 0, 6), ("b", 0, 2)],
    ],
)
def test_rows_come_to_their_groups_and_buckets(cells: list[tuple[str, int, int]]) -> None:
    expected: dict[str, dict[int, tuple[int, ...]]] = {}
    for group, place, value in cells:
        own = expected.setdefault(group, {})
        own[place] = (own.get(place, (0,))[0] + value,)
    for cut in range(len(cells) + 1):
        parts = [stretch(part) for part in (cells[:cut], cells[cut:]) if part]
        assert held(buckets_of([*parts, [None, None, None]])) == expected


def test_a_long_stretch_is_read_once_until_it_says_something_else() -> None:
    rollup_columns._kept.cache_clear()
    cells = [("a", place, place * 1_000) for place in range(1_000)]
    row = stretch(cells)
    assert sum(len(one or "") for one in row) >= LEAST_KEPT
    for hits in (0, 1):
        assert held(buckets_of([row, stretch([("a", 1_000, 5)])]))["a"][1_000] == (5,)
        assert rollup_columns._kept.cache_info().hits == hits
    # What came of it before was not changed by the other stretch beside it.
    assert len(buckets_of([row])["a"]) == 1_000
    cells[3] = ("a", 3, 9)
    assert held(buckets_of([stretch(cells)]))["a"][3] == (9,)
    assert rollup_columns._kept.cache_info().misses == 2


def test_the_last_bucket_is_a_stretch_of_its_own() -> None:
    """So that what is recorded now leaves the text of all before as it was."""
    hour = next(one for one in LEVELS if one.columns == {"agent"} and one.grain == HOUR)
    grid = Grid(to_microseconds(BEGIN), HOUR, BEGIN, BEGIN + timedelta(hours=5))
    run = Stretch(hour.number, grid.origin, grid.origin + 5 * HOUR)
    _, values = whole_columns(grid, [(hour, run)], usage_rollups.c.agent, ["requests"], [])
    bounds = [(values[f"begin_{one}"], values[f"end_{one}"]) for one in (0, 1)]
    last = grid.origin + 4 * HOUR
    assert bounds == [(run.begin, last), (last, run.end)]
