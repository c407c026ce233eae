"""How generated code serves the values of scalars and enumerations.

Most values are of exactly the type that a scalar expects and are served as they are, so a test of
the type is all they cost. Everything else goes through the type's own `coerce_output_value`, with
the checks that graphql-core makes around it.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLScalarType,
    GraphQLString,
)
from strawberry.schema.schema_converter import CustomGraphQLEnumType

from schema.compiled.fallback import SETTLED, require_settled
from schema.compiled.names import Names
from schema.compiled.promises import ServedAsIs, ServedBy

Scalars = Mapping[str, ServedAsIs | ServedBy]
"""What is promised of scalars, by their names."""


def leaf_expression(type_: GraphQLLeafType, name: str, names: Names, scalars: Scalars) -> str:
    """The value of the variable `name` as it is served; null was ruled out before."""
    otherwise = f"{names.bind('leaf', served_leaf(type_))}({name})"
    if isinstance(type_, CustomGraphQLEnumType):
        return _enum_expression(type_, name, names, otherwise)
    if type_ is GraphQLString or type_ is GraphQLID:
        return f"{name} if type({name}) is str else {otherwise}"
    if type_ is GraphQLBoolean:
        return f"{name} if {name} is True or {name} is False else {otherwise}"
    if type_ is GraphQLInt:
        return (
            f"{name} if type({name}) is int and -0x80000000 <= {name} < 0x80000000 else {otherwise}"
        )
    if type_ is GraphQLFloat:
        return f"{name} if type({name}) is float and -inf < {name} < inf else {otherwise}"
    match scalars.get(type_.name) if isinstance(type_, GraphQLScalarType) else None:
        case ServedAsIs(least=least, most=most):
            return f"{name} if type({name}) is int and {least} <= {name} <= {most} else {otherwise}"
        case ServedBy(of=of, serve=serve):
            served = f"{names.bind('serve', serve)}({name})"
            return f"{served} if type({name}) is {names.bind('exactly', of)} else {otherwise}"
    coerce = names.bind("coerce", type_.coerce_output_value)
    return (
        f"s if type({name}) in settled and type(s := {coerce}({name})) in settled else {otherwise}"
    )


Whole = Callable[[Sequence[Any]], Sequence[Any] | None]
"""Serves a column; None where some of its values must be looked at one by one."""


def whole_column(type_: Any, scalars: Scalars, known: type | None) -> Whole | None:
    """How a column of these leaves is served without a look at each: Python's own functions find
    out that all are of one class and within bounds in a fifth of the time. `known` is the class of
    all values, where it is promised.
    """
    if type_ is GraphQLString or type_ is GraphQLID:
        return _all_of(str, known)
    if type_ is GraphQLBoolean:
        return _all_of(bool, known)
    if type_ is GraphQLInt:
        return _all_between(-0x80000000, 0x7FFFFFFF, known)
    match scalars.get(type_.name) if isinstance(type_, GraphQLScalarType) else None:
        case ServedAsIs(least=least, most=most):
            return _all_between(least, most, known)
        case ServedBy(of=of, serve=serve):
            return _all_by(of, serve, known)
    return None


def _are_all(column: Sequence[Any], cls: type) -> bool:
    return list(map(type, column)).count(cls) == len(column)


def _all_of(cls: type, known: type | None) -> Whole:
    return lambda column: column if known is cls or _are_all(column, cls) else None


def _all_between(least: int, most: int, known: type | None) -> Whole:
    def serve(column: Sequence[Any]) -> Sequence[Any] | None:
        if not column or (known is not int and not _are_all(column, int)):
            return None
        smallest = min(column)
        # Where none is negative their sum says it, in a third of the time.
        small = (smallest >= 0 and sum(column) <= most) or max(column) <= most
        return column if small and smallest >= least else None

    return serve


class _LastServed:
    """The last tuple that a function served, and what came of it. Lists that are kept by column
    share some: all groups of a series begin at the same instants.
    """

    __slots__ = ("pair",)

    def __init__(self) -> None:
        self.pair: tuple[Sequence[Any], Sequence[Any]] = ((), ())


@lru_cache(maxsize=64)
def _last_served(_serve: Callable[[Any], Any]) -> _LastServed:
    return _LastServed()


def _all_by(cls: type, serve: Callable[[Any], Any], known: type | None) -> Whole:
    last = _last_served(serve)

    def serve_all(column: Sequence[Any]) -> Sequence[Any] | None:
        before, served = last.pair
        if column is before:
            return served
        if known is not cls and not _are_all(column, cls):
            return None
        served = list(map(serve, column))
        if type(column) is tuple:  # Which stays what it is.
            last.pair = (column, served)
        return served

    return serve_all


def served_leaf(type_: GraphQLLeafType) -> Callable[[Any], Any]:
    """Serves any value, or raises what keeps it from being served."""
    coerce = type_.coerce_output_value

    def serve(value: Any) -> Any:
        require_settled(value)
        served = coerce(value)
        if type(served) not in SETTLED:
            require_settled(served)
        return served

    return serve


def _enum_expression(type_: CustomGraphQLEnumType, name: str, names: Names, otherwise: str) -> str:
    cls = type_.wrapped_cls
    if type(type_) is not CustomGraphQLEnumType or not issubclass(cls, Enum):
        return otherwise
    served: dict[str, str] = {}
    for member in cls:
        try:
            served[member._name_] = type_.coerce_output_value(member)
        except Exception as error:  # noqa: BLE001  # one that isn't served: the standard says so
            del error
    # By its name: hashing a member costs more. What has no such name raises, and is the standard's.
    return (
        f"{names.bind('wire', served)}[{name}._name_] "
        f"if type({name}) is {names.bind('enum', cls)} else {otherwise}"
    )
