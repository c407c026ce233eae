"""Equal subscriptions share one execution, and nothing else does."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Hashable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from typing import Any

import pytest
from graphql import ExecutionResult, GraphQLError

from resolvers.context import OperationContext, Viewer
from schema import shared_results
from schema.root import schema
from schema.shared_results import MOST_SHARED, SharedData, shared_result
from tests.conftest import Execute
from trunkline.providers.seeding import seed_providers
from trunkline.services import Services

WATCH = """subscription ($input: UsageSeriesInput!) { usageUpdated(input: $input) {
  ... on UsageSnapshot { series { totals { requests } groups { label%s } } }
  ... on UsageDelta { totals { requests } changes { label%s } } } }"""
SUBJECT = " subject { ... on Provider { slug name } }"
RECORD = """mutation ($key: String!) { recordUsage(input: { events: [
  { idempotencyKey: $key, providerSlug: "openai", modelName: "m" }] }) { recorded } }"""
INPUT = {"dimension": "PROVIDER", "window": {"period": "TODAY"}, "timezone": "UTC"}


@pytest.fixture
async def services(services: Services) -> Services:
    await seed_providers(services.database, services.catalog, services.clock)
    return services


@pytest.fixture
def executions(monkeypatch: pytest.MonkeyPatch) -> list[Hashable]:
    """The key of each execution that was begun to be shared."""
    found: list[Hashable] = []

    def counting(
        results: dict[Hashable, Any], key: Hashable, held: object, execute: Callable[[], Any]
    ) -> ExecutionResult | Awaitable[ExecutionResult]:
        def counted() -> Any:
            found.append(key)
            return execute()

        return shared_result(results, key, held, counted)

    monkeypatch.setattr("schema.execution.shared_result", counting)
    return found


@asynccontextmanager
async def subscriptions(
    services: Services, *asked: tuple[str, dict[str, Any], str]
) -> AsyncIterator[list[AsyncGenerator[Any]]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                aclosing(
                    await schema.stream(
                        WATCH % (fields, fields),
                        {"input": given},
                        context_value=OperationContext(services, Viewer(name), f"request-{name}"),
                    )
                )
            )
            for fields, given, name in asked
        ]


async def take(streams: list[AsyncGenerator[Any]]) -> list[Any]:
    async with asyncio.timeout(20):
        return list(await asyncio.gather(*(anext(one) for one in streams)))


@pytest.mark.parametrize("fields", ["", SUBJECT])
async def test_equal_subscriptions_are_executed_once(
    services: Services,
    execute: Execute,
    executions: list[Hashable],
    fields: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_results, "SHARED_SECONDS", 3_600)
    await execute(RECORD, key="a")
    async with subscriptions(services, *[(fields, INPUT, "admin")] * 20) as streams:
        snapshots = await take(streams)
        assert len(executions) == 1
        assert snapshots[0].data["usageUpdated"]["series"]["totals"] == {"requests": 1}
        await execute(RECORD, key="b")
        deltas = await take(streams)
        assert len(executions) == 2
    assert deltas[0].data["usageUpdated"]["totals"] == {"requests": 2}
    for results in (snapshots, deltas):
        assert all(one.data is results[0].data for one in results), "and encoded once"
        assert results[0].data.encoded is results[1].data.encoded


async def test_others_are_not(
    services: Services, execute: Execute, executions: list[Hashable]
) -> None:
    await execute(RECORD, key="a")
    other = {**INPUT, "topGroups": 5}
    async with subscriptions(
        services,
        ("", INPUT, "admin"),
        (SUBJECT, INPUT, "admin"),
        ("", other, "admin"),
        ("", INPUT, "somebody else"),
    ) as streams:
        results = await take(streams)
    assert len(executions) == len(set(executions)) == 4
    assert "subject" in results[1].data["usageUpdated"]["series"]["groups"][0]


async def test_who_comes_later_gets_what_stands_then(
    services: Services,
    execute: Execute,
    executions: list[Hashable],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_results, "SHARED_SECONDS", -1)
    await execute(RECORD, key="a")
    for _ in range(3):
        async with subscriptions(services, (SUBJECT, INPUT, "admin")) as streams:
            await take(streams)
    assert len(executions) == 3


async def test_errors_are_shared_with_nobody() -> None:
    results: dict[Hashable, Any] = {}

    async def fails() -> ExecutionResult:
        await asyncio.sleep(0)
        return ExecutionResult({"a": None}, [GraphQLError("it broke")])

    found = await asyncio.gather(*(asked(results, "key", fails) for _ in range(3)))
    errors = [one.errors[0] for one in found if one.errors]
    assert len({id(error) for error in errors}) == 3


async def test_whoever_began_may_leave() -> None:
    results: dict[Hashable, Any] = {}
    go_on = asyncio.Event()

    async def waits() -> ExecutionResult:
        await go_on.wait()
        return ExecutionResult({"a": 1}, None)

    first, second = (asyncio.create_task(asked(results, "key", waits)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first})
    go_on.set()
    assert (await second).data == SharedData(a=1)


async def test_what_is_kept_is_bounded() -> None:
    results: dict[Hashable, Any] = {}
    for number in range(MOST_SHARED + 50):
        found = await asked(results, number, partial(ExecutionResult, {"a": number}, None))
        assert found.data == {"a": number}
    assert len(results) == MOST_SHARED


async def asked(
    results: dict[Hashable, Any], key: Hashable, execute: Callable[[], Any]
) -> ExecutionResult:
    found = shared_result(results, key, None, execute)
    return found if isinstance(found, ExecutionResult) else await found
