"""`GET /v1/models`: what may be asked for, in the shape of the caller's protocol."""

from typing import Any

import pytest

from db.vocabulary import ProviderKind
from tests.server.gateway.world import Reply, World, rest_of
from trunkline.catalog.changes import ModelUpdate, update_model

ANTHROPIC = {"anthropic-version": "2023-06-01"}
NAMES = [
    "chain/test", "chain/zebra", "ollama/llama", "openai-compatible/acme/small:latest",
    "openai-compatible/large",
]  # fmt: skip


@pytest.fixture
async def world(sqlite_world: World) -> World:
    """Two chains and three models that can be used, and what can't."""
    await sqlite_world.chain("acme/small:latest")
    await sqlite_world.chain("large", slug="zebra")
    await sqlite_world.model("llama", ProviderKind.OLLAMA)
    off = await sqlite_world.model("off")
    await update_model(sqlite_world.services, ModelUpdate(id=off, enabled=False))
    await sqlite_world.provider(ProviderKind.OPENAI, "keyless", api_key=None)
    await sqlite_world.model("gpt", ProviderKind.OPENAI, slug="keyless")
    return sqlite_world


async def get(world: World, path: str, **headers: str) -> Reply:
    async with world.session.get(
        world.url + path,
        headers=world.bearer | {k.replace("_", "-"): v for k, v in headers.items()},
    ) as response:
        return await rest_of(response)


async def test_openais_callers_see_all_in_one_page(world: World) -> None:
    reply = await get(world, "/v1/models")
    body = reply.json()
    assert (reply.status, body["object"]) == (200, "list")
    assert sorted(one["id"] for one in body["data"]) == sorted(NAMES)
    [chain] = [one for one in body["data"] if one["id"] == "chain/test"]
    assert chain == {
        "id": "chain/test", "object": "model", "created": 1_795_446_000, "owned_by": "trunkline",
    }  # fmt: skip
    [small] = [one for one in body["data"] if one["id"].endswith("small:latest")]
    assert small["owned_by"] == "openai-compatible"


async def test_anthropics_callers_turn_pages_both_ways(world: World) -> None:
    seen: list[str] = []
    after = ""
    pages: list[dict[str, Any]] = []
    while not pages or pages[-1]["has_more"]:
        page = (await get(world, f"/v1/models?limit=2{after}", **ANTHROPIC)).json()
        seen += [one["id"] for one in page["data"]]
        assert (page["first_id"], page["last_id"]) == (
            page["data"][0]["id"], page["data"][-1]["id"],
        )  # fmt: skip
        after = f"&after_id={page['last_id']}"
        pages.append(page)
    assert sorted(seen) == sorted(NAMES)
    assert len(pages) == 3
    back = (await get(world, f"/v1/models?limit=2&before_id={seen[4]}", **ANTHROPIC)).json()
    assert [one["id"] for one in back["data"]] == seen[2:4]
    assert back["has_more"]
    first = pages[0]["data"][0]
    assert set(first) == {"type", "id", "display_name", "created_at", "lifecycle"}
    assert first["lifecycle"] == "active"  # As what is deprecated is left out.
    assert first["created_at"].endswith("Z")
    for wrong in ("limit=0", "limit=1001", "limit=x", "after_id=nothing", "before_id="):
        refused = await get(world, f"/v1/models?{wrong}", **ANTHROPIC)
        if wrong == "before_id=":
            continue  # Which says nothing.
        assert (refused.status, refused.json()["type"]) == (400, "error"), wrong


async def test_one_model_is_found_with_its_slashes(world: World) -> None:
    for name in NAMES:
        for path in (name, name.replace("/", "%2F")):
            reply = await get(world, f"/v1/models/{path}")
            assert (reply.status, reply.json()["id"]) == (200, name), path
            of_anthropic = await get(world, f"/v1/models/{path}", **ANTHROPIC)
            assert of_anthropic.json()["type"] == "model"
    unknown = await get(world, "/v1/models/gpt-5")
    assert (unknown.status, unknown.error["type"]) == (404, "invalid_request_error")
    assert (await get(world, "/v1/models/gpt-5", **ANTHROPIC)).error["type"] == "not_found_error"


async def test_what_is_listed_can_be_asked_for(world: World) -> None:
    world.script(**{"large": ["ok"], "acme/small:latest": ["ok"], "llama": ["ok"]})
    for one in (await get(world, "/v1/models")).json()["data"]:
        assert (await world.ask(model=one["id"])).status == 200, one["id"]
