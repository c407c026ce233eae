"""The gateway over GraphQL, on both databases: requests listed and watched, circuits, health."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any

import pytest

from db import gateway_request_pages
from db.chains import ChainRow
from db.failing import StoreUnavailable
from db.gateway_requests import NewGatewayRequest, insert_gateway_requests
from db.vocabulary import AttemptOutcome, GatewayOutcome, ProviderKind
from resolvers import gateway
from resolvers.context import OperationContext
from schema.node import encode_id
from schema.root import schema
from tests.conftest import Execute, SetClock
from tests.gateway_rows import attempt, request
from trunkline import patience
from trunkline.catalog.changes import NewModel, create_model
from trunkline.events import Event, GatewayRequestsRecorded
from trunkline.failover.attempts import Skipped
from trunkline.failover.breakers import CircuitOf
from trunkline.failover.chains import NewChain, create_chain, delete_chain
from trunkline.failover.classes import AttemptFailure, FailureClass
from trunkline.failover.steps import StepInput
from trunkline.gateway import request_feed
from trunkline.gateway.prompting import Prompt, PromptRun
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.services import Services

COMPLETED = """subscription ($filter: GatewayRequestFilter) {
  gatewayRequestCompleted(filter: $filter) { kind id gatewayRequest { requestId } } }"""
CIRCUITS = """subscription { circuitChanged { kind modelId model { wireName } providerId
  provider { slug } state openedBy probesAgainAt } }"""
LIST = """query ($first: Int, $after: String, $filter: GatewayRequestFilter) {
  gatewayRequests(first: $first, after: $after, filter: $filter) {
    totalCount nodes { requestId } pageInfo { hasNextPage endCursor } } }"""
RUN = """mutation ($input: RunFailoverChainInput!) { runFailoverChain(input: $input) {
  requestId outcome text finishReason model { wireName } milliseconds message
  attempts { label step { position } outcome httpStatus } userErrors { code field message } } }"""
HEALTH = """{ failoverChain(slug: "answers") { delivery steps { health {
  state openedBy probesAgainAt successShare attempts latencyP50Ms latencyP95Ms } } } }"""


@pytest.fixture
async def chain(services: Services) -> ChainRow:
    """A chain of two models of one provider."""
    provider = await create_provider(
        services, NewProvider(slug="local", name="Local", kind=ProviderKind.OLLAMA)
    )
    models = [
        await create_model(services, NewModel(provider_id=provider.id, wire_name=name))
        for name in ("small", "large")
    ]
    steps = [StepInput(model_id=model.id) for model in models]
    return await create_chain(services, NewChain(name="Answers", steps=steps))


async def record(services: Services, *rows: NewGatewayRequest) -> None:
    """As the gateway does: stored, counted, and told after the commit."""

    async def insert(connection: Any) -> tuple[None, Sequence[Event]]:
        await insert_gateway_requests(connection, rows)
        return None, [GatewayRequestsRecorded(services.clock())]

    await services.commit(insert)


async def received(updates: AsyncIterator[Any]) -> Any:
    async with asyncio.timeout(10):
        result = await anext(updates)
    assert not result.errors, result.errors
    return next(iter(result.data.values()))


def watch(context: OperationContext, text: str, **variables: Any) -> Any:
    return schema.stream(text, variables, context_value=context)


async def refusal(context: OperationContext, query: str, **variables: Any) -> str:
    result = await schema.execute(query, variables, context_value=context)
    assert result.errors is not None
    [error] = result.errors
    assert error.extensions is not None
    return f"{error.extensions['code']}: {error.message}"


async def test_a_request_shows_all_that_came_of_it(
    services: Services, execute: Execute, chain: ChainRow
) -> None:
    first, second = chain.steps
    attempts = [
        attempt(step_id=first.id, model_id=first.model_id, outcome="TIMEOUT", status=None),
        attempt(step_id=999, model_id=second.model_id, label="local/large", outcome="OPEN"),
        attempt(input_tokens=3 * 10**9, cost_nanos=18_750, model_id=999, provider_id=999),
    ]
    row = request(
        "r-1", chain_id=chain.id, model_id=second.model_id, agent="triage", attempts=attempts
    )
    await record(services, row)
    text = """{ gatewayRequests { totalCount nodes { id requestId endpoint askedFor
      failoverChainId failoverChainLabel failoverChain { slug } modelId modelLabel
      model { wireName } agent streamed outcome httpStatus startedAt milliseconds firstTokenMs
      overheadMs attempts { step { position } modelId model { wireName } providerId
        provider { slug } label sent outcome cancelled httpStatus startedAt milliseconds reason
        inputTokens cacheReadTokens cacheWriteTokens outputTokens reasoningTokens estimated
        costUsd } } } }"""
    page = (await execute(text))["gatewayRequests"]
    assert page["totalCount"] == 1
    [found] = page["nodes"]
    assert found["requestId"] == "r-1"
    assert found["failoverChain"] == {"slug": "answers"}
    assert found["model"] == {"wireName": "large"}
    assert (found["modelLabel"], found["agent"]) == ("local/large", "triage")
    assert (found["outcome"], found["httpStatus"]) == ("ANSWERED", 200)
    assert found["startedAt"] == "2026-11-23T15:00:00.123457Z"
    timed_out, skipped, answered = found["attempts"]
    assert (timed_out["step"], timed_out["outcome"]) == ({"position": 0}, "TIMEOUT")
    assert timed_out["httpStatus"] is None
    assert (skipped["step"], skipped["model"]) == (None, {"wireName": "large"})
    assert (answered["outcome"], answered["model"], answered["provider"]) == (None, None, None)
    assert (answered["inputTokens"], answered["costUsd"]) == (3 * 10**9, "0.00001875")

    await delete_chain(services, chain.id, None)
    again = await execute(
        """query ($id: ID!) { node(id: $id) { __typename id }
          gatewayRequest(id: $id) { requestId failoverChain { slug } failoverChainLabel
            attempts { step { position } } } }""",
        id=found["id"],
    )
    assert again["node"] == {"__typename": "GatewayRequest", "id": found["id"]}
    assert again["gatewayRequest"]["failoverChain"] is None
    assert again["gatewayRequest"]["failoverChainLabel"] == "Answers"
    assert again["gatewayRequest"]["attempts"][0]["step"] is None
    nothing = await execute(
        "query ($id: ID!) { gatewayRequest(id: $id) { id } }", id=encode_id("Model", 1)
    )
    assert nothing["gatewayRequest"] is None


async def test_pages_and_filters(services: Services, execute: Execute, chain: ChainRow) -> None:
    await record(
        services,
        request("one", chain_id=chain.id, model_id=chain.steps[0].model_id, agent="a"),
        request("two", outcome=GatewayOutcome.CUT),
        request("three"),
    )

    async def names(**variables: Any) -> list[str]:
        page = (await execute(LIST, **variables))["gatewayRequests"]
        return [node["requestId"] for node in page["nodes"]]

    page = (await execute(LIST, first=2))["gatewayRequests"]
    assert [node["requestId"] for node in page["nodes"]] == ["three", "two"]
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"]) == (3, True)
    assert await names(after=page["pageInfo"]["endCursor"]) == ["one"]
    for wanted, expected in (
        ({"failoverChainIds": [encode_id("FailoverChain", chain.id)]}, ["one"]),
        ({"modelIds": [encode_id("Model", chain.steps[0].model_id)]}, ["one"]),
        ({"agents": ["a"]}, ["one"]),
        ({"agents": [""]}, ["three", "two"]),
        ({"outcomes": ["CUT"]}, ["two"]),
        ({"endpoints": ["EMBEDDINGS"]}, []),
        ({"startedFrom": "2026-11-23T15:00:01Z"}, []),
        ({"startedTo": "2026-11-23T15:00:01Z", "outcomes": None}, ["three", "two", "one"]),
    ):
        assert await names(filter=wanted) == expected, wanted


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"modelIds": ["nonsense"]}, "filter.modelIds: 'nonsense' is no id of a Model"),
        ({"agents": ["a\0"]}, "filter.agents: no agent's name holds the character U+0000"),
        ({"agents": ["a"] * 1_001}, "filter: a list takes at most 1000 entries"),
        (
            {"startedFrom": "2026-11-23T15:00:00Z", "startedTo": "2026-11-23T15:00:00Z"},
            "filter: startedTo must come after startedFrom",
        ),
    ],
)
async def test_a_filter_that_cannot_match_is_refused(
    context: OperationContext, wanted: dict[str, Any], message: str
) -> None:
    assert await refusal(context, LIST, filter=wanted) == f"BAD_USER_INPUT: {message}"


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits between two readings."""
    monkeypatch.setattr(request_feed, "READ_EVERY_SECONDS", 0)


