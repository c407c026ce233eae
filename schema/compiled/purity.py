"""Which resolvers generated code may call, and call again."""

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__depends_only_on_its_parent__"


def pure(resolver: F) -> F:
    """Mark a resolver that is a function of its parent: no other argument, no effect, no await.

    Generated code calls it like it reads an attribute, and once more where the standard execution
    is to report what went wrong. Put it right above the function, below Strawberry's own
    decorator.
    """
    setattr(resolver, _MARK, True)
    return resolver


def is_pure(resolver: object) -> bool:
    """Whether `pure` marked it."""
    return getattr(resolver, _MARK, False) is True
