"""What is compiled, what is not, and that nobody can tell."""

import sys
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
import strawberry
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLObjectType,
    MiddlewareManager,
    execute,
    parse,
)
from strawberry.execution import optimized_is_awaitable
from strawberry.extensions import ParserCache, SchemaExtension
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from schema.compiled.documents import MOST_LONG, MOST_PLANS, PreparedDocuments
from schema.compiled.executing import CompiledExecution
from schema.compiled.names import Names, _code
from schema.compiled.promises import Promises, ServedBy
from schema.compiled.purity import pure
from schema.compiled.shapes import plain_read
from schema.compiled.unchanging import MOST_KEPT, keep, kept
from schema.execution import CompiledExecutor, Executor
from schema.root import schema as served


class Row:
    def __init__(self, number: int, name: Any = "row") -> None:
        self.number = number
        self.name = name
        self.class_ = "class"
        self.rows = [Row(number - 1)] if number > 0 else []


@pure
def _doubled(root: strawberry.Parent[Row]) -> int:
    return root.number * 2


def _resolved(root: strawberry.Parent[Row], times: int = 1) -> str:
    seen.append(f"resolved {root.number}")
    return str(root.name) * times


async def _awaited(root: strawberry.Parent[Row]) -> int:
    seen.append(f"awaited {root.number}")
    return root.number


seen: list[str] = []


@strawberry.type
class Item:
    number: int
    name: str
    class_: str = strawberry.field(name="class")
    rows: "list[Item]"
    doubled: int = strawberry.field(resolver=_doubled)
    resolved: str = strawberry.field(resolver=_resolved)
    awaited: int = strawberry.field(resolver=_awaited)


def _items(bad: bool = False) -> list[Row]:
    return [Row(2), Row(1, None if bad else "one"), Row(0)]


@strawberry.type
class Query:
    items: Any = strawberry.field(resolver=_items, graphql_type=list[Item | None])


class Counting(CompiledExecution, StrawberryGraphQLCoreExecutionContext):
    """Notes the fields that are executed one by one."""

    documents = PreparedDocuments()
    executed: ClassVar[list[str]] = []

    def execute_field(self, parent_type: GraphQLObjectType, source: Any, field_details_list: Any,
                      path: Any, position_context: Any) -> Any:  # fmt: skip
        self.executed.append(path.key)
        return super().execute_field(
            parent_type, source, field_details_list, path, position_context
        )


schema = strawberry.Schema(Query, execution_context_class=Counting)


async def run(document: DocumentNode | str, **variables: Any) -> ExecutionResult:
    Counting.executed.clear()
    seen.clear()
    result = execute(
        schema._schema,
        parse(document) if isinstance(document, str) else document,
        variable_values=variables,
        middleware=MiddlewareManager(),
        executor_class=Counting,
        is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]  # as Strawberry gives it
        operation_extensions=None,
    )
    return result if isinstance(result, ExecutionResult) else await result


async def test_what_only_reads_is_not_executed_field_by_field() -> None:
    result = await run(
        """{ items { ...F t: __typename from: class name } }
           fragment F on Item { a: number doubled rows { name rows { number } } }"""
    )
    assert not result.errors
    assert Counting.executed == ["items"]
    assert result.data is not None
    assert result.data["items"][0] == {
        "a": 2,
        "doubled": 4,
        "rows": [{"name": "row", "rows": [{"number": 0}]}],
        "t": "Item",
        "from": "class",
        "name": "row",
    }


async def test_resolvers_run_once_and_stay_in_their_place() -> None:
    result = await run("{ items { awaited number resolved(times: 2) name } }")
    assert result.data is not None
    assert [list(item) for item in result.data["items"]] == [
        ["awaited", "number", "resolved", "name"]
    ] * 3
    assert Counting.executed == ["items", *["awaited", "resolved"] * 3]
    assert sorted(seen) == sorted(
        f"{what} {number}" for what in ("awaited", "resolved") for number in (0, 1, 2)
    )


async def test_a_bad_value_is_told_as_ever_and_alone() -> None:
    result = await run("{ items(bad: true) { number name } }")
    assert result.data == {
        "items": [{"number": 2, "name": "row"}, None, {"number": 0, "name": "row"}]
    }
    assert result.errors is not None
    assert [(one.message, one.path) for one in result.errors] == [
        ("Cannot return null for non-nullable field Item.name.", ["items", 1, "name"])
    ]
    assert Counting.executed == ["items", "number", "name"], "the bad one's alone"


