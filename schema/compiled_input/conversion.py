"""Generated code that makes Strawberry's inputs of coerced values, as `convert_arguments` would.

For `@strawberry.input class Window: period: Period; labels: list[str] | None = UNSET` it writes

    def input_1(v):
        k = {"period": None}
        if "period" in v:
            x = v["period"]
            k["period"] = x
        if "labels" in v:
            x = v["labels"]
            k["labels"] = x if x is None or x is UNSET else list(x)
        return cls_0(**k)
"""

from collections.abc import Callable
from dataclasses import MISSING
from typing import Any

from strawberry.relay import GlobalID
from strawberry.scalars import is_scalar
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.base import (
    StrawberryList,
    StrawberryMaybe,
    StrawberryOptional,
    StrawberryType,
    has_object_definition,
)
from strawberry.types.enum import StrawberryEnumDefinition, has_enum_definition
from strawberry.types.lazy_type import LazyType
from strawberry.types.maybe import Some
from strawberry.types.unset import UNSET

from schema.compiled.names import Names

Convert = Callable[[dict[str, Any]], dict[str, Any]]
"""From the coerced arguments, by their names on the wire, to a resolver's keyword arguments."""

AnyType = StrawberryType | type


class NotConvertible(Exception):
    """Strawberry must convert it: a Relay id, a `Maybe` that takes no null, `from_input`."""


def compile_conversion(
    converter: GraphQLCoreConverter, arguments: list[StrawberryArgument]
) -> Convert:
    """The function that converts the arguments of one field. Raises `NotConvertible`."""
    return _Writer(converter).arguments(arguments)


class _Writer:
    def __init__(self, converter: GraphQLCoreConverter) -> None:
        self._converter = converter
        self._names = Names({"UNSET": UNSET, "Some": Some})
        self._texts: list[str] = []
        self._inputs: dict[int, str] = {}

    def arguments(self, arguments: list[StrawberryArgument]) -> Convert:
        lines = ["k = {}"]
        for argument in arguments:
            name = self._converter.config.name_converter.from_argument(argument)
            lines += self._entry(name, argument.python_name, argument.type)
        self._define("convert", [*lines, "return k"])
        convert: Convert = self._names.run("\n".join(self._texts))["convert"]
        return convert

    def _entry(self, name: str, python_name: str, type_: AnyType) -> list[str]:
        return [
            f"if {name!r} in v:",
            f"    x = v[{name!r}]",
            f"    k[{python_name!r}] = {self._value(type_, 'x', 0)}",
        ]

    def _value(self, type_: AnyType, name: str, depth: int) -> str:
        """An expression for the converted value of the variable `name`."""
        if isinstance(type_, StrawberryMaybe):
            if not isinstance(type_.of_type, StrawberryOptional):
                raise NotConvertible
            return f"Some({self._value(type_.of_type, name, depth)})"
        if isinstance(type_, StrawberryOptional):
            return self._value(type_.of_type, name, depth)
        if isinstance(type_, LazyType):
            return self._value(type_.resolve_type(), name, depth)
        if type_ is GlobalID:
            raise NotConvertible
        if isinstance(type_, StrawberryList):
            inner = f"x{depth}"
            item = self._value(type_.of_type, inner, depth + 1)
            # Copied in any case: a default is one list for all who leave the argument out.
            made = f"list({name})" if item == inner else f"[{item} for {inner} in {name}]"
        elif self._is_leaf(type_):
            return name
        elif has_object_definition(type_):
            made = f"{self._input(type_)}({name})"
        else:
            raise NotConvertible
        return f"{name} if {name} is None or {name} is UNSET else {made}"

    def _is_leaf(self, type_: AnyType) -> bool:
        return (
            is_scalar(type_, self._converter.scalar_registry)
            or isinstance(type_, StrawberryEnumDefinition)
            or has_enum_definition(type_)
        )

    def _input(self, type_: Any) -> str:
        if id(type_) in self._inputs:
            return self._inputs[id(type_)]
        definition = type_.__strawberry_definition__
        if definition.from_input is not None:
            raise NotConvertible
        # Named before it is written: an input may hold others of its type.
        name = self._inputs[id(type_)] = self._names.fresh("input")
        # As Strawberry has it, what has no default of its own is None until it is given.
        bare = {
            field.python_name: None
            for field in definition.fields
            if definition.is_input
            and field.default_value is MISSING
            and field.default_factory is MISSING
        }
        lines = [f"k = {bare!r}"]
        for field in definition.fields:
            wire_name = self._converter.config.name_converter.from_field(field)
            field_type = field.resolve_type(type_definition=definition)
            lines += self._entry(wire_name, field.python_name, field_type)
        self._define(name, [*lines, f"return {self._names.bind('cls', type_)}(**k)"])
        return name

    def _define(self, name: str, lines: list[str]) -> None:
        body = "".join(f"    {line}\n" for line in lines)
        self._texts.append(f"def {name}(v):\n{body}")
