"""Writes the Python that completes a shape: attributes in, dictionaries for JSON out.

For `{ name pricing { tiered } }` on a list of models it writes

    def fields_1(v):
        a0 = v.tiered
        return {"tiered": a0 if a0 is True or a0 is False else leaf_0(a0)}

    def fields_2(v):
        a0 = v.name
        a1 = v.pricing
        return {"name": …, "pricing": None if a1 is None else object_1(a1)}

where `object_1` checks that its argument is an object of the type, and is `fields_1` then. Wherever
a value is not what the schema promises, the code raises, and the standard execution completes it.
"""

from collections.abc import Callable, Iterable, Mapping
from keyword import iskeyword
from math import inf
from typing import Any

from graphql import GraphQLObjectType, is_leaf_type

from schema.compiled.fallback import (
    LISTS,
    NO_INFO,
    SETTLED,
    NeedsStandard,
    known_classes,
    require_list,
    require_object,
)
from schema.compiled.leaves import leaf_expression, whole_column
from schema.compiled.names import Names
from schema.compiled.promises import Promises
from schema.compiled.shapes import PlainField, Selected, Value
from schema.compiled.unchanging import keep, kept, new_number

Complete = Callable[[Any], Any]
"""Completes a value, or raises: an `Exception` or `NeedsStandard`."""

_ALWAYS = {
    "NeedsStandard": NeedsStandard,
    "NO_INFO": NO_INFO,
    "inf": inf,
    "keep": keep,
    "kept": kept,
    "known": known_classes(),
    "lists": LISTS,
    "require_list": require_list,
    "require_object": require_object,
    "settled": SETTLED,
}


def compile_value(value: Value, promises: Promises) -> Complete:
    """The function that completes one value that isn't null."""
    writer = _Writer(promises)
    result = writer.settled_value(value, "v", 0)
    return writer.function("complete", f"    return {result}\n")


def compile_fields(fields: Iterable[tuple[str, PlainField | None]], promises: Promises) -> Complete:
    """The function from an object to its response, for an object that was checked.

    The response holds every name in the given order, and None where the field is not plain.
    """
    writer = _Writer(promises)
    return writer.function("complete", writer.body(fields))