@pytest.mark.usefixtures("at_once")
async def test_each_request_is_pushed_once_in_order(
    services: Services, context: OperationContext
) -> None:
    await record(services, request("before"))
    async with (
        aclosing(await watch(context, COMPLETED, filter={"agents": ["a"]})) as updates,
        aclosing(await watch(context, COMPLETED)) as every,
    ):
        assert await received(updates) == {"kind": "READY", "id": None, "gatewayRequest": None}
        assert (await received(every))["kind"] == "READY"
        await record(services, *(request(f"r-{n}", agent="ab"[n % 2]) for n in range(7)))
        # The same again, which stores nothing, and another one.
        await record(services, request("r-0", agent="a"))
        await record(services, request("r-8", agent="a"))
        messages = [await received(updates) for _ in range(5)]
        all_of_them = [await received(every) for _ in range(8)]
    names = [one["gatewayRequest"]["requestId"] for one in messages]
    assert names == ["r-0", "r-2", "r-4", "r-6", "r-8"]
    assert {one["kind"] for one in messages} == {"CREATED"}
    names = [one["gatewayRequest"]["requestId"] for one in all_of_them]
    assert names == [*(f"r-{n}" for n in range(7)), "r-8"]


@pytest.mark.usefixtures("at_once")
async def test_whoever_comes_later_gets_what_is_committed_from_then_on(
    services: Services, context: OperationContext
) -> None:
    """Also where the others come and go, and nobody is left for a while."""
    async with aclosing(await watch(context, COMPLETED)) as first:
        await received(first)
        await record(services, request("one"))
        async with aclosing(await watch(context, COMPLETED)) as second:
            await received(second)
            await record(services, request("two"))
            assert (await received(second))["gatewayRequest"] == {"requestId": "two"}
    await record(services, request("unseen"))
    async with aclosing(await watch(context, COMPLETED)) as third:
        await received(third)
        await record(services, request("three"))
        assert (await received(third))["gatewayRequest"] == {"requestId": "three"}


