"""What makes generated code give up, and leave a value to the standard execution."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from graphql.pyutils import Undefined
from strawberry.execution import optimized_is_awaitable

SETTLED = frozenset(
    {
        bool,
        int,
        float,
        str,
        bytes,
        list,
        tuple,
        dict,
        set,
        frozenset,
        date,
        datetime,
        time,
        timedelta,
        Decimal,
        UUID,
    }
)
"""Exact types whose values are neither null, nor an error, nor to be awaited."""

UNCHANGING = SETTLED - {list, dict, set} | {type(None)}
"""Exact types of values that nobody can change, whoever else has them."""

LISTS = frozenset({list, tuple})
"""Exact types that can be read twice. A generator can't, and is the standard execution's."""

# Reading an attribute is what Python makes it; a tuple's own class has the same under its name.
_ORDINARY = (object.__getattribute__, tuple.__getattribute__)

_MOST_KNOWN = 1_000
_known_classes: set[type] = set()


class NeedsStandard(BaseException):
    """The standard execution must complete this value: there is an error, or something rare.

    No `Exception`: the code of types and scalars that runs below must not swallow it.
    """


class NoInfo:
    """Stands for `info` where generated code has none: whoever looks at it needs the standard."""

    __slots__ = ()

    def __getattr__(self, _name: str) -> Any:
        raise NeedsStandard


NO_INFO = NoInfo()


def known_classes() -> set[type]:
    """The classes of objects that `require_object` has passed; generated code looks here first."""
    return _known_classes


def require_object(value: object) -> None:
    """Raise `NeedsStandard` unless `value` is an object whose fields can be read right away.

    The answer is kept for the class, where it can be no other for another object of it.
    """
    require_settled(value)
    cls = type(value)
    if cls.__getattribute__ in _ORDINARY and not hasattr(cls, "__getattr__"):
        if len(_known_classes) >= _MOST_KNOWN:  # Classes that are made on the fly.
            _known_classes.clear()
        _known_classes.add(cls)


def require_list(value: object) -> Any:
    """`value`, where it is a plain list; raise `NeedsStandard` otherwise."""
    if type(value) not in LISTS:
        raise NeedsStandard
    return value


def require_settled(value: object) -> None:
    """Raise `NeedsStandard` for null, for an error, and for what is to be awaited."""
    if (
        value is None
        or value is Undefined
        or isinstance(value, Exception)
        or optimized_is_awaitable(value)
    ):
        raise NeedsStandard
