"""A schema made to be nasty: everything that a type may be, and values that it may not have.

Its objects are `Row`s, whose attributes follow from a number, so two executions see the same. Most
are what the schema promises; the others are null, errors, of wrong types, awaitable, generators.

One module, however long: its types name each other, and its values are the types' own.
"""

import asyncio
import enum
import zlib
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from math import inf, nan
from typing import Annotated, Any, ClassVar, NewType

import strawberry
from graphql import GraphQLError
from graphql.pyutils import Undefined
from strawberry.extensions import FieldExtension
from strawberry.permission import BasePermission
from strawberry.schema.config import StrawberryConfig

from schema.compiled.purity import pure


@strawberry.enum
class Color(enum.Enum):
    """RED and CRIMSON have one value; GREEN goes by another name."""

    RED = "red"
    CRIMSON = "red"  # noqa: PIE796  # an alias is what is tested
    GREEN = strawberry.enum_value("green", name="VERDE")
    BLUE = "blue"


@strawberry.enum
class Level(enum.IntEnum):
    LOW = 0
    HIGH = 1


class Other(enum.Enum):
    RED = "red"


class Wanted:
    """To be awaited for a value."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Generator[Any, None, Any]:
        yield from asyncio.sleep(0).__await__()
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


class Listed(list[Any]):
    """A list that isn't exactly one."""


