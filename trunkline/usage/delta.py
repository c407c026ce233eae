"""What changed between two states of a series, in absolute values.

Applying a delta twice does no harm, and any two states of one window have one, however many lay
between them: that is what lets a slow subscriber skip.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from trunkline.usage.points import Point
from trunkline.usage.series import Group, Series, keys_of
from trunkline.usage.totals import Sums


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Whole: replaces what the subscriber holds."""

    series: Series


@dataclass(frozen=True, slots=True)
class Delta:
    """`order` is every group's key, ranked; a group that it lacks is gone. `changes` hold every
    point of a group that is new to the subscriber, else those that changed.
    """

    as_of: datetime
    totals: Sums
    order: tuple[str, ...]
    changes: tuple[Group, ...]
    previous_totals: Sums | None = None


Update = Snapshot | Delta


def update_between(held: Series | None, newest: Series) -> Update | None:
    """What brings somebody who holds `held` to `newest`; None where they look the same."""
    if held is None or held.window != newest.window:
        return Snapshot(newest)
    by_key = {group.key: group for group in held.groups}
    changes = tuple(
        change
        for group in newest.groups
        if (change := _change(by_key.get(group.key), group)) is not None
    )
    order = keys_of(newest.groups)
    same = not changes and order == keys_of(held.groups) and held.as_of == newest.as_of
    if same and held.previous_totals == newest.previous_totals:
        return None
    return Delta(newest.as_of, newest.totals, order, changes, newest.previous_totals)


def sharing(newest: Series, held: Series | None) -> Series:
    """`newest`, made of the groups and points of `held` where they are equal; `held` itself where
    nothing differs.

    So a subscriber that has stopped reading holds little that nobody else does, and comparing two
    states mostly compares identities.
    """
    newest = replace(newest, groups=tuple(map(_with_its_points, newest.groups)))
    if held is None or held.window != newest.window:
        return newest
    if held == newest:
        return held
    by_key = {group.key: group for group in held.groups}
    groups = tuple(_sharing(group, by_key.get(group.key)) for group in newest.groups)
    return replace(newest, window=held.window, groups=groups)


def _with_its_points(group: Group) -> Group:
    """Points as objects: they are compared at each change, and shared."""
    return replace(group, points=tuple(group.points))


def _sharing(newest: Group, held: Group | None) -> Group:
    if held is None:
        return newest
    points = tuple(
        before if before == now else now
        for before, now in zip(held.points, newest.points, strict=True)
    )
    shared = replace(newest, points=points)
    return held if shared == held else shared


def _change(held: Group | None, newest: Group) -> Group | None:
    if held is None:
        return newest
    if held is newest or held == newest:
        return None
    return replace(newest, points=_changed(held.points, newest.points))


def _changed(held: Sequence[Point], newest: Sequence[Point]) -> tuple[Point, ...]:
    return tuple(
        now
        for before, now in zip(held, newest, strict=True)
        # By identity first: comparing every field takes ten times as long.
        if before is not now and before != now
    )
