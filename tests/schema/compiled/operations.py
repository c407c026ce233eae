"""Random operations over a schema, nearly all of them valid, and variables for them.

Everything comes from the dice that are given, so a seed gives the same operations again.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
    is_non_null_type,
    is_required_argument,
    is_required_input_field,
)

Composite = GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType
Scalars = dict[str, Callable[[Random], Any]]
"""By the scalar's name: a value as JSON has it, most often a right one."""

BASIC: Scalars = {
    "String": lambda dice: dice.choice(["", "x", "anthropic", 'q"uo\\te', "é☃", "a b"]),
    "ID": lambda dice: dice.choice(["1", "x", "TW9kZWw6MQ", 7]),
    "Int": lambda dice: dice.choice([0, 1, 2, 3, 5, 50, -1, 2**31 - 1]),
    "Float": lambda dice: dice.choice([0, 1.5, -2, 1e300]),
    "Boolean": lambda dice: dice.random() < 0.5,
}
WRONG: list[Any] = [None, "", "x", 0, -1, 2**31, 2**53, 1.5, True, [], {}, [None], {"x": 1}, "RED"]


@dataclass
class Operation:
    """A document with one operation, and the types of its variables."""

    text: str
    variables: dict[str, GraphQLInputType]


@dataclass
class Generator:
    """Makes operations. `skipped` are fields that are left out, as `Type.field`."""

    schema: GraphQLSchema
    dice: Random
    scalars: Scalars = field(default_factory=lambda: dict(BASIC))
    skipped: frozenset[str] = frozenset()
    most_fields: int = 40

    def operation(self, kind: str = "query") -> Operation:
        """A new one."""
        self._variables: dict[str, tuple[GraphQLInputType, str]] = {}
        self._fragments: list[tuple[str, Composite, str]] = []
        self._left = self.dice.randrange(1, self.most_fields)
        root = getattr(self.schema, f"{kind}_type")
        selection = self._selection(root, self.dice.randrange(2, 8))
        declared = ", ".join(f"${name}: {text}" for name, (_, text) in self._variables.items())
        head = f"{kind} Q({declared})" if declared else f"{kind} Q"
        fragments = "".join(
            f"\nfragment {name} on {on.name} {text}" for name, on, text in self._fragments
        )
        types = {name: type_ for name, (type_, _) in self._variables.items()}
        return Operation(f"{head} {selection}{fragments}", types)

    def values(self, operation: Operation, *, wrong: float) -> dict[str, Any]:
        """Variables for it; each is wrong somewhere with about this probability."""
        found: dict[str, Any] = {}
        for name, type_ in operation.variables.items():
            if not is_non_null_type(type_) and self.dice.random() < 0.15:
                continue
            found[name] = self.value(type_, wrong)
        if self.dice.random() < wrong / 2:
            found.pop(next(iter(found), ""), None)
        return found

    def value(self, type_: GraphQLInputType, wrong: float = 0.0) -> Any:
        """A value as JSON has it."""
        dice = self.dice
        if dice.random() < wrong / 3:
            return dice.choice(WRONG)
        if is_non_null_type(type_):
            return self._some(type_.of_type, wrong)
        if dice.random() < 0.1:
            return None
        return self._some(type_, wrong)

    def _some(self, type_: GraphQLInputType, wrong: float) -> Any:
        dice = self.dice
        if is_non_null_type(type_):
            return self._some(type_.of_type, wrong)
        if is_list_type(type_):
            if dice.random() < 0.1:
                return self._some(type_.of_type, wrong)
            return [self.value(type_.of_type, wrong) for _ in range(dice.randrange(4))]
        if isinstance(type_, GraphQLEnumType):
            return dice.choice(list(type_.values))
        if isinstance(type_, GraphQLInputObjectType):
            return self._object(type_, wrong)
        return self.scalars[type_.name](dice)  # type: ignore[union-attr]  # a scalar is left

    def _object(self, type_: GraphQLInputObjectType, wrong: float) -> dict[str, Any]:
        dice = self.dice
        if type_.is_one_of:
            name = dice.choice(list(type_.fields))
            return {name: self._some(type_.fields[name].type, wrong)}
        found = {
            name: self.value(one.type, wrong)
            for name, one in type_.fields.items()
            if (is_required_input_field(one) and dice.random() >= wrong / 4) or dice.random() < 0.4
        }
        if dice.random() < wrong / 4:
            found[dice.choice(["surplus", "x", ""])] = 1
        items = list(found.items())
        dice.shuffle(items)
        return dict(items)

    def _selection(self, parent: Composite, depth: int) -> str:
        parts = [self._part(parent, depth) for _ in range(self.dice.randrange(1, 6))]
        if not any(parts):
            parts.append("__typename")
        return "{ " + " ".join(part for part in parts if part) + " }"

    def _part(self, parent: Composite, depth: int) -> str:
        roll = self.dice.random()
        if roll < 0.08:
            return self.dice.choice(["__typename", "t: __typename"]) + self._directives()
        if roll < 0.2 or isinstance(parent, GraphQLUnionType):
            on = self.dice.choice(self._overlapping(parent))
            condition = "" if on is parent and roll < 0.1 else f" on {on.name}"
            return (
                f"...{condition}{self._directives()} {self._selection(on, depth - 1)}"
                if depth
                else ""
            )
        if roll < 0.3:
            return self._spread(parent, depth)
        return self._field(parent, depth)

    def _spread(self, parent: Composite, depth: int) -> str:
        possible = self._overlapping(parent)
        known = [name for name, on, _ in self._fragments if on in possible]
        if known and self.dice.random() < 0.5:
            return f"...{self.dice.choice(known)}{self._directives()}"
        if depth == 0:
            return ""
        on = self.dice.choice(possible)
        text = self._selection(on, depth - 1)
        name = f"F{len(self._fragments)}"
        self._fragments.append((name, on, text))
        return f"...{name}{self._directives()}"

    def _field(self, parent: Composite, depth: int) -> str:
        names = [
            name
            for name, one in getattr(parent, "fields", {}).items()
            if f"{parent.name}.{name}" not in self.skipped
            and (depth > 0 or not is_composite_type(get_named_type(one.type)))
        ]
        if not names or self._left <= 0:
            return ""
        self._left -= 1
        name = self.dice.choice(names)
        definition: GraphQLField = parent.fields[name]  # type: ignore[union-attr]  # no union here
        given = self._arguments(definition.args)
        alias = f"n{self._left}: " if given else self.dice.choice(["", "", "", f"a_{name}: "])
        text = f"{alias}{name}{given}{self._directives()}"
        inner = get_named_type(definition.type)
        if is_composite_type(inner):
            text += f" {self._selection(inner, depth - 1)}"
            if self.dice.random() < 0.1:  # The same response key again, with other fields.
                text += f" {alias}{name}{given} {self._selection(inner, max(depth - 2, 0))}"
        return text

    def _arguments(self, arguments: dict[str, GraphQLArgument]) -> str:
        given = [
            f"{name}: {self._argument(one.type)}"
            for name, one in arguments.items()
            if is_required_argument(one) or self.dice.random() < 0.5
        ]
        return f"({', '.join(given)})" if given else ""

    def _argument(self, type_: GraphQLInputType) -> str:
        if self.dice.random() < 0.4:
            return self._variable(type_)
        return self._literal(type_, self.value(type_))

    def _variable(self, type_: GraphQLInputType) -> str:
        name = f"v{len(self._variables)}"
        text = str(type_)
        if self.dice.random() < 0.3:
            default = self.value(type_)
            if not is_non_null_type(type_) or default is not None:
                text += f" = {self._literal(type_, default, constant=True)}"
        self._variables[name] = (type_, text)
        return f"${name}"

    def _directives(self) -> str:
        if self.dice.random() < 0.85:
            return ""
        boolean: Any = self.schema.type_map["Boolean"]
        condition = self.dice.choice(["true", "false", "$", "$"])
        if condition == "$":
            known = [
                name
                for name, (type_, _) in self._variables.items()
                if get_named_type(type_) is boolean and not is_list_type(get_nullable_type(type_))
            ]
            if known and self.dice.random() < 0.6:
                condition = f"${self.dice.choice(known)}"
            else:
                name = f"b{len(self._variables)}"
                text = self.dice.choice(["Boolean!", "Boolean! = false", "Boolean = true"])
                required = text.startswith("Boolean!")
                self._variables[name] = (GraphQLNonNull(boolean) if required else boolean, text)
                condition = f"${name}"
        return f" @{self.dice.choice(['include', 'skip'])}(if: {condition})"

    def _literal(self, type_: GraphQLInputType, value: Any, *, constant: bool = False) -> str:
        if not constant and self.dice.random() < 0.05:
            return self._variable(type_)
        if is_non_null_type(type_):
            return self._literal(type_.of_type, value, constant=constant)
        if value is None:
            return "null"
        if is_list_type(type_):
            if isinstance(value, list):
                items = (self._literal(type_.of_type, one, constant=constant) for one in value)
                return f"[{', '.join(items)}]"
            return self._literal(type_.of_type, value, constant=constant)
        if isinstance(type_, GraphQLInputObjectType):
            entries = (
                f"{name}: {self._literal(type_.fields[name].type, one, constant=constant)}"
                for name, one in value.items()
            )
            return "{" + ", ".join(entries) + "}"
        if isinstance(type_, GraphQLEnumType):
            return str(value)
        return json.dumps(value, ensure_ascii=False)

    def _overlapping(self, parent: Composite) -> list[Composite]:
        mine = self._possible(parent)
        return [
            one
            for one in self.schema.type_map.values()
            if isinstance(one, GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType)
            and not one.name.startswith("__")
            and mine & self._possible(one)
        ]

    def _possible(self, type_: GraphQLNamedType) -> set[str]:
        if isinstance(type_, GraphQLObjectType):
            return {type_.name}
        return {one.name for one in self.schema.get_possible_types(type_)}  # type: ignore[arg-type]  # it is abstract
