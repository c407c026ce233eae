"""The catalog over GraphQL: what a dashboard asks, and what it gets for odd input."""

from typing import Any

import pytest

from resolvers.context import OperationContext
from schema.root import schema
from tests.conftest import Execute, SetClock
from trunkline.services import Services

CREATE_PROVIDER = """mutation ($slug: String!, $baseUrl: String) { createProvider(input: {
  slug: $slug, name: $slug, kind: OPENAI_COMPATIBLE, baseUrl: $baseUrl }) {
  provider { id } userErrors { message } } }"""
CREATE = """mutation ($input: CreateModelInput!) { createModel(input: $input) {
  model { id wireName name description contextWindow maxOutputTokens capabilities enabled deprecated
    source version updatedAt provider { slug }
    pricing { inputPerMillion outputPerMillion cacheReadPerMillion tiered source asOf } }
  userErrors { code field message } } }"""
UPDATE = """mutation ($input: UpdateModelInput!) { updateModel(input: $input) {
  model { version name enabled pricing { inputPerMillion source } }
  userErrors { code field message } } }"""
DELETE = """mutation ($input: DeleteModelInput!) { deleteModel(input: $input) {
  deletedId model { wireName } usedBy { slug } userErrors { code field } } }"""
MODELS = """query ($first: Int, $after: String, $filter: ModelFilter, $sort: ModelSort! = NAME) {
  models(first: $first, after: $after, filter: $filter, sort: $sort) {
    totalCount nodes { wireName } pageInfo { hasNextPage endCursor } } }"""


@pytest.fixture
async def groq(execute: Execute) -> str:
    """The id of a provider with 37 known models."""
    answer = await execute(CREATE_PROVIDER, slug="groq", baseUrl="https://api.groq.com/openai/v1")
    provider_id: str = answer["createProvider"]["provider"]["id"]
    return provider_id


async def create(execute: Execute, provider_id: str, **fields: Any) -> dict[str, Any]:
    answer = await execute(CREATE, input={"providerId": provider_id, "wireName": "own", **fields})
    payload: dict[str, Any] = answer["createModel"]
    return payload


async def listed(execute: Execute, **narrowed: Any) -> list[str]:
    answer = await execute(MODELS, first=100, filter=narrowed)
    assert answer["models"]["totalCount"] == len(answer["models"]["nodes"])
    return [node["wireName"] for node in answer["models"]["nodes"]]


async def refusal(context: OperationContext, query: str, **variables: Any) -> tuple[str, str]:
    """Message and code of the one error that the operation ends with."""
    result = await schema.execute(query, variables, context_value=context)
    assert result.errors is not None
    [error] = result.errors
    assert error.extensions is not None
    return error.message, error.extensions["code"]


async def test_an_own_model_with_its_price(execute: Execute, groq: str, clock: SetClock) -> None:
    payload = await create(
        execute,
        groq,
        name="Own",
        contextWindow=8_192,
        capabilities=["VISION", "TOOLS"],
        priceOverride={"inputPerMillion": "0.000000001", "outputPerMillion": "1000000"},
    )
    assert payload["userErrors"] == []
    payload["model"].pop("id")
    assert payload["model"] == {
        "wireName": "own",
        "name": "Own",
        "description": None,
        "contextWindow": 8_192,
        "maxOutputTokens": None,
        "capabilities": ["TOOLS", "VISION"],
        "enabled": True,
        "deprecated": False,
        "source": "CUSTOM",
        "version": 1,
        "updatedAt": "2026-11-23T15:00:00Z",
        "provider": {"slug": "groq"},
        "pricing": {
            "inputPerMillion": "0.000000001",
            "outputPerMillion": "1000000",
            "cacheReadPerMillion": None,
            "tiered": False,
            "source": "OVERRIDE",
            "asOf": "2026-11-23T15:00:00Z",
        },
    }


