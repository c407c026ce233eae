"""Access tokens at the gateway: what they may ask for, and whose their requests are."""

from typing import Any

import pytest

from db.vocabulary import AccessScope
from schema.node import encode_id
from server.wrong_tokens import MOST_WRONG
from tests.server.gateway.world import CHAT, ENDPOINTS, MESSAGES, Reply, World, rest_of
from trunkline.access.changes import create_token, revoke_token
from trunkline.access.inputs import NewAccessToken

GATEWAY = AccessScope.GATEWAY
ANTHROPIC = {"anthropic-version": "2023-06-01"}
RUN = """mutation ($input: RunFailoverChainInput!) { runFailoverChain(input: $input) {
  outcome userErrors { code field } } }"""


async def token(
    world: World, *scopes: AccessScope, name: str = "support-bot", **limits: Any
) -> tuple[int, dict[str, str]]:
    """A token's id, and the header that shows it."""
    new = NewAccessToken(name=name, scopes=scopes or (GATEWAY,), **limits)
    made = await create_token(world.services, new)
    return made.token.id, {"Authorization": f"Bearer {made.text}"}


async def get(world: World, path: str, headers: dict[str, str]) -> Reply:
    async with world.session.get(world.url + path, headers=headers) as response:
        return await rest_of(response)


def says(reply: Reply) -> str:
    return str(reply.error["message"])


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_the_gateway_takes_its_scope(sqlite_world: World, endpoint: str) -> None:
    world = sqlite_world
    await world.chain("sim-ok")
    _, allowed = await token(world)
    assert (await world.ask(endpoint, headers=allowed)).status == 200
    others = [scope for scope in AccessScope if scope not in {GATEWAY, AccessScope.ADMIN}]
    _, other = await token(world, *others, name="other")
    refused = await world.ask(endpoint, headers=other)
    assert refused.status == 403
    assert "GATEWAY" in says(refused)
    assert "READ" in says(refused)
    assert (await get(world, "/v1/models", other)).status == 403
    assert (await get(world, "/v1/models", allowed)).status == 200
    _, admin = await token(world, AccessScope.ADMIN, name="operator")
    assert (await world.ask(endpoint, headers=admin)).status == 200
    assert len(world.seen) == 2


