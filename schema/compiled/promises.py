"""What a schema promises of its values, so that generated code may rely on it.

What the code of a scalar or of a list does is never guessed: it is said here, or looked at value
by value.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ServedAsIs:
    """Whole numbers from `least` to `most` leave a scalar as they are: `int` exactly, no `bool`."""

    least: int
    most: int


@dataclass(frozen=True, slots=True)
class ServedBy:
    """Values of exactly the class `of` leave a scalar by `serve`, which gives text or raises, has
    no effect, and gives the same for the same.
    """

    of: type
    serve: Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Promises:
    """`scalars` by their names. `by_column` are classes of lists that are kept by column, and of
    their columns those whose values are all of exactly one class.
    `unchanging` are, by the names of types, exact classes of objects that never change, nor does
    anything that is read through them.

    A list by column has `columns`, which maps the names of its rows' attributes to what each row
    has, in order: just what reading the attributes of its items would give. Its items are objects
    of one class, and their attributes neither errors nor to be awaited.
    """

    scalars: Mapping[str, ServedAsIs | ServedBy] = field(default_factory=dict)
    by_column: Mapping[type, Mapping[str, type]] = field(default_factory=dict)
    unchanging: Mapping[str, type] = field(default_factory=dict)


NOTHING = Promises()