class Table:
    """A list that is kept by column, whatever its rows hold."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self.rows = rows
        self.columns = {name: [getattr(row, name) for row in rows] for name in LEAVES}

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)


class NeatTable(Table):
    """One whose values are of these classes in these columns."""

    classes: ClassVar[dict[str, type]] = {"title": str, "size": int, "at": datetime, "whole": int}

    def is_neat(self) -> bool:
        return all(
            type(value) is cls for name, cls in self.classes.items() for value in self.columns[name]
        )


class Text(str):
    __slots__ = ()


class Told(Exception):
    """Its text would do for a String."""


def _serve_odd(value: Any) -> Any:
    if value == "raise":
        raise ValueError("odd")
    return {"null": None, "undefined": Undefined, "await": Wanted("later")}.get(value, value)


Odd = NewType("Odd", str)
Whole = NewType("Whole", int)


def _serve_whole(value: Any) -> int:
    if abs(value) > 2**53 - 1:
        raise ValueError("too large to be whole")
    return value  # type: ignore[no-any-return]  # whatever was taken


def _parse_odd(value: Any) -> Any:
    if value == "raise":
        raise ValueError("odd")
    return Undefined if value == "undefined" else value


STRINGS: list[Any] = [
    *["a", "b", "", "é"] * 40,
    7,
    1.5,
    True,
    None,
    Told("x"),
    Text("t"),
    [],
    Wanted("w"),
    b"b",
]
INTEGERS: list[Any] = [
    *[0, 1, -5, 2**31 - 1] * 40,
    2**31,
    1.0,
    1.5,
    True,
    "5",
    "x",
    None,
    nan,
    Wanted(3),
]
FLOATS: list[Any] = [
    *[0.5, -1.25, 3.0] * 50,
    1,
    nan,
    inf,
    True,
    "2.5",
    None,
    Decimal("1.5"),
    Told("f"),
]
BOOLEANS: list[Any] = [*[True, False] * 60, 1, 0, "x", None, 2.5, Wanted(False)]
IDS: list[Any] = [*["1", "x"] * 80, 5, 1.5, True, None, Told("i"), Text("t")]
COLORS: list[Any] = [*list(Color) * 30, "red", "RED", Other.RED, None, 5, [], Wanted(Color.BLUE)]
LEVELS: list[Any] = [*list(Level) * 30, 0, 1, True, 5, "LOW", None]
ODDS: list[Any] = [
    *["o", "dd"] * 60,
    "raise",
    "null",
    "undefined",
    "await",
    None,
    5,
    Told("odd"),
    Wanted("p"),
]
INSTANTS: list[Any] = [*[datetime(2026, 1, 1, tzinfo=UTC)] * 40, "2026", None, Undefined]
WHOLES: list[Any] = [*[1, 2**53 - 1] * 50, 2**53, -(2**60), True, 1.5, "x", None]
GRIDS: list[Any] = [
    *[[[1, 2], [None], []], [], None, [None, [3]]] * 20,
    [[1, "x"], [2]],
    ((1, 2), (3,)),
    [Listed([1]), [Wanted(2)]],
    [[1], Told("row")],
    Listed([[1]]),
    "text",
    {"a": [1]},
    5,
    [5],
]
WORDS: list[Any] = [
    *[["a", "b"], [], ("c",)] * 30,
    [1, True],
    [None],
    None,
    [Told("w"), "a"],
    Undefined,
    Wanted(["z"]),
]


LEAVES = ("title", "size", "ratio", "color", "at", "whole", "odd")
"""What a row has in a `Table`."""


def mixed(seed: int, name: str) -> int:
    """A number that follows from both."""
    return zlib.crc32(f"{seed}/{name}".encode())


def attribute(name: str, values: Sequence[Any]) -> Any:
    """One of the values; some raise it instead."""

    def read(self: "Row") -> Any:
        number = mixed(self.seed, name)
        if number % 499 == 0:
            raise Told(f"{name} of {self.seed}")
        if number % 503 == 0:
            raise GraphQLError(f"{name} is refused", extensions={"code": "OWN"})
        return values[number % len(values)]

    return property(read)


def children(name: str) -> Any:
    """A few more rows, or what is no list of them."""

    def read(self: "Row") -> Any:
        number = mixed(self.seed, name)
        rows: list[Any] = [row(mixed(number, str(place))) for place in range(number // 7 % 5)]
        match number % 97:
            case 0:
                return None
            case 1:
                return iter(rows)
            case 2:
                return Listed(rows)
            case 3:
                return [*rows, None]
            case 4:
                return [*rows, Told("child"), *rows]
            case 5:
                return [*rows, Wanted(row(number)), Wanted(Told("late"))]
            case 6:
                return Wanted(rows)
            case 7:
                return "rows"
            case 8:
                return [*rows, "row"]
            case 9:
                return [*rows, Solid(id="s", name="solid", size=number % 5)]
            case 10:
                return {row(number)}
            case place if place < 40:
                try:
                    neat = NeatTable(rows)
                    return neat if neat.is_neat() else Table(rows)
                except (Told, GraphQLError):
                    return rows
        return tuple(rows) if number % 2 else rows

    return property(read)


def child(name: str) -> Any:
    """Another row, or none."""

    def read(self: "Row") -> Any:
        number = mixed(self.seed, name)
        made = row(number)
        wild: dict[int, Any] = {0: None, 1: None, 2: Told("child"), 3: Wanted(made), 4: "row", 5: 5}
        wild[6] = Solid(id="s", name="solid", size=1)
        wild[7] = Undefined
        return wild.get(number % 131, made)

    return property(read)


class Row:
    """What resolvers return; its subclass says which type it is, most often."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    name = attribute("name", STRINGS)
    title = attribute("title", STRINGS)
    count = attribute("count", INTEGERS)
    size = attribute("size", INTEGERS)
    ratio = attribute("ratio", FLOATS)
    flag = attribute("flag", BOOLEANS)
    key = attribute("key", IDS)
    color = attribute("color", COLORS)
    level = attribute("level", LEVELS)
    odd = attribute("odd", ODDS)
    at = attribute("at", INSTANTS)
    whole = attribute("whole", WHOLES)
    grid = attribute("grid", GRIDS)
    words = attribute("words", WORDS)
    class_ = attribute("class_", STRINGS)
    parent = child("parent")
    twin = child("twin")
    thing = child("thing")
    either = child("either")
    rows = children("rows")
    others = children("others")
    things = children("things")
    eithers = children("eithers")


class LeafRow(Row):
    """Says the same for ever, and one number is one object: what was served of it is kept."""


class NestRow(Row):
    pass