@pytest.mark.usefixtures("at_once")
async def test_a_hundred_watchers_cost_the_store_what_one_does(
    services: Services, context: OperationContext, count_statements: Callable[[], Any]
) -> None:
    async with AsyncExitStack() as stack:
        watchers = [
            await stack.enter_async_context(aclosing(await watch(context, COMPLETED)))
            for _ in range(100)
        ]
        for one in watchers:
            await received(one)
        with count_statements() as statements:
            await record(services, *(request(f"r-{n}") for n in range(3)))
            for one in watchers:
                assert [(await received(one))["gatewayRequest"]["requestId"] for _ in range(3)] == [
                    "r-0",
                    "r-1",
                    "r-2",
                ]
        assert len([one for one in statements if one.startswith("SELECT gateway_requests")]) == 1


@pytest.mark.usefixtures("at_once")
async def test_requests_of_other_processes_are_pushed_too(
    services: Services, context: OperationContext
) -> None:
    """The follower of a server knows only that something was recorded: it says `Missed`."""
    async with aclosing(await watch(context, COMPLETED)) as updates:
        await received(updates)
        await services.database.transact(
            lambda connection: insert_gateway_requests(connection, [request("theirs")])
        )
        services.events.missed(GatewayRequestsRecorded)
        message = await received(updates)
    assert message["gatewayRequest"] == {"requestId": "theirs"}


