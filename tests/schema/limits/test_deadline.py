"""Deadlines, on real databases: what waits is ended, what was begun to be written is not."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import pytest
import strawberry
from sqlalchemy import insert, select, text
from strawberry.types import ExecutionResult

from db.engine import Connection, Database
from db.tables import installation
from resolvers.context import OperationContext
from schema.execution import Executor
from schema.limits.bounds import Limits
from schema.limits.extension import OperationLimits
from schema.root import TrunklineSchema
from schema.root import schema as served
from trunkline.providers.seeding import seed_providers
from trunkline.services import Services

Info = strawberry.Info[OperationContext, None]

ENDLESS = {
    "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
    "SELECT count(*) FROM n",
    "postgresql": "SELECT pg_sleep(3600)",
}


async def read_endlessly(database: Database) -> int:
    async with database.read() as connection:
        return int(await connection.scalar(text(ENDLESS[database.dialect])) or 0)


async def load_endlessly(services: Services, keys: Sequence[int]) -> Mapping[int, int]:
    return dict.fromkeys(keys, await read_endlessly(services.database))


class Gates:
    """Where the resolvers wait, and what they noticed."""

    def __init__(self) -> None:
        self.writing = asyncio.Event()
        self.go_on = asyncio.Event()
        self.cancelled = 0
        self.told: list[str] = []


gates = Gates()


@strawberry.type
class Query:
    @strawberry.field
    def soon(self) -> str:
        return "here"

    @strawberry.field
    async def reads(self, info: Info) -> int | None:
        return await read_endlessly(info.context.services.database)

    @strawberry.field
    async def loads(self, info: Info) -> int | None:
        return await info.context.load(load_endlessly, 1)

    @strawberry.field
    async def required(self) -> int:
        return int(await waits())


@strawberry.type
class Written:
    @strawberry.field
    def value(self) -> str:
        return "written"

    @strawberry.field
    async def never(self) -> str:
        return await waits()


async def write(services: Services, key: str, *, hold: bool) -> Written:
    async def work(connection: Connection) -> None:
        await connection.execute(insert(installation).values(key=key, value="x"))
        gates.writing.set()
        if hold:
            await gates.go_on.wait()

    await services.database.transact(work, after=lambda _: gates.told.append(key))
    return Written()


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def write(self, info: Info, key: str, hold: bool = False) -> Written | None:
        return await write(info.context.services, key, hold=hold)

    @strawberry.mutation
    async def run_failover_chain(self) -> str | None:
        await gates.go_on.wait()
        return "said"

    @strawberry.mutation
    async def ask_first(self, info: Info, key: str) -> Written | None:
        await waits()
        return await write(info.context.services, key, hold=False)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(self) -> AsyncIterator[int]:
        yield 1
        # Waiting for an event is no work, and takes as long as it takes.
        await gates.go_on.wait()
        yield 2

    @strawberry.subscription
    async def slow(self) -> AsyncIterator[Written]:
        yield Written()
        yield Written()


async def waits() -> str:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        gates.cancelled += 1
        raise
    return ""


schema = TrunklineSchema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    execution_context_class=Executor,
    extensions=[lambda: OperationLimits(Limits())],
)

Run = Callable[..., Any]


@pytest.fixture
async def run(context: OperationContext) -> AsyncIterator[Run]:
    """Execute with a deadline of a tenth of a second, on connections that are open."""
    gates.__init__()  # type: ignore[misc]  # as new
    await context.services.database.transact(_nothing)

    async def execute(query: str, seconds: float = 0.1) -> ExecutionResult:
        limited = schema.limited(Limits(operation_seconds=seconds))
        async with asyncio.timeout(20):
            return await limited.execute(query, context_value=context.fresh())

    yield execute
    # Whatever a test that failed left waiting would keep the database open.
    gates.go_on.set()


def codes(result: ExecutionResult) -> list[tuple[object, object]]:
    return [(error.path, (error.extensions or {}).get("code")) for error in result.errors or []]


async def test_what_is_done_is_answered_and_the_rest_says_timeout(run: Run) -> None:
    result = await run("{ soon reads }")
    assert result.data == {"soon": "here", "reads": None}
    assert codes(result) == [(["reads"], "TIMEOUT")]
    assert "0.1 s" in result.errors[0].message


async def test_a_field_that_may_not_be_null_takes_the_data_with_it(run: Run) -> None:
    result = await run("{ soon required }")
    assert result.data is None
    assert codes(result) == [(["required"], "TIMEOUT")]
    assert gates.cancelled == 1


@pytest.mark.parametrize("field", ["reads", "loads"])
async def test_its_statement_ends_and_the_connection_serves_others(
    run: Run, services: Services, field: str
) -> None:
    # More often than there are connections.
    for _ in range(12):
        assert codes(await run(f"{{ {field} }}", 0.02)) == [([field], "TIMEOUT")]
    async with asyncio.timeout(10):
        await asyncio.gather(*(_count(services.database) for _ in range(8)))
        # PostgreSQL ends a statement a moment after it was told to.
        while await _endless_statements(services.database):  # noqa: ASYNC110  # in other hands
            await asyncio.sleep(0.02)


async def test_a_write_that_has_begun_is_answered_however_late(
    run: Run, services: Services
) -> None:
    running = asyncio.create_task(run('mutation { write(key: "a", hold: true) { value } }', 0.5))
    await gates.writing.wait()
    asyncio.get_running_loop().call_later(0.7, gates.go_on.set)
    result = await running
    assert not result.errors
    assert result.data == {"write": {"value": "written"}}
    assert await _count(services.database) == 1


async def test_an_answer_that_never_comes_says_that_the_change_was_made(
    run: Run, services: Services
) -> None:
    result = await run('mutation { write(key: "a") { value never } }', 1.0)
    assert codes(result) == [(["write"], "TIMEOUT")]
    assert "the change was made" in result.errors[0].message
    assert await _count(services.database) == 1


async def test_a_chain_runs_as_long_as_its_steps_may(run: Run) -> None:
    asyncio.get_running_loop().call_later(0.3, gates.go_on.set)
    result = await run("mutation { runFailoverChain }")
    assert (result.data, result.errors) == ({"runFailoverChain": "said"}, None)


async def test_a_change_that_has_not_begun_is_not_made(run: Run, services: Services) -> None:
    result = await run('mutation { askFirst(key: "a") { value } }')
    assert codes(result) == [(["askFirst"], "TIMEOUT")]
    assert "nothing was changed" in result.errors[0].message
    assert await _count(services.database) == 0


async def test_a_change_that_waits_for_its_turn_is_withdrawn(run: Run, services: Services) -> None:
    database = services.database
    if database.dialect != "sqlite":
        pytest.skip("only SQLite has a single writer to wait for")
    blocking = asyncio.create_task(database.transact(_until_told))
    await gates.writing.wait()
    result = await run('mutation { write(key: "a") { value } }')
    assert "nothing was changed" in result.errors[0].message
    gates.go_on.set()
    await blocking
    await database.transact(_nothing)
    assert await _count(database) == 0


async def test_a_change_that_is_being_written_is_told_though_its_caller_left(
    run: Run, services: Services
) -> None:
    running = asyncio.create_task(run('mutation { write(key: "a", hold: true) { value } }', 10))
    await gates.writing.wait()
    running.cancel()
    await asyncio.wait([running])
    gates.go_on.set()
    await _written(services.database)
    assert await _count(services.database) == 1
    assert gates.told == ["a"]


async def test_a_change_that_waits_for_its_turn_is_made_though_its_caller_left(
    run: Run, services: Services
) -> None:
    database = services.database
    blocking = [asyncio.create_task(database.transact(_until_told)) for _ in range(10)]
    await gates.writing.wait()
    running = asyncio.create_task(run('mutation { write(key: "a") { value } }', 10))
    while database.under_way[1] <= len(blocking):  # noqa: ASYNC110  # it is nobody's event
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])
    gates.go_on.set()
    await asyncio.gather(*blocking)
    await _written(database)
    assert await _count(database) == 1
    assert gates.told == ["a"]


async def test_what_comes_after_a_late_field_is_not_begun(run: Run, services: Services) -> None:
    result = await run(
        'mutation { one: write(key: "a") { value } two: askFirst(key: "b") { value } '
        'three: write(key: "c") { value } }',
        1.0,
    )
    assert result.data == {"one": {"value": "written"}, "two": None, "three": None}
    assert codes(result) == [(["two"], "TIMEOUT"), (["three"], "TIMEOUT")]
    assert await _count(services.database) == 1


async def test_usage_that_waits_with_others_is_recorded_and_answered(
    run: Run, context: OperationContext
) -> None:
    """Its commit is shared, so nobody could take it back."""
    await seed_providers(
        context.services.database, context.services.catalog, context.services.clock
    )
    database = context.services.database
    blocking = [asyncio.create_task(database.transact(_until_told)) for _ in range(10)]
    await gates.writing.wait()
    event = {"idempotencyKey": "a", "providerSlug": "openai", "modelName": "m", "inputTokens": 1}
    asyncio.get_running_loop().call_later(0.5, gates.go_on.set)
    limited = served.limited(Limits(operation_seconds=0.1))
    result = await limited.execute(
        "mutation ($input: RecordUsageInput!) { recordUsage(input: $input) { recorded } }",
        {"input": {"events": [event]}},
        context_value=context,
    )
    await asyncio.gather(*blocking)
    assert not result.errors
    assert result.data == {"recordUsage": {"recorded": 1}}


async def test_a_subscription_waits_as_long_as_it_takes(context: OperationContext) -> None:
    gates.__init__()  # type: ignore[misc]  # as new
    limited = schema.limited(Limits(operation_seconds=0.05))
    stream = await limited.stream("subscription { ticks }", context_value=context)
    async with aclosing(stream) as events, asyncio.timeout(10):
        first: Any = await anext(events)
        asyncio.get_running_loop().call_later(0.3, gates.go_on.set)
        second: Any = await anext(events)
    assert [first.data, second.data] == [{"ticks": 1}, {"ticks": 2}]


async def test_each_event_has_a_deadline_and_the_next_one_comes(context: OperationContext) -> None:
    gates.__init__()  # type: ignore[misc]  # as new
    limited = schema.limited(Limits(operation_seconds=0.05))
    stream = await limited.stream("subscription { slow { never } }", context_value=context)
    async with aclosing(stream) as events, asyncio.timeout(10):
        found: list[Any] = [event async for event in events]
    assert [codes(one) for one in found] == [[(["slow"], "TIMEOUT")]] * 2


async def _until_told(_connection: Connection) -> None:
    gates.writing.set()
    await gates.go_on.wait()


async def _nothing(_connection: Connection) -> None:
    pass


async def _written(database: Database) -> None:
    """Wait until no write is under way."""
    async with asyncio.timeout(10):
        while database.under_way[1]:  # noqa: ASYNC110  # in other hands
            await asyncio.sleep(0.01)


async def _count(database: Database) -> int:
    async with database.read() as connection:
        return len((await connection.execute(select(installation))).all())


async def _endless_statements(database: Database) -> int:
    if database.dialect == "sqlite":
        # A thread that still reads would keep this waiting for ever.
        async with asyncio.timeout(10):
            await database.close()
        return 0
    running = text("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' "
                   "AND state = 'active' AND datname = current_database()")  # fmt: skip
    async with database.read() as connection:
        return int(await connection.scalar(running) or 0)