async def test_it_comes_as_an_api_key_too(sqlite_world: World) -> None:
    world = sqlite_world
    await world.chain("sim-ok")
    _, sent = await token(world)
    key = {"x-api-key": sent["Authorization"].removeprefix("Bearer ")}
    asked = {"model": "chain/test", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    async with world.session.post(world.url + MESSAGES, json=asked, headers=key) as response:
        assert response.status == 200
    async with world.session.post(
        world.url + MESSAGES, json=asked, headers={"x-api-key": "tl_" + "x" * 43}
    ) as response:
        reply = await rest_of(response)
    assert (reply.status, reply.error["type"]) == (401, "authentication_error")


async def test_a_revoked_token_is_refused(world: World) -> None:
    await world.chain("sim-ok")
    token_id, sent = await token(world)
    assert (await world.ask(headers=sent)).status == 200
    await revoke_token(world.services, token_id)
    assert (await world.ask(headers=sent)).status == 401
    assert len(world.seen) == 1


async def test_wrong_tokens_are_slowed_in_the_callers_protocol(sqlite_world: World) -> None:
    world = sqlite_world
    await world.chain("sim-ok")
    wrong = {"Authorization": "Bearer tl_wrong"}
    for _ in range(MOST_WRONG):
        assert (await world.ask(headers=wrong)).status == 401
    slowed = await world.ask(headers=wrong)
    assert (slowed.status, slowed.error["code"]) == (429, "rate_limit_exceeded")
    assert 1 <= int(slowed.headers["retry-after"]) <= 60
    assert (await world.ask()).status == 200


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_a_token_limited_to_chains_asks_for_these_alone(
    sqlite_world: World, endpoint: str
) -> None:
    world = sqlite_world
    allowed = await world.chain("sim-ok")
    await world.chain("sim-ok", slug="other")
    _, sent = await token(world, chain_ids=[allowed.id])
    assert (await world.ask(endpoint, headers=sent)).status == 200
    unknown = await world.ask(endpoint, headers=sent, model="chain/nowhere")
    for name in ("chain/other", world.named("sim-ok")):
        refused = await world.ask(endpoint, headers=sent, model=name)
        # As if it weren't there.
        assert refused.status == unknown.status == 404
        assert says(refused) == says(unknown).replace("chain/nowhere", name)
    assert (await world.ask(endpoint, model="chain/other")).status == 200
    assert len(world.seen) == 2


@pytest.mark.parametrize("shape", [{}, ANTHROPIC])
async def test_and_these_alone_are_listed(sqlite_world: World, shape: dict[str, str]) -> None:
    world = sqlite_world
    allowed = await world.chain("sim-ok")
    await world.chain("sim-ok", slug="other")
    _, sent = await token(world, chain_ids=[allowed.id])
    listed = await get(world, "/v1/models", sent | shape)
    assert [one["id"] for one in listed.json()["data"]] == ["chain/test"]
    assert (await get(world, "/v1/models/chain%2Ftest", sent | shape)).status == 200
    assert (await get(world, "/v1/models/chain%2Fother", sent | shape)).status == 404


async def test_requests_are_the_tokens_unless_they_say_otherwise(sqlite_world: World) -> None:
    world = sqlite_world
    await world.chain("sim-ok")
    _, sent = await token(world)
    await world.ask(headers=sent)
    await world.ask(headers=sent | {"x-trunkline-agent": "another"})
    await world.ask(headers=sent, metadata={"agent": "third"})
    await world.ask()
    assert [one.agent for one in await world.stored()] == ["support-bot", "another", "third", None]


async def test_a_token_limited_to_agents_asks_for_these_alone(sqlite_world: World) -> None:
    world = sqlite_world
    await world.chain("sim-ok")
    _, sent = await token(world, agents=["search", "support"])
    for named in ({"x-trunkline-agent": "billing"}, {}, {"x-trunkline-agent": ""}):
        refused = await world.ask(headers=sent | named)
        assert (refused.status, refused.error["code"]) == (403, "forbidden")
        assert "'search', 'support'" in says(refused)
    refused = await world.ask(headers=sent, metadata={"agent": "billing"})
    assert refused.status == 403
    assert world.seen == []
    assert (await world.ask(headers=sent | {"x-trunkline-agent": "search"})).status == 200
    assert (await world.ask(headers=sent, metadata={"agent": "support"})).status == 200
    # Where there is one only, it needs no naming.
    _, single = await token(world, name="single", agents=["billing"])
    assert (await world.ask(headers=single)).status == 200
    agents = [one.agent for one in await world.stored()]
    assert agents == ["search", "support", "billing"]


async def test_a_prompt_through_a_chain_keeps_to_the_limits(sqlite_world: World) -> None:
    world = sqlite_world
    allowed = await world.chain("sim-ok")
    other = await world.chain("sim-ok", slug="other")
    _, sent = await token(
        world, GATEWAY, AccessScope.READ, chain_ids=[allowed.id], agents=["support"]
    )

    async def run(chain_id: int, **given: Any) -> Any:
        body = {
            "query": RUN,
            "variables": {
                "input": {
                    "failoverChainId": encode_id("FailoverChain", chain_id),
                    "prompt": "hello",
                    **given,
                }
            },
        }
        async with world.session.post(f"{world.url}/graphql", json=body, headers=sent) as response:
            return (await response.json())["data"]["runFailoverChain"]

    assert (await run(allowed.id))["outcome"] == "ANSWERED"
    assert (await run(other.id))["userErrors"] == [
        {"code": "NOT_FOUND", "field": ["failoverChainId"]}
    ]
    assert (await run(allowed.id, agent="billing"))["userErrors"] == [
        {"code": "INVALID", "field": ["agent"]}
    ]
    assert [one.agent for one in await world.stored()] == ["support"]
    assert len(world.seen) == 1


async def test_what_a_token_asks_costs_no_read_of_its_own(
    world: World, count_statements: Any
) -> None:
    await world.chain("sim-ok")
    _, sent = await token(world)
    await world.ask(CHAT, headers=sent)
    await world.stored()
    with count_statements() as statements:
        for _ in range(5):
            await world.ask(CHAT, headers=sent)
    assert not [one for one in statements if "access_tokens" in one], statements