@pytest.mark.usefixtures("at_once")
async def test_a_subscriber_that_lags_is_told_to_read_anew(
    services: Services, context: OperationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_feed, "MOST_WAITING", 3)
    async with (
        aclosing(await watch(context, COMPLETED)) as slow,
        aclosing(await watch(context, COMPLETED)) as quick,
        aclosing(await watch(context, COMPLETED, filter={"agents": ["a"]})) as narrow,
    ):
        for one in (slow, quick, narrow):
            await received(one)
        # Of two readings, each short enough: only who doesn't take them is behind.
        for n in range(2):
            await record(services, request(f"r-{n}"), request(f"s-{n}"))
            assert (await received(quick))["gatewayRequest"] == {"requestId": f"r-{n}"}
            assert (await received(quick))["gatewayRequest"] == {"requestId": f"s-{n}"}
        await record(services, request("last", agent="a"))
        assert (await received(quick))["gatewayRequest"] == {"requestId": "last"}
        assert (await received(slow))["kind"] == "READY"
        assert (await received(slow))["gatewayRequest"] == {"requestId": "last"}
        assert (await received(narrow))["gatewayRequest"] == {"requestId": "last"}
        # Of one reading more than is worth listing: all are told.
        await record(services, *(request(f"t-{n}") for n in range(4)))
        for one in (slow, quick, narrow):
            assert (await received(one))["kind"] == "READY"


@pytest.mark.usefixtures("at_once")
async def test_requests_are_pushed_once_the_store_can_be_read_again(
    services: Services, context: OperationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "FIRST_RETRY_SECONDS", 0)
    read = gateway_request_pages.gateway_requests_since
    failed: list[Any] = []

    async def away(*arguments: Any, **options: Any) -> Any:
        if len(failed) < 3:
            failed.append(arguments)
            raise StoreUnavailable("its server can't be reached")
        return await read(*arguments, **options)

    async with aclosing(await watch(context, COMPLETED)) as updates:
        await received(updates)
        monkeypatch.setattr(gateway_request_pages, "gateway_requests_since", away)
        await record(services, request("one"), request("two"))
        names = [(await received(updates))["gatewayRequest"]["requestId"] for _ in range(2)]
        assert (names, len(failed)) == (["one", "two"], 3)


@pytest.mark.usefixtures("at_once")
async def test_a_store_that_cannot_be_read_ends_the_subscription(
    services: Services, context: OperationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_arguments: object, **_options: object) -> None:
        raise OSError("the disk is gone")

    async with aclosing(await watch(context, COMPLETED)) as updates:
        await received(updates)
        monkeypatch.setattr(gateway_request_pages, "gateway_requests_since", broken)
        await record(services, request("one"))
        async with asyncio.timeout(10):
            result = await anext(updates)
        assert result.errors[0].extensions["code"] == "INTERNAL"
    monkeypatch.undo()
    monkeypatch.setattr(request_feed, "READ_EVERY_SECONDS", 0)
    async with aclosing(await watch(context, COMPLETED)) as again:
        await received(again)
        await record(services, request("two"))
        assert (await received(again))["gatewayRequest"] == {"requestId": "two"}


def fail(services: Services, model_id: int, provider_id: int, failure: AttemptFailure) -> None:
    permit = services.gateway.breakers.admit(model_id, provider_id)
    assert permit is not None
    permit.failed(failure)
    permit.end()