class Wild(NestRow):
    """Has whatever it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return f"wild {name}"


def row(seed: int) -> Row:
    """The row of this number."""
    classes = (
        [LeafRow, NestRow, NestRow, NestRow, Row, Wild] if seed % 7 == 0 else [LeafRow, NestRow]
    )
    cls = classes[seed % len(classes)]
    return leaf_row(seed) if cls is LeafRow else cls(seed)


@lru_cache(maxsize=4_096)
def leaf_row(seed: int) -> LeafRow:
    """The same for the same number."""
    return LeafRow(seed)


Calls = list[str]


class MayRead(BasePermission):
    message = "not for you"

    def has_permission(self, source: Any, info: Any, **_: Any) -> bool:
        return bool(mixed(getattr(source, "seed", 1), "may") % 5)


class Louder(FieldExtension):
    def resolve(self, next_: Callable[..., Any], source: Any, info: Any, **given: Any) -> Any:
        value = next_(source, info, **given)
        return value.upper() if isinstance(value, str) else value


@strawberry.input
class Inner:
    label: str
    color: Color | None = strawberry.UNSET
    numbers: list[int] = strawberry.field(default_factory=lambda: [1, 2])
    odd: Odd | None = None


@strawberry.input
class Outer:
    inner: Inner
    inners: list[Inner] | None = strawberry.UNSET
    grid: list[list[int | None]] | None = None
    level: Level = Level.HIGH
    maybe: strawberry.Maybe[int | None]
    maybes: strawberry.Maybe[list[Color] | None]
    at: datetime | None = strawberry.UNSET
    ratio: float = 1.5
    flag: bool = False
    key: strawberry.ID | None = None
    class_: str | None = strawberry.field(name="class", default=None)
    again: Annotated["Again", strawberry.lazy("tests.schema.compiled.nasty")] | None = None


@strawberry.input
class Again:
    """Holds itself."""

    name: str = "again"
    again: Annotated["Again", strawberry.lazy("tests.schema.compiled.nasty")] | None = None
    inners: list[Inner | None] = strawberry.field(default_factory=list)


@strawberry.input(one_of=True)
class Choice:
    number: int | None = strawberry.UNSET
    text: str | None = strawberry.UNSET
    inner: Inner | None = strawberry.UNSET


def called(info: strawberry.Info, root: Any, what: str) -> None:
    """Note it: resolvers must be called as often, and in the same order, whoever calls them."""
    info.context["calls"].append(f"{what} {getattr(root, 'seed', None)} {info.path.key}")


def _echo(root: strawberry.Parent[Any], info: strawberry.Info, value: str = "v") -> str:
    called(info, root, "echo")
    if value == "x":
        raise ValueError("x is refused")
    return f"{value} {root.seed}"


async def _later(root: strawberry.Parent[Any], info: strawberry.Info) -> Any:
    called(info, root, "later")
    await asyncio.sleep(0)
    number = mixed(root.seed, "later")
    if number % 11 == 0:
        raise ValueError(f"later {root.seed}")
    return None if number % 13 == 0 else row(number)


async def _at_once(root: strawberry.Parent[Any], info: strawberry.Info) -> Any:
    called(info, root, "at once")
    return root.rows


async def _one_by_one(root: strawberry.Parent[Any], info: strawberry.Info) -> AsyncIterator[Any]:
    called(info, root, "one by one")
    for place in range(root.seed % 4):
        await asyncio.sleep(0)
        yield row(root.seed + place)
    if root.seed % 5 == 0:
        raise ValueError("one too many")


@pure
def _pure(root: strawberry.Parent[Any]) -> Any:
    number = mixed(root.seed, "pure")
    if number % 17 == 0:
        raise ValueError("impure")
    return STRINGS[number % len(STRINGS)]


@pure
def _pure_child(root: strawberry.Parent[Any]) -> Any:
    return root.twin


def _given(info: strawberry.Info, outer: Outer | None = None, choice: Choice | None = None,
           numbers: list[int] | None = strawberry.UNSET, color: Color = Color.BLUE,
           maybe: strawberry.Maybe[str | None] = None) -> str:  # fmt: skip
    called(info, None, repr((outer, choice, numbers, color, maybe)))
    return repr((outer, choice, numbers, color, maybe))


async def _given_later(info: strawberry.Info, outer: Outer, again: Again | None = None) -> str:
    called(info, None, repr((outer, again)))
    await asyncio.sleep(0)
    return repr((outer, again))


ME = "tests.schema.compiled.nasty"
LazyThing = Annotated["Thing", strawberry.lazy(ME)]
LazyNest = Annotated["Nest", strawberry.lazy(ME)]
LazyLeaf = Annotated["Leaf", strawberry.lazy(ME)]
Either = Annotated[LazyLeaf | LazyNest, strawberry.union("Either")]


def resolved(resolver: Any, graphql_type: Any, **options: Any) -> Any:
    """A field with a resolver."""
    return strawberry.field(resolver=resolver, graphql_type=graphql_type, **options)


@strawberry.interface
class Thing:
    name: str | None
    key: strawberry.ID
    pure: str | None = resolved(_pure, str | None)
    things: list[LazyThing | None] | None


@strawberry.type
class Leaf(Thing):
    title: str
    count: int | None
    size: int
    ratio: float | None
    flag: bool
    color: Color | None
    level: Level
    odd: Odd | None
    at: datetime | None
    whole: Whole
    grid: list[list[int | None] | None] | None
    words: list[str]
    class_: str | None = strawberry.field(name="class")
    loud: str | None = resolved(_pure, str | None, extensions=[Louder()])
    wide: str | None = strawberry.field(extensions=[Louder()], name="loudTitle")
    missing: str | None
    echo: str = resolved(_echo, str)

    @classmethod
    def is_type_of(cls, value: Any, _info: Any) -> bool:
        return isinstance(value, LeafRow)


@strawberry.type
class Nest(Thing):
    count: int
    color: Color
    ratio: float
    odd: Odd
    words: list[str | None] | None
    guarded: str | None = strawberry.field(permission_classes=[MayRead])
    pure_child: LazyNest | None = resolved(_pure_child, LazyNest | None)
    parent: LazyNest | None
    twin: LazyNest
    plain: "Plain | None"
    thing: Thing | None
    either: Either | None
    rows: list[LazyNest] | None
    others: list[LazyNest | None]
    eithers: list[Either | None] | None
    echo: str | None = resolved(_echo, str | None)
    later: LazyNest | None = resolved(_later, LazyNest | None)
    surely: LazyThing = resolved(_later, LazyThing)
    at_once: list[LazyNest] | None = resolved(_at_once, list[LazyNest] | None)
    one_by_one: list[LazyThing] | None = resolved(_one_by_one, list[LazyThing] | None)

    @classmethod
    def is_type_of(cls, value: Any, info: Any) -> bool:
        # Looks at info, where it is told to.
        looks = isinstance(value, Row) and value.seed % 5 == 0
        return isinstance(value, NestRow) and (not looks or info.path is not None)


@strawberry.type
class Plain:
    """Neither an interface nor `is_type_of`: whatever comes is one."""

    title: str
    size: int | None
    ratio: float | None
    color: Color | None
    at: datetime | None
    whole: Whole | None
    odd: Odd | None
    rows: "list[Plain] | None"
    twin: "Plain | None"
    words: list[str]


@strawberry.type
class Solid(Thing):
    """An instance of it is what resolvers return."""

    id: str
    name: str | None
    size: int
    key: strawberry.ID = strawberry.ID("k")
    things: list[LazyThing | None] | None = None


def _row(info: strawberry.Info, seed: int) -> Any:
    called(info, None, "row")
    return row(seed)


def _rows(info: strawberry.Info, seed: int, count: int = 3) -> Any:
    called(info, None, "rows")
    return [row(seed + place) for place in range(min(count, 5))]


async def _rows_later(info: strawberry.Info, seed: int) -> Any:
    called(info, None, "rows later")
    await asyncio.sleep(0)
    return tuple(NestRow(seed + place) for place in range(4))


def _eithers(seed: int) -> Any:
    return [[row(seed)], [row(seed + 1), row(seed + 2)]]


def _solids(info: strawberry.Info) -> list[Solid]:
    return [Solid(id=str(size), name=None, size=size) for size in (1, 2, 2**31)]


@strawberry.type
class Query:
    leaf: Leaf | None = resolved(_row, Leaf | None)
    nest: Nest | None = resolved(_row, Nest | None)
    sure: Nest = resolved(_row, Nest)
    plain: Plain | None = resolved(_row, Plain | None)
    either: Either | None = resolved(_row, Either | None)
    nests: list[Nest | None] | None = resolved(_rows, list[Nest | None] | None)
    leaves: list[Leaf] | None = resolved(_rows, list[Leaf] | None)
    plains: list[Plain] | None = resolved(_rows, list[Plain] | None)
    things: list[Thing | None] = resolved(_rows, list[Thing | None])
    eithers: list[list[Either]] | None = resolved(_eithers, list[list[Either]] | None)
    later: list[Nest] | None = resolved(_rows_later, list[Nest] | None)
    solids: list[Solid | None] | None = resolved(_solids, list[Solid | None] | None)
    given: str | None = resolved(_given, str | None)
    given_later: str | None = resolved(_given_later, str | None)


@strawberry.type
class Mutation:
    nest: Nest | None = resolved(_row, Nest | None)
    sure: Nest = resolved(_row, Nest)
    later: list[Nest] | None = resolved(_rows_later, list[Nest] | None)
    given: str | None = resolved(_given, str | None)


nasty = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    types=[Solid, Leaf, Nest],
    config=StrawberryConfig(
        scalar_map={
            Odd: strawberry.scalar(name="Odd", serialize=_serve_odd, parse_value=_parse_odd),
            Whole: strawberry.scalar(name="Whole", serialize=_serve_whole, parse_value=int),
        }
    ),
)
