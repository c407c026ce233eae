"""The gateway over GraphQL while real requests run: prompts, requests, circuits."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
import pytest

from db.vocabulary import BudgetAction, Delivery
from resolvers.context import OperationContext, Viewer
from schema.node import encode_id
from schema.root import schema
from tests.server.gateway.world import MESSAGES, World
from tests.trunkline.budgets.spending import make_budget, spend
from trunkline.budgets.inputs import BudgetScope
from trunkline.budgets.watching import BudgetWatch
from trunkline.failover.chains import ChainUpdate, update_chain

RUN = """mutation ($input: RunFailoverChainInput!) { runFailoverChain(input: $input) {
  requestId outcome text finishReason model { wireName } milliseconds message
  attempts { label step { position } outcome httpStatus sent outputTokens }
  userErrors { code field message } } }"""
COMPLETED = """subscription ($filter: GatewayRequestFilter) {
  gatewayRequestCompleted(filter: $filter) { kind gatewayRequest {
    requestId endpoint agent streamed outcome httpStatus modelLabel attempts { outcome } } } }"""
CIRCUITS = """subscription { circuitChanged { kind model { wireName } provider { slug } state
  openedBy } }"""
REQUESTS = """query ($filter: GatewayRequestFilter) { gatewayRequests(filter: $filter) {
  totalCount nodes { id requestId endpoint askedFor streamed outcome httpStatus agent
    attempts { outcome httpStatus reason } } } }"""
ONE = "query ($id: ID!) { gatewayRequest(id: $id) { requestId failoverChain { slug } } }"


async def watch(world: World, text: str, **variables: Any) -> Any:
    context = OperationContext(world.services, Viewer("tests"), "request-1")
    return await schema.stream(text, variables, context_value=context)


async def heard(updates: AsyncIterator[Any]) -> Any:
    result = await anext(updates)
    assert not result.errors, result.errors
    return next(iter(result.data.values()))


async def run(world: World, chain_id: int, prompt: str = "hello", **given: Any) -> dict[str, Any]:
    asked = {"failoverChainId": encode_id("FailoverChain", chain_id), "prompt": prompt, **given}
    found: dict[str, Any] = (await world.execute(RUN, input=asked))["runFailoverChain"]
    return found


async def test_a_prompt_runs_through_a_chain_and_is_counted(world: World) -> None:
    chain = await world.chain("first", "second", max_retries=0)
    world.script(first=["overloaded"], second=["ok"])
    ran = await run(world, chain.id, system="Be short.", maxOutputTokens=12, agent="editor")
    assert (ran["outcome"], ran["message"], ran["userErrors"]) == ("ANSWERED", None, [])
    assert ran["text"]
    assert ran["finishReason"] == "length"
    assert ran["model"] == {"wireName": "second"}
    assert [(one["label"], one["outcome"], one["httpStatus"]) for one in ran["attempts"]] == [
        ("openai-compatible/first", "TRANSIENT", 503), ("openai-compatible/second", None, None),
    ]  # fmt: skip
    sent = orjson.loads(world.seen[-1].body)
    assert [one["role"] for one in sent["messages"]] in (["system", "user"], ["developer", "user"])
    [stored] = await world.stored()
    assert (stored.request_id, stored.endpoint) == (ran["requestId"], "RUN_FAILOVER_CHAIN")
    assert stored.agent == "editor"
    assert stored.attempts[1].output_tokens == ran["attempts"][1]["outputTokens"] == 12


async def test_a_prompt_s_agent_is_a_name_that_usage_may_be_recorded_for(
    sqlite_world: World,
) -> None:
    world = sqlite_world
    chain = await world.chain("first")
    ran = await run(world, chain.id, agent="edi\ntor")
    assert [(one["code"], one["field"]) for one in ran["userErrors"]] == [("INVALID", ["agent"])]
    assert world.seen == []


async def test_a_prompt_that_nobody_answers_says_why(sqlite_world: World) -> None:
    world = sqlite_world
    chain = await world.chain("first", max_retries=0, delivery=Delivery.ASSURED)
    world.script(first=["bad-key"])
    ran = await run(world, chain.id)
    assert (ran["outcome"], ran["text"], ran["model"]) == ("FAILED", None, None)
    assert "UNAVAILABLE, status 401" in ran["message"]
    world.services.gateway.breakers._circuits.clear()
    world.script(first=["invalid"])
    refused = await run(world, chain.id)
    assert refused["outcome"] == "REFUSED"
    assert refused["attempts"][0]["outcome"] == "INVALID"
    # A chain that is switched off can be tried out.
    await update_chain(world.services, ChainUpdate(id=chain.id, enabled=False))
    world.script(first=["ok"])
    assert (await run(world, chain.id))["outcome"] == "ANSWERED"


async def test_a_budget_blocks_a_prompt_as_well(sqlite_world: World) -> None:
    world = sqlite_world
    chain = await world.chain("first")
    await make_budget(
        world.services, "1", scope=BudgetScope(everything=True), action=BudgetAction.BLOCK
    )
    await spend(world.services, "2", provider="openai-compatible", model="first")
    await BudgetWatch(world.services).look()
    ran = await run(world, chain.id)
    assert (ran["outcome"], ran["text"]) == ("REFUSED", None)
    assert "is used up, and blocks until" in ran["message"]
    assert world.seen == []
    [stored] = await world.stored()
    assert (stored.request_id, stored.outcome, stored.http_status) == (
        ran["requestId"], "REFUSED", 429,
    )  # fmt: skip


async def test_requests_are_listed_as_they_went(world: World) -> None:
    await world.chain("first", "second", max_retries=0)
    world.script(first=["overloaded", "ok", "cut-after-4", "invalid"], second=["ok"])
    replies = [
        await world.ask(headers={"x-trunkline-agent": "a"}),
        await world.ask(MESSAGES, stream=True),
        await world.ask(stream=True),
        await world.ask(),
    ]
    await world.stored()
    found = (await world.execute(REQUESTS))["gatewayRequests"]
    assert found["totalCount"] == 4
    nodes = {one["requestId"]: one for one in found["nodes"]}
    listed = [nodes[one.headers["x-trunkline-request-id"]] for one in replies]
    assert [(one["outcome"], one["httpStatus"], one["endpoint"]) for one in listed] == [
        ("ANSWERED", 200, "CHAT_COMPLETIONS"), ("ANSWERED", 200, "MESSAGES"),
        ("CUT", 502, "CHAT_COMPLETIONS"), ("REFUSED", 400, "CHAT_COMPLETIONS"),
    ]  # fmt: skip
    assert [one["streamed"] for one in listed] == [False, True, True, False]
    assert [one["outcome"] for one in listed[0]["attempts"]] == ["TRANSIENT", None]
    of_a = (await world.execute(REQUESTS, filter={"agents": ["a"]}))["gatewayRequests"]
    assert of_a["totalCount"] == 1
    one = (await world.execute(ONE, id=of_a["nodes"][0]["id"]))["gatewayRequest"]
    assert one["failoverChain"] == {"slug": "test"}


async def test_a_request_is_pushed_when_it_has_ended(world: World) -> None:
    await world.chain("first", "second", max_retries=0)
    world.script(first=["overloaded", "ok"], second=["ok"])
    async with aclosing(await watch(world, COMPLETED, filter={"outcomes": ["ANSWERED"]})) as told:
        assert (await heard(told))["kind"] == "READY"
        replies = [await world.ask(stream=stream) for stream in (False, True)]
        await world.ask(model=world.named("nothing"))
        pushed = [(await heard(told))["gatewayRequest"] for _ in replies]
    assert [one["requestId"] for one in pushed] == [
        one.headers["x-trunkline-request-id"] for one in replies
    ]
    assert [one["modelLabel"] for one in pushed] == [
        "openai-compatible/second", "openai-compatible/first",
    ]  # fmt: skip
    assert [len(one["attempts"]) for one in pushed] == [2, 1]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_circuit_is_pushed_as_it_opens_probes_and_closes(
    sqlite_world: World, stream: bool
) -> None:
    world = sqlite_world
    await world.chain("first", "second", max_retries=0)
    world.script(first=[*["overloaded"] * 6, "ok"], second=["ok"])
    async with aclosing(await watch(world, CIRCUITS)) as told:
        assert (await heard(told))["kind"] == "READY"

        async def state() -> tuple[str, str | None]:
            change = await heard(told)
            assert change["model"] == {"wireName": "first"}
            return change["state"], change["openedBy"]

        for _ in range(5):
            await world.ask(stream=stream)
        assert await state() == ("OPEN", "TRANSIENT")
        world.time.advance(10)
        await world.ask(stream=stream)
        seen = [await state()]
        while seen[-1][0] != "OPEN":
            seen.append(await state())
        assert seen[-1] == ("OPEN", "TRANSIENT")
        world.time.advance(20)
        await world.ask(stream=stream)
        seen = [await state()]
        while seen[-1][0] != "CLOSED":
            seen.append(await state())
        assert seen[-1] == ("CLOSED", None)