async def test_every_problem_is_data_with_its_path(execute: Execute, groq: str) -> None:
    payload = await create(
        execute,
        groq,
        wireName="a\u0000b",
        maxOutputTokens=0,
        priceOverride={"inputPerMillion": "1000000.000000001", "outputPerMillion": "0"},
    )
    assert payload["model"] is None
    assert {(one["code"], tuple(one["field"])) for one in payload["userErrors"]} == {
        ("INVALID", ("wireName",)),
        ("INVALID", ("maxOutputTokens",)),
        ("INVALID", ("priceOverride", "inputPerMillion")),
    }


@pytest.mark.parametrize("provider_id", ["", "nonsense", "TW9kZWw6MQ", "UHJvdmlkZXI6OTk5"])
async def test_an_id_of_nothing_is_not_found(execute: Execute, provider_id: str) -> None:
    payload = await create(execute, provider_id)
    assert [(one["code"], one["field"]) for one in payload["userErrors"]] == [
        ("NOT_FOUND", ["providerId"])
    ]


async def test_an_override_is_set_and_ended_by_null(execute: Execute, groq: str) -> None:
    model = (await create(execute, groq))["model"]
    price = {"inputPerMillion": "1", "outputPerMillion": "2.5"}
    change = {"id": model["id"], "expectedVersion": 1, "priceOverride": price}
    payload = (await execute(UPDATE, input=change))["updateModel"]
    assert payload["model"]["pricing"] == {"inputPerMillion": "1", "source": "OVERRIDE"}
    stale = (await execute(UPDATE, input=change))["updateModel"]
    assert [one["code"] for one in stale["userErrors"]] == ["VERSION_CONFLICT"]
    assert stale["model"] == payload["model"]
    ended = (await execute(UPDATE, input={"id": model["id"], "priceOverride": None}))["updateModel"]
    assert (ended["model"]["pricing"], ended["model"]["version"]) == (None, 3)
    nulls = (await execute(UPDATE, input={"id": model["id"], "name": None, "enabled": None}))[
        "updateModel"
    ]
    assert {(one["code"], *one["field"]) for one in nulls["userErrors"]} == {
        ("INVALID", "name"),
        ("INVALID", "enabled"),
    }
    assert nulls["model"] == ended["model"]


async def test_only_own_models_are_deleted(execute: Execute, groq: str) -> None:
    model = (await create(execute, groq))["model"]
    gone = (await execute(DELETE, input={"id": model["id"]}))["deleteModel"]
    assert gone == {"deletedId": model["id"], "model": None, "usedBy": [], "userErrors": []}
    found = await execute("query ($id: ID!) { node(id: $id) { id } }", id=model["id"])
    assert found == {"node": None}
    first = (await execute("{ models(first: 1) { nodes { id wireName } } }"))["models"]["nodes"][0]
    kept = (await execute(DELETE, input={"id": first["id"]}))["deleteModel"]
    assert kept["deletedId"] is None
    assert kept["model"] == {"wireName": first["wireName"]}
    assert [one["code"] for one in kept["userErrors"]] == ["INVALID"]


async def test_the_catalog_is_searched_and_filtered(execute: Execute, groq: str) -> None:
    await create(
        execute,
        groq,
        wireName="Acme/Große-1",
        capabilities=["EMBEDDINGS"],
        priceOverride={"inputPerMillion": "0", "outputPerMillion": "0"},
    )
    assert await listed(execute, search="  GROSSE  acme ") == ["Acme/Große-1"]
    assert await listed(execute, search="groq grosse") == ["Acme/Große-1"]
    assert await listed(execute, search="acme nothing") == []
    assert await listed(execute, capabilities=["EMBEDDINGS"]) == ["Acme/Große-1"]
    assert await listed(execute, maxInputPerMillion="0") == ["Acme/Große-1"]
    everything = await listed(execute, includeDeprecated=True)
    assert await listed(execute, includeDeprecated=True, providerIds=[groq]) == everything
    assert await listed(execute, includeDeprecated=True, search="") == everything
    assert await listed(execute, enabled=False) == []


async def test_an_empty_list_matches_nothing(execute: Execute, groq: str) -> None:
    assert await listed(execute, providerIds=[]) == []
    assert await listed(execute, capabilities=[]) == []


