"""What changed between two states of a series, in absolute values.

Applying a delta twice does no harm, and any two states of one window have one, however many lay
between them: that is what lets a slow subscriber skip.
"""

from dataclasses import dataclass
from datetime import datetime

from trunkline.usage.series import Group, Series, Sums, keys_of


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
    if not changes and order == keys_of(held.groups) and held.as_of == newest.as_of:
        return None
    return Delta(newest.as_of, newest.totals, order, changes)


def _change(held: Group | None, newest: Group) -> Group | None:
    if held is None:
        return newest
    if held == newest:
        return None
    changed = tuple(
        now for before, now in zip(held.points, newest.points, strict=True) if before != now
    )
    return Group(
        key=newest.key,
        kind=newest.kind,
        label=newest.label,
        subject=newest.subject,
        dimension=newest.dimension,
        totals=newest.totals,
        points=changed,
    )
