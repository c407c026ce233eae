"""What was served of objects that never change. The next operation that selects the same of the
same object gets it again.

An object is found by its identity, and is held for as long as what was served of it.
"""

from itertools import count
from typing import Any

MOST_KEPT = 4_096
"""Objects, each counted once for every selection: a few megabytes."""

Key = tuple[int, int]
"""A selection's number, and the identity of an object."""

kept: dict[Key, tuple[object, dict[str, Any]]] = {}
"""The object itself, and what was served of it. Nobody changes either."""

_numbers = count()


def new_number() -> int:
    """The number of another selection."""
    return next(_numbers)


def keep(key: Key, value: object, served: dict[str, Any]) -> dict[str, Any]:
    """Keep what was served of the object, and give it back."""
    if len(kept) >= MOST_KEPT:
        kept.clear()
    kept[key] = value, served
    return served
