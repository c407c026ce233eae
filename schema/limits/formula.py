"""Sums and products in which only what variables say is open; the rest is worked out when written.

Parts are shared: evaluating visits each once, however often it is added in.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Variables = dict[str, Any]
"""By name, as the client sent them, with the operation's defaults."""
Factor = Callable[[Variables], int]


@dataclass(frozen=True, slots=True, eq=False)
class Formula:
    """`fixed`, and each part as often as its factor says."""

    fixed: int = 0
    parts: tuple[tuple[Factor, "Formula"], ...] = ()

    def value(self, variables: Variables) -> int:
        """What it comes to with these variables."""
        return _value(self, variables, {})


class Constant:
    """A factor that no variable changes."""

    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, _variables: Variables) -> int:
        """The same each time."""
        return self.size


_ONCE = Constant(1)


def times(factor: Factor, formula: Formula) -> Formula:
    """The formula as often as the factor says."""
    if isinstance(factor, Constant):
        if not factor.size:
            return Formula()
        if not formula.parts:
            return Formula(factor.size * formula.fixed)
    return Formula(0, ((factor, formula),))


def total(formulas: Iterable[Formula]) -> Formula:
    """All of them together; those in which nothing is open become one number."""
    fixed = 0
    parts: list[tuple[Factor, Formula]] = []
    for formula in formulas:
        if formula.parts:
            parts.append((_ONCE, formula))
        else:
            fixed += formula.fixed
    if not fixed and len(parts) == 1:
        return parts[0][1]
    return Formula(fixed, tuple(parts))


def _value(formula: Formula, variables: Variables, known: dict[int, int]) -> int:
    if not formula.parts:
        return formula.fixed
    value = known.get(id(formula))
    if value is None:
        value = formula.fixed
        for factor, part in formula.parts:
            count = factor(variables)
            if count:
                value += count * _value(part, variables, known)
        known[id(formula)] = value
    return value