async def test_health_is_the_worse_of_model_and_provider(
    services: Services, execute: Execute, chain: ChainRow, clock: SetClock
) -> None:
    closed = {
        "state": "CLOSED", "openedBy": None, "probesAgainAt": None, "successShare": None,
        "attempts": 0, "latencyP50Ms": None, "latencyP95Ms": None,
    }  # fmt: skip
    found = (await execute(HEALTH))["failoverChain"]
    assert found == {"delivery": "STREAMED", "steps": [{"health": closed}] * 2}
    model_id = chain.steps[0].model_id
    permit = services.gateway.breakers.admit(model_id, 1)
    assert permit is not None
    permit.succeeded(250.0)
    permit.end()
    for _ in range(5):
        fail(services, model_id, 1, AttemptFailure(FailureClass.TIMEOUT, None, None, "silent"))
    broken, fine = [one["health"] for one in (await execute(HEALTH))["failoverChain"]["steps"]]
    assert fine == closed
    assert (broken["state"], broken["openedBy"]) == ("OPEN", "TIMEOUT")
    assert (broken["attempts"], broken["successShare"]) == (6, pytest.approx(1 / 6))
    assert (broken["latencyP50Ms"], broken["latencyP95Ms"]) == (250, 250)
    # Ten seconds on, by a clock that stands and a timer that doesn't.
    assert "2026-11-23T15:00:09" <= broken["probesAgainAt"] <= "2026-11-23T15:00:10Z"

    no_credit = AttemptFailure(FailureClass.UNAVAILABLE, 402, None, "no credit", scope="provider")
    fail(services, chain.steps[1].model_id, 1, no_credit)
    both = [one["health"] for one in (await execute(HEALTH))["failoverChain"]["steps"]]
    assert [one["state"] for one in both] == ["OPEN", "OPEN"]
    assert [one["openedBy"] for one in both] == ["UNAVAILABLE", "UNAVAILABLE"]
    # A request needs both circuits, so it waits for the later one.
    assert all(one["probesAgainAt"] >= "2026-11-23T15:00:59" for one in both)
    assert both[1]["attempts"] == 0


async def test_changes_of_circuits_are_pushed(
    services: Services, context: OperationContext, chain: ChainRow
) -> None:
    model_id = chain.steps[0].model_id
    async with aclosing(await watch(context, CIRCUITS)) as updates:
        ready = await received(updates)
        assert ready == dict.fromkeys(ready) | {"kind": "READY"}
        for _ in range(5):
            fail(services, model_id, 1, AttemptFailure(FailureClass.TRANSIENT, 503, None, "busy"))
        opened = await received(updates)
        assert (opened["kind"], opened["model"]) == ("UPDATED", {"wireName": "small"})
        assert (opened["providerId"], opened["provider"]) == (None, None)
        assert (opened["state"], opened["openedBy"]) == ("OPEN", "TRANSIENT")
        assert opened["probesAgainAt"].startswith("2026-11-23T15:00:")
        services.gateway.breakers.reset(CircuitOf.MODEL, model_id)
        closed = await received(updates)
        assert (closed["state"], closed["openedBy"], closed["probesAgainAt"]) == (
            "CLOSED",
            None,
            None,
        )
        bad_key = AttemptFailure(FailureClass.UNAVAILABLE, 401, None, "key", scope="provider")
        fail(services, model_id, 1, bad_key)
        of_provider = await received(updates)
    assert (of_provider["provider"], of_provider["model"]) == ({"slug": "local"}, None)
    assert of_provider["state"] == "OPEN"