async def test_numbers_that_no_column_holds_are_answered(execute: Execute, groq: str) -> None:
    assert await listed(execute, maxInputPerMillion="999999999999999.999999999")
    assert await listed(execute, minContextWindow=2**31 - 1) == []
    assert await listed(execute, minContextWindow=-(2**31))


@pytest.mark.parametrize(
    ("narrowed", "says"),
    [
        ({"search": "x" * 201}, "200 characters"),
        ({"search": "a " * 11}, "10 words"),
        ({"search": "a\u0000"}, "U+0000"),
        ({"search": "\ud800"}, "U+D800"),
        ({"providerIds": ["TW9kZWw6MQ"]}, "no id of a Provider"),
        ({"providerIds": ["UHJvdmlkZXI6MQ"] * 1_001}, "at most 1000"),
    ],
)
async def test_a_filter_that_cant_be_answered_says_why(
    context: OperationContext, narrowed: dict[str, Any], says: str
) -> None:
    message, code = await refusal(context, MODELS, filter=narrowed)
    assert says in message
    assert code == "BAD_USER_INPUT"


@pytest.mark.parametrize(("first", "after"), [(-1, None), (101, None), (1, "bogus"), (1, "ⴰ")])
async def test_a_page_that_cant_be_given_says_why(
    context: OperationContext, first: int, after: str | None
) -> None:
    _, code = await refusal(context, MODELS, first=first, after=after)
    assert code == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    "sort", ["NAME", "CONTEXT_WINDOW_DESC", "INPUT_PRICE_ASC", "OUTPUT_PRICE_ASC"]
)
async def test_cursors_walk_every_order(execute: Execute, groq: str, sort: str) -> None:
    everything = await execute(MODELS, first=100, sort=sort)
    names: list[str] = []
    after = None
    while True:
        page = (await execute(MODELS, first=7, after=after, sort=sort))["models"]
        names += [node["wireName"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert names == [node["wireName"] for node in everything["models"]["nodes"]]
    assert len(names) == everything["models"]["totalCount"] > 14


async def test_counts_only(execute: Execute, groq: str) -> None:
    page = (await execute(MODELS, first=0))["models"]
    assert page["nodes"] == []
    assert page["totalCount"] > 14
    assert page["pageInfo"] == {"hasNextPage": True, "endCursor": None}


async def test_an_unknown_price_is_null(execute: Execute, groq: str) -> None:
    query = (
        '{ models(filter: { search: "whisper-large-v3-turbo" }) { nodes { pricing { source } } } }'
    )
    assert (await execute(query))["models"]["nodes"] == [{"pricing": None}]


async def test_changes_of_models_are_heard_after_ready(
    services: Services, context: OperationContext, execute: Execute, groq: str
) -> None:
    other = (await execute(CREATE_PROVIDER, slug="other", baseUrl="http://127.0.0.1:9"))[
        "createProvider"
    ]["provider"]["id"]
    subscription = """subscription { modelChanged(providerSlugs: ["groq"]) {
      kind id model { wireName name } } }"""
    heard = await schema.subscribe(subscription, context_value=context)

    async def following() -> dict[str, Any]:
        result = await anext(heard)
        assert not result.errors
        change: dict[str, Any] = (result.data or {})["modelChanged"]
        return change

    assert await following() == {"kind": "READY", "id": None, "model": None}
    await create(execute, other)
    model = (await create(execute, groq))["model"]
    assert await following() == {
        "kind": "CREATED",
        "id": model["id"],
        "model": {"wireName": "own", "name": "own"},
    }
    await execute(UPDATE, input={"id": model["id"], "name": ""})
    await execute(UPDATE, input={"id": model["id"], "name": "New"})
    updated = await following()
    assert (updated["kind"], updated["model"]["name"]) == ("UPDATED", "New")
    await execute(DELETE, input={"id": model["id"]})
    assert await following() == {"kind": "DELETED", "id": model["id"], "model": None}
    await heard.aclose()
