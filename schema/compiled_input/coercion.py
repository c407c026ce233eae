"""Generated code that checks a variable's value and coerces it, as graphql-core would.

For an input type it writes

    def object_1(v):
        if type(v) is not dict: raise NeedsStandard
        n = 0
        r = {}
        x = v.get("name", Undefined)
        if x is Undefined: raise NeedsStandard        # required
        n += 1
        r["name"] = x if type(x) is str else leaf_0(x)
        …
        if n != len(v): raise NeedsStandard           # a name that the type does not have
        return r

Whatever is wrong with a value makes it raise; graphql-core then does it again and says what.
"""

from collections.abc import Callable
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLID,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLLeafType,
    GraphQLString,
    is_input_object_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_required_input_field,
)
from graphql.pyutils import Undefined
from graphql.utilities.coerce_input_value import coerce_default_value

from schema.compiled.fallback import NeedsStandard
from schema.compiled.names import Names

Coerce = Callable[[Any], Any]
"""The coerced value, or raises: an `Exception` or `NeedsStandard`."""


class NotCompiled(Exception):
    """A type that refers to itself: how deep its values nest is for graphql-core to limit."""


def compile_coercion(type_: GraphQLInputType) -> Coerce:
    """The function that coerces a value of this type. Raises `NotCompiled`."""
    writer = _Writer()
    result = writer.value(type_, "v", 0)
    return writer.function(f"    return {result}\n")


def coerced_leaf(type_: GraphQLLeafType) -> Coerce:
    """Coerces one value of a scalar or an enumeration, by the type's own function."""
    coerce = type_.coerce_input_value

    def coerced(value: Any) -> Any:
        result = coerce(value)
        if result is Undefined:
            raise NeedsStandard
        return result

    return coerced


def require_list(value: Any) -> Any:
    """`value`, which is a list: what else may be one, or stand for one, graphql-core knows."""
    if type(value) is not list:
        raise NeedsStandard
    return value


def require_value(value: Any) -> Any:
    """`value`, which is not null."""
    if value is None:
        raise NeedsStandard
    return value


_ALWAYS = {
    "NeedsStandard": NeedsStandard,
    "Undefined": Undefined,
    "require_list": require_list,
    "require_value": require_value,
}


class _Writer:
    def __init__(self) -> None:
        self._names = Names(_ALWAYS)
        self._texts: list[str] = []
        self._objects: dict[str, str] = {}
        self._within: list[str] = []

    def function(self, body: str) -> Coerce:
        self._texts.append(f"def coerce(v):\n{body}")
        coerce: Coerce = self._names.run("\n".join(self._texts))["coerce"]
        return coerce

    def value(self, type_: GraphQLInputType, name: str, depth: int) -> str:
        """An expression for the variable `name`, which is not `Undefined`."""
        if is_non_null_type(type_):
            # Null fails each test below, and raises.
            return self._not_null(type_.of_type, name, depth)
        return f"None if {name} is None else ({self._not_null(type_, name, depth)})"

    def _not_null(self, type_: GraphQLInputType, name: str, depth: int) -> str:
        if is_list_type(type_):
            inner = f"x{depth}"
            listed = f"require_list({name})"
            return f"[{self.value(type_.of_type, inner, depth + 1)} for {inner} in {listed}]"
        if is_input_object_type(type_):
            return f"{self._object(type_)}({name})"
        if is_leaf_type(type_):
            return self._leaf(type_, name)
        raise NotCompiled

    def _leaf(self, type_: GraphQLLeafType, name: str) -> str:
        coerced = self._names.bind("leaf", coerced_leaf(type_))
        otherwise = f"{coerced}(require_value({name}))"
        if type_ is GraphQLString or type_ is GraphQLID:
            return f"{name} if type({name}) is str else {otherwise}"
        if type_ is GraphQLBoolean:
            return f"{name} if {name} is True or {name} is False else {otherwise}"
        if isinstance(type_, GraphQLEnumType):
            members = self._names.bind("members", _members(type_))
            return f"{members}[{name}] if type({name}) is str else {otherwise}"
        return otherwise

    def _object(self, type_: GraphQLInputObjectType) -> str:
        if type_.name in self._within:
            raise NotCompiled
        if type_.name in self._objects:
            return self._objects[type_.name]
        self._within.append(type_.name)
        lines = ["if type(v) is not dict: raise NeedsStandard", "n = 0", "r = {}"]
        for field_name, field in type_.fields.items():
            out_name = field.out_name or field_name
            lines.append(f"x = v.get({field_name!r}, Undefined)")
            served = self.value(field.type, "x", 0)
            given = f"n += 1; r[{out_name!r}] = {served}"
            if is_required_input_field(field):
                lines += ["if x is Undefined: raise NeedsStandard", given]
                continue
            default = coerce_default_value(field)
            lines.append(f"if x is not Undefined: {given}")
            if default is not Undefined:
                lines.append(f"else: r[{out_name!r}] = {self._names.bind('default', default)}")
        lines.append("if n != len(v): raise NeedsStandard")
        if type_.is_one_of:
            lines.append("if n != 1 or len(r) != 1: raise NeedsStandard")
            lines.append("if next(iter(r.values())) is None: raise NeedsStandard")
        out_type = self._names.bind("out_type", type_.out_type)
        own = type_.out_type is not GraphQLInputObjectType.out_type
        lines.append(f"return {out_type}(r)" if own else "return r")
        self._within.pop()
        name = self._objects[type_.name] = self._names.fresh("object")
        body = "".join(f"    {line}\n" for line in lines)
        self._texts.append(f"def {name}(v):\n{body}")
        return name


def _members(type_: GraphQLEnumType) -> dict[str, Any]:
    members = {}
    for name in type_.values:
        try:
            members[name] = type_.coerce_input_value(name)
        except Exception as error:  # noqa: BLE001  # then no value of it is taken: the standard says why
            del error
    return members