async def test_a_prompt_runs_through_a_chain(
    execute: Execute, chain: ChainRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Prompt] = []

    async def run(_services: Services, prompt: Prompt) -> PromptRun:
        asked.append(prompt)
        return PromptRun(
            request_id="r-1",
            outcome=GatewayOutcome.ANSWERED,
            text="Four.",
            finish_reason="stop",
            model_id=chain.steps[1].model_id,
            milliseconds=812,
            message=None,
            attempts=[
                attempt(step_id=chain.steps[0].id, outcome="RATE_LIMITED", status=429),
                attempt(step_id=chain.steps[1].id),
            ],
        )

    # The run itself is tested where it lives; here it is what the field makes of it.
    monkeypatch.setattr(gateway, "run_prompt", run)
    given = {
        "failoverChainId": encode_id("FailoverChain", chain.id), "prompt": "Two and two?",
        "system": "Be brief.", "maxOutputTokens": 10, "agent": " editor ",
    }  # fmt: skip
    done = (await execute(RUN, input=given))["runFailoverChain"]
    assert asked == [
        Prompt(
            chain_id=chain.id,
            text="Two and two?",
            system="Be brief.",
            max_output_tokens=10,
            agent="editor",
        )
    ]
    assert done["userErrors"] == []
    assert (done["text"], done["finishReason"], done["outcome"]) == ("Four.", "stop", "ANSWERED")
    assert (done["model"], done["milliseconds"]) == ({"wireName": "large"}, 812)
    assert [(one["step"], one["outcome"], one["httpStatus"]) for one in done["attempts"]] == [
        ({"position": 0}, "RATE_LIMITED", 429),
        ({"position": 1}, None, 200),
    ]


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ({"prompt": " "}, [("INVALID", ["prompt"])]),
        (
            {"prompt": "x" * 100_001, "system": "\0", "maxOutputTokens": 0, "agent": "a" * 201},
            [
                ("INVALID", ["prompt"]),
                ("INVALID", ["system"]),
                ("INVALID", ["maxOutputTokens"]),
                ("INVALID", ["agent"]),
            ],
        ),
        ({"failoverChainId": "nothing"}, [("NOT_FOUND", ["failoverChainId"])]),
        ({"maxOutputTokens": 100_001}, [("INVALID", ["maxOutputTokens"])]),
    ],
)
async def test_a_bad_prompt_runs_nothing(
    execute: Execute,
    chain: ChainRow,
    given: dict[str, Any],
    problems: list[tuple[str, list[str]]],
) -> None:
    good = {"failoverChainId": encode_id("FailoverChain", chain.id), "prompt": "Hello"}
    done = (await execute(RUN, input=good | given))["runFailoverChain"]
    assert [(one["code"], one["field"]) for one in done["userErrors"]] == problems
    assert (done["text"], done["outcome"], done["attempts"]) == (None, None, [])


async def test_delivery_is_set_and_changed(execute: Execute, chain: ChainRow) -> None:
    update = """mutation ($input: UpdateFailoverChainInput!) { updateFailoverChain(input: $input) {
      failoverChain { delivery version } userErrors { code field } } }"""
    chain_id = encode_id("FailoverChain", chain.id)
    changed = (await execute(update, input={"id": chain_id, "delivery": "ASSURED"}))[
        "updateFailoverChain"
    ]
    assert changed["failoverChain"] == {"delivery": "ASSURED", "version": 2}
    same = await execute(update, input={"id": chain_id, "name": "Answers"})
    assert same["updateFailoverChain"]["failoverChain"] == {"delivery": "ASSURED", "version": 2}
    bad = (await execute(update, input={"id": chain_id, "delivery": None}))["updateFailoverChain"]
    assert bad["userErrors"] == [{"code": "INVALID", "field": ["delivery"]}]
    create = """mutation ($input: CreateFailoverChainInput!) { createFailoverChain(input: $input) {
      failoverChain { delivery } userErrors { message } } }"""
    steps = [{"modelId": encode_id("Model", chain.steps[0].model_id)}]
    made = await execute(create, input={"name": "B", "delivery": "ASSURED", "steps": steps})
    assert made["createFailoverChain"]["failoverChain"] == {"delivery": "ASSURED"}


def test_every_class_and_every_reason_to_skip_is_an_outcome() -> None:
    assert {one.value for one in AttemptOutcome} == {*FailureClass, *Skipped}
