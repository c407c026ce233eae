"""A client that merges live updates by the contract's rules, to hold against what is answered."""

from dataclasses import replace

from trunkline.usage.delta import Snapshot, Update
from trunkline.usage.series import Group, Series


def merge(held: Series | None, update: Update) -> Series:
    """What the client holds after an update."""
    if isinstance(update, Snapshot):
        return update.series
    assert held is not None, "a delta came before any snapshot"
    groups = {group.key: group for group in held.groups}
    for change in update.changes:
        groups[change.key] = _changed(groups.get(change.key), change, held)
    return replace(
        held,
        as_of=update.as_of,
        totals=update.totals,
        previous_totals=update.previous_totals,
        groups=tuple(groups[key] for key in update.order),
    )


def _changed(before: Group | None, change: Group, held: Series) -> Group:
    points = {} if before is None else {point.start: point for point in before.points}
    points |= {point.start: point for point in change.points}
    starts = held.window.bucket_starts
    assert set(points) == set(starts), "a group that is new brings every point"
    return replace(change, points=tuple(points[start] for start in starts))