async def test_a_known_document_is_planned_once() -> None:
    document = parse("query ($with: Boolean!) { items { number name @include(if: $with) } }")
    first = await run(document, **{"with": True})
    prepared = Counting.documents.prepared(schema._schema, document, None)
    assert prepared is not None
    plans = list(prepared._plans.values())
    assert await run(document, **{"with": True}) == first
    assert list(prepared._plans.values()) == plans
    assert (await run(document, **{"with": False})).data == {
        "items": [{"number": 2}, {"number": 1}, {"number": 0}]
    }
    assert len(prepared._plans) == 2, "a choice of fields is a plan"


async def test_what_is_kept_is_bounded() -> None:
    documents = PreparedDocuments(most=2)
    texts = [parse(f"{{ a{number}: __typename }}") for number in range(3)]
    kept = [documents.prepared(schema._schema, document, None) for document in texts]
    assert documents.prepared(schema._schema, texts[2], None) is kept[2]
    assert documents.prepared(schema._schema, texts[0], None) is not kept[0], "forgotten"
    names = [f"v{number}" for number in range(5)]
    document = parse(
        f"query ({' '.join(f'${name}: Boolean!' for name in names)}) {{ items {{ number "
        f"{' '.join(f'{name}: name @include(if: ${name})' for name in names)} }} }}"
    )
    for number in range(32):
        choice = {name: bool(number >> place & 1) for place, name in enumerate(names)}
        data = (await run(document, **choice)).data
        assert data is not None
        assert set(data["items"][0]) == {"number", *(name for name in names if choice[name])}
    prepared = Counting.documents.prepared(schema._schema, document, None)
    assert prepared is not None
    assert len(prepared._plans) == MOST_PLANS


async def test_a_few_long_documents_are_kept() -> None:
    documents = PreparedDocuments()
    long = [parse(f"# {'long ' * 4_000}\n{{ a{number}: __typename }}") for number in range(10)]
    kept = [documents.prepared(schema._schema, document, None) for document in long]
    assert [
        documents.prepared(schema._schema, document, None) is found
        for document, found in zip(long[-MOST_LONG:], kept[-MOST_LONG:], strict=True)
    ] == [True] * MOST_LONG
    assert documents.prepared(schema._schema, long[0], None) is not kept[0], "forgotten"


async def test_generated_code_is_bounded_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = PreparedDocuments()
    monkeypatch.setattr(Counting, "documents", documents)
    monkeypatch.setattr("schema.compiled.documents.MOST_PLANNED", 50)
    for number in range(40):
        found = await run(f"{{ items {{ a{number}: name b: doubled name }} }}")
        assert found.data is not None
        assert len(found.data["items"]) == 3
    kept = [*documents._prepared.values()]
    assert 1 <= len(kept) <= 50 // 3 + 1, "of three fields each"
    # Nor by other choices of one document.
    for number in range(40):
        document = parse(
            f"query ($w: Boolean!) {{ items {{ c{number}: name doubled "
            "number @include(if: $w) } }"
        )
        for choice in (True, False):
            assert not (await run(document, w=choice)).errors
    planned = [plan for one in documents._prepared.values() for plan in one._plans.values()]
    assert sum(len(plan.lists) for plan in planned) <= 50 // 2 + 1


def test_code_of_a_long_text_is_not_shared() -> None:
    shared = _code.cache_info().currsize
    assert Names({}).run(f"answer = 42 # {'long ' * 4_000}")["answer"] == 42
    assert _code.cache_info().currsize == shared


@strawberry.type
class Said:
    at: datetime


@strawberry.type
class SaidQuery:
    said: Any = strawberry.field(
        resolver=lambda: [Said(at=datetime(2026, 11, 23, tzinfo=UTC))], graphql_type=list[Said]
    )


class InYears(CompiledExecution, StrawberryGraphQLCoreExecutionContext):
    promises: ClassVar[Promises] = Promises(
        scalars={"DateTime": ServedBy(datetime, lambda one: str(one.year))}
    )