class _Writer:
    def __init__(self, promises: Promises) -> None:
        self._names = Names(_ALWAYS)
        self._promises = promises
        self._texts: list[str] = []

    def function(self, name: str, body: str) -> Complete:
        self._texts.append(f"def {name}(v):\n{body}")
        complete: Complete = self._names.run("\n".join(self._texts))[name]
        return complete

    def body(self, fields: Iterable[tuple[str, PlainField | None]]) -> str:
        reads: list[str] = []
        entries: list[str] = []
        for number, (response_name, field) in enumerate(fields):
            served = "None"
            if field is not None and field.value is None:
                served = repr(field.read)
            elif field is not None and field.value is not None:
                name = f"a{number}"
                reads.append(f"    {name} = {self._read(field)}\n")
                served = self.nullable_value(field.value, name, 0)
            entries.append(f"        {response_name!r}: {served},\n")
        return f"{''.join(reads)}    return {{\n{''.join(entries)}    }}\n"

    def nullable_value(self, value: Value, name: str, depth: int) -> str:
        settled = self.settled_value(value, name, depth)
        return f"None if {name} is None else ({settled})" if value.nullable else settled

    def settled_value(self, value: Value, name: str, depth: int) -> str:
        match value.of:
            case Selected(type=type_, fields=fields):
                return f"{self._object(type_, fields)}({name})"
            case Value() as item:
                inner = f"x{depth}"
                served = self.nullable_value(item, inner, depth + 1)
                items = f"({name} if type({name}) in lists else require_list({name}))"
                listed = f"[{served} for {inner} in {items}]"
                return f"{self._by_column(item, name)}{listed}"
            case leaf if is_leaf_type(leaf):
                return leaf_expression(leaf, name, self._names, self._promises.scalars)
        raise TypeError(f"no shape: {value!r}")

    def _object(self, type_: GraphQLObjectType, fields: tuple[PlainField, ...]) -> str:
        check = "    if type(v) not in known: require_object(v)\n"
        if type_.is_type_of is not None:
            is_type_of = self._names.bind("is_type_of", type_.is_type_of)
            check += f"    if {is_type_of}(v, NO_INFO) is not True: raise NeedsStandard\n"
        body = self.body((field.response_name, field) for field in fields)
        name = self._names.fresh("object")
        self._texts.append(f"def {name}(v):\n{check}{body}")
        unchanging = self._promises.unchanging.get(type_.name)
        return name if unchanging is None else self._kept(name, unchanging)

    def _kept(self, serve: str, unchanging: type) -> str:
        """The function that serves an object of this class once: see `unchanging.py`."""
        name = self._names.fresh("kept")
        number = self._names.bind("number", new_number())
        cls = self._names.bind("unchanging", unchanging)
        self._texts.append(
            f"def {name}(v):\n"
            f"    if type(v) is not {cls}: return {serve}(v)\n"
            f"    key = {number}, id(v)\n"
            "    found = kept.get(key)\n"
            "    if found is not None and found[0] is v: return found[1]\n"
            f"    return keep(key, v, {serve}(v))\n"
        )
        return name

    def _by_column(self, item: Value, name: str) -> str:
        """What completes a list of these that is kept by column, up to an `else`; or nothing."""
        if not isinstance(item.of, Selected) or item.of.type.is_type_of is not None:
            return ""
        found = ""
        for cls, classes in self._promises.by_column.items():
            complete = self._columns(item.of.fields, classes)
            if complete is not None:
                listed = self._names.bind("listed", cls)
                found += f"{complete}({name}) if type({name}) is {listed} else "
        return found

    def _columns(self, fields: tuple[PlainField, ...], classes: Mapping[str, type]) -> str | None:
        """The function from such a list to its response. It needs no object for an item, so there
        is one where every field is a leaf.
        """
        columns: list[str] = []
        entries: list[str] = []
        served: list[str] = []
        for field in fields:
            if field.value is None:
                entries.append(f"{field.response_name!r}: {field.read!r}")
                continue
            if not isinstance(field.read, str) or not is_leaf_type(field.value.of):
                return None
            name = f"a{len(columns)}"
            served.append(self._column(field.value, name, field.read, classes))
            columns.append(f"s{name}")
            entries.append(f"{field.response_name!r}: {name}")
        if not columns:
            return None
        name = self._names.fresh("columns")
        targets = "".join(f"a{number}, " for number in range(len(columns)))
        self._texts.append(
            f"def {name}(v):\n"
            "    c = v.columns\n"
            f"{''.join(served)}"
            f"    return [{{{', '.join(entries)}}}\n"
            f"            for {targets}in zip({', '.join(columns)}, strict=True)]\n"
        )
        return name

    def _column(self, value: Value, name: str, read: str, classes: Mapping[str, type]) -> str:
        """Serves a column: whole where that can be, else value by value."""
        column = f"c[{read!r}]"
        one_by_one = f"[{self.nullable_value(value, name, 0)} for {name} in {column}]"
        whole = whole_column(value.of, self._promises.scalars, classes.get(read))
        if whole is None:
            return f"    s{name} = {one_by_one}\n"
        return (
            f"    s{name} = {self._names.bind('whole', whole)}({column})\n"
            f"    if s{name} is None: s{name} = {one_by_one}\n"
        )

    def _read(self, field: PlainField) -> str:
        if not isinstance(field.read, str):
            return f"{self._names.bind('read', field.read)}(v)"
        if field.read.isidentifier() and not iskeyword(field.read):
            return f"v.{field.read}"
        return f"getattr(v, {field.read!r})"