class InDays(InYears):
    promises: ClassVar[Promises] = Promises(
        scalars={"DateTime": ServedBy(datetime, lambda one: str(one.date()))}
    )


def test_executors_of_one_schema_keep_their_own_promises() -> None:
    document = parse("{ said { at } }")
    said = strawberry.Schema(SaidQuery)._schema

    def at(executor: type[CompiledExecution]) -> str:
        result = execute(
            said,
            document,
            middleware=MiddlewareManager(),
            executor_class=executor,
            is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]  # as Strawberry gives it
            operation_extensions=None,
        )
        assert isinstance(result, ExecutionResult)
        assert result.data is not None
        text: str = result.data["said"][0]["at"]
        return text

    for _ in range(2):
        assert at(InYears) == "2026"
        assert at(InDays) == "2026-11-23"


class FirmRow:
    """Notes how often it was read."""

    def __init__(self, name: Any = "firm") -> None:
        self._name = name

    @property
    def name(self) -> Any:
        seen.append("read")
        return self._name


@strawberry.type
class Firm:
    name: str


firm_rows = [FirmRow(), FirmRow()]


@strawberry.type
class FirmQuery:
    firms: Any = strawberry.field(resolver=lambda: firm_rows, graphql_type=list[Firm | None])


class Keeping(CompiledExecution, StrawberryGraphQLCoreExecutionContext):
    documents = PreparedDocuments()
    promises: ClassVar[Promises] = Promises(unchanging={"Firm": FirmRow})


async def test_an_object_that_never_changes_is_served_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keeping = strawberry.Schema(
        FirmQuery, execution_context_class=Keeping, extensions=[ParserCache]
    )

    async def reads(text: str) -> int:
        seen.clear()
        result = await keeping.execute(text)
        assert result.data is not None
        assert len(result.data["firms"]) == len(firm_rows)
        return len(seen)

    assert [await reads("{ firms { name } }") for _ in range(2)] == [2, 0]
    assert [await reads("{ firms { a: name } }") for _ in range(2)] == [2, 0], "another selection"
    monkeypatch.setattr(sys.modules[__name__], "firm_rows", [*firm_rows, FirmRow()])
    assert await reads("{ firms { name } }") == 1, "another object, though it is alike"
    monkeypatch.setattr(sys.modules[__name__], "firm_rows", [FirmRow(None)])
    assert await reads("{ firms { name } }") == await reads("{ firms { name } }") > 0, "an error"


def test_only_so_many_served_objects_are_kept() -> None:
    for number in range(MOST_KEPT + 10):
        value = object()
        assert keep((-1, number), value, {"n": number}) == {"n": number}
        assert kept[-1, number] == (value, {"n": number})
        assert len(kept) <= MOST_KEPT
    kept.clear()


async def test_an_extension_that_resolves_sees_every_field() -> None:
    fields: list[str] = []

    class Watching(SchemaExtension):
        def resolve(self, _next: Any, root: Any, info: Any, *args: Any, **kwargs: Any) -> Any:
            fields.append(info.field_name)
            return _next(root, info, *args, **kwargs)

    watched = strawberry.Schema(Query, execution_context_class=Counting, extensions=[Watching])
    result = await watched.execute("{ items { number doubled } }")
    assert not result.errors
    assert fields == ["items", *["number", "doubled"] * 3]


async def test_the_first_of_several_operations_is_not_guessed() -> None:
    result = await run("query A { items { number } } query B { __typename }")
    assert result.data is None
    assert result.errors is not None
    assert "Must provide operation name" in result.errors[0].message


def test_every_plain_field_that_is_served_is_read() -> None:
    """Fails where a new Strawberry resolves fields by other functions: all would be slow."""
    fields = served._schema.type_map["Model"].fields  # type: ignore[attr-defined]  # an object type
    read = {name for name, one in fields.items() if plain_read(one) is not None}
    assert set(fields) - read == {"provider", "usage"}, "the id is pure, the rest are attributes"


@pytest.mark.parametrize(("compiled", "executor"), [(True, CompiledExecutor), (False, Executor)])
def test_it_is_turned_on_and_off(compiled: bool, executor: type) -> None:
    before = served.execution_context_class
    try:
        served.execute_compiled(compiled=compiled)
        assert served.execution_context_class is executor
    finally:
        served.execution_context_class = before
