"""The tour of the API in process, on both databases: what a newcomer does first."""

from typing import Any

from sqlalchemy import select

from db.tables import providers as providers_table
from tests.conftest import Execute, SetClock
from trunkline.providers.seeding import seed_providers
from trunkline.services import Services

OVERVIEW = """
query { providers { totalCount nodes {
  id slug status modelCount apiKey { masked } lastConnectionTest { status }
  models(first: 50) { nodes { id wireName capabilities pricing { inputPerMillion } } }
} } }
"""
CREATE_CHAIN = """
mutation ($input: CreateFailoverChainInput!) { createFailoverChain(input: $input) {
  failoverChain { id slug version
    steps { id position maxRetries timeoutSeconds model { wireName } } }
  userErrors { code field message }
} }
"""
RECORD = """
mutation ($events: [UsageEventInput!]!) { recordUsage(input: { events: $events }) {
  recorded duplicates userErrors { code field message }
} }
"""
SERIES = """
query ($input: UsageSeriesInput!) { usageSeries(input: $input) {
  from to asOf granularity timezone totals { requests costUsd unpricedRequests averageLatencyMs }
  groups { key kind label subject { __typename } totals { requests costUsd }
    points { start requests costUsd } }
} }
"""


async def seed(services: Services) -> None:
    assert await seed_providers(services.database, services.catalog, services.clock)
    assert not await seed_providers(services.database, services.catalog, services.clock)


async def test_a_first_start_has_four_providers_with_catalogs_and_no_keys(
    services: Services, execute: Execute
) -> None:
    await seed(services)
    overview = (await execute(OVERVIEW))["providers"]
    assert overview["totalCount"] == 4
    by_slug = {node["slug"]: node for node in overview["nodes"]}
    assert [node["status"] for node in overview["nodes"]] == [
        "UNCONFIGURED", "UNCONFIGURED", "UNTESTED", "UNCONFIGURED"
    ]  # fmt: skip
    assert by_slug["anthropic"]["modelCount"] > 10
    assert by_slug["ollama"]["modelCount"] == 0
    assert len(by_slug["openai"]["models"]["nodes"]) == 50
    assert all(node["apiKey"] is None for node in overview["nodes"])
    assert any(model["pricing"] for model in by_slug["anthropic"]["models"]["nodes"])
    assert any(model["capabilities"] for model in by_slug["anthropic"]["models"]["nodes"])


async def test_the_overview_takes_at_most_four_statements_however_many_providers(
    services: Services, execute: Execute, count_statements: Any
) -> None:
    await seed(services)
    create = """mutation ($slug: String!) { createProvider(input: { slug: $slug, name: $slug,
      kind: OPENAI_COMPATIBLE, baseUrl: "http://127.0.0.1:9" }) { userErrors { message } } }"""
    for number in range(12):
        await execute(create, slug=f"made-{number}")
    await execute(OVERVIEW)  # The driver asks the database about itself on its first connection.
    with count_statements() as statements:
        overview = (await execute(OVERVIEW))["providers"]
    assert overview["totalCount"] == 16
    assert len(statements) <= 4, statements


async def test_a_key_is_stored_sealed_and_shown_masked(
    services: Services, execute: Execute
) -> None:
    await seed(services)
    found = (await execute('{ provider(slug: "anthropic") { id version } }'))["provider"]
    update = """mutation ($id: ID!) { updateProvider(input: { id: $id,
      apiKey: "sk-ant-api03-planted-4f2A" }) {
      provider { status version apiKey { masked } } userErrors { message } } }"""
    changed = (await execute(update, id=found["id"]))["updateProvider"]
    assert changed["provider"] == {
        "status": "UNTESTED", "version": found["version"] + 1, "apiKey": {"masked": "sk-ant-…4f2A"}
    }  # fmt: skip
    async with services.database.read() as connection:
        sealed = await connection.scalar(
            select(providers_table.c.api_key_encrypted).where(providers_table.c.slug == "anthropic")
        )
    assert sealed is not None
    assert b"planted" not in sealed


async def test_a_chain_is_built_reordered_and_deleted(services: Services, execute: Execute) -> None:
    await seed(services)
    nodes = (await execute("{ models(first: 3) { nodes { id } } }"))["models"]["nodes"]
    steps = [{"modelId": node["id"]} for node in nodes]
    steps[1] |= {"maxRetries": 0, "timeoutSeconds": 0.1}
    created = (await execute(CREATE_CHAIN, input={"name": "Größe & Preis", "steps": steps}))[
        "createFailoverChain"
    ]
    assert created["userErrors"] == []
    chain = created["failoverChain"]
    assert chain["slug"] == "grosse-preis"
    assert [step["maxRetries"] for step in chain["steps"]] == [2, 0, 2]
    reorder = """mutation ($id: ID!, $ids: [ID!]!) { reorderFailoverChain(input: { id: $id,
      stepIds: $ids }) { failoverChain { version steps { id } } userErrors { code field } } }"""
    ids = [step["id"] for step in chain["steps"]][::-1]
    moved = (await execute(reorder, id=chain["id"], ids=ids))["reorderFailoverChain"]
    assert [step["id"] for step in moved["failoverChain"]["steps"]] == ids
    refused = (await execute(reorder, id=chain["id"], ids=[ids[0], ids[0]]))["reorderFailoverChain"]
    assert {error["code"] for error in refused["userErrors"]} == {"DUPLICATE", "INVALID"}
    assert [step["id"] for step in refused["failoverChain"]["steps"]] == ids
    delete = "mutation ($id: ID!) { deleteFailoverChain(input: { id: $id }) { deletedId } }"
    gone = (await execute(delete, id=chain["id"]))["deleteFailoverChain"]
    assert gone == {"deletedId": chain["id"]}
    assert (await execute("query ($id: ID!) { node(id: $id) { id } }", id=chain["id"])) == {
        "node": None
    }


async def test_every_problem_of_a_chain_comes_back_at_once(
    services: Services, execute: Execute
) -> None:
    await seed(services)
    node = (await execute("{ models(first: 1) { nodes { id } } }"))["models"]["nodes"][0]
    steps = [
        {"modelId": node["id"], "maxRetries": 11},
        {"modelId": node["id"], "timeoutSeconds": 0},
        {"modelId": "nonsense"},
        {"maxRetries": 1},
    ]
    created = (await execute(CREATE_CHAIN, input={"name": " ", "slug": "No Slug", "steps": steps}))[
        "createFailoverChain"
    ]
    assert created["failoverChain"] is None
    assert {(error["code"], *error["field"]) for error in created["userErrors"]} == {
        ("INVALID", "name"),
        ("INVALID", "slug"),
        ("INVALID", "steps", "0", "maxRetries"),
        ("DUPLICATE", "steps", "1", "modelId"),
        ("INVALID", "steps", "1", "timeoutSeconds"),
        ("NOT_FOUND", "steps", "2", "modelId"),
        ("INVALID", "steps", "3", "modelId"),
    }


async def test_usage_is_recorded_once_priced_and_read_as_a_series(
    services: Services, execute: Execute, clock: SetClock
) -> None:
    await seed(services)
    event = {
        "idempotencyKey": "one", "providerSlug": "anthropic", "modelName": "claude-sonnet-4-5",
        "agent": "support", "inputTokens": 1_200, "cacheReadTokens": 1_000, "outputTokens": 300,
        "latencyMs": 500,
    }  # fmt: skip
    unknown = {
        "idempotencyKey": "two", "providerSlug": "anthropic", "modelName": "nobody-knows-it",
        "inputTokens": 10,
    }  # fmt: skip
    recorded = (await execute(RECORD, events=[event, unknown, event]))["recordUsage"]
    assert recorded == {"recorded": 2, "duplicates": 1, "userErrors": []}
    again = (await execute(RECORD, events=[event]))["recordUsage"]
    assert again == {"recorded": 0, "duplicates": 1, "userErrors": []}
    reused = (await execute(RECORD, events=[event | {"inputTokens": 1_201}]))["recordUsage"]
    assert [(one["code"], one["field"]) for one in reused["userErrors"]] == [
        ("KEY_REUSED", ["events", "0", "idempotencyKey"])
    ]
    series = (
        await execute(
            SERIES,
            input={"dimension": "AGENT", "window": {"period": "TODAY"}, "timezone": "UTC"},
        )
    )["usageSeries"]
    # 200 plain input at $3, 1,000 cached at $0.30, 300 output at $15, each a million tokens.
    assert series["totals"] == {
        "requests": 2, "costUsd": "0.0054", "unpricedRequests": 1, "averageLatencyMs": 500.0
    }  # fmt: skip
    assert [(one["kind"], one["label"]) for one in series["groups"]] == [
        ("AGENT", "support"),
        ("NONE", "No agent"),
    ]
    assert len(series["groups"][0]["points"]) == 16
    assert sum(point["requests"] for point in series["groups"][0]["points"]) == 1
    by_model = (
        await execute(
            SERIES,
            input={"dimension": "MODEL", "window": {"period": "TODAY"}, "timezone": "UTC"},
        )
    )["usageSeries"]
    assert [one["subject"] for one in by_model["groups"]] == [{"__typename": "Model"}] * 2
    events = (await execute("{ usageEvents { nodes { agent costUsd modelLabel } } }"))[
        "usageEvents"
    ]
    assert {(one["agent"], one["costUsd"]) for one in events["nodes"]} == {
        ("support", "0.0054"),
        (None, None),
    }


async def test_an_evening_counts_in_its_own_day_in_every_zone(
    services: Services, execute: Execute, clock: SetClock
) -> None:
    await seed(services)
    event = {
        "idempotencyKey": "late", "providerSlug": "anthropic", "modelName": "claude-sonnet-4-5",
        "occurredAt": "2026-11-22T23:50:00+01:00", "inputTokens": 1_000,
    }  # fmt: skip
    await execute(RECORD, events=[event])
    window = {"range": {"from": "2026-11-20T00:00:00Z", "to": "2026-11-24T00:00:00Z"}}
    days = {}
    for zone in ("Europe/Berlin", "Asia/Kolkata"):
        series = (
            await execute(
                SERIES,
                input={
                    "dimension": "PROVIDER",
                    "window": window,
                    "timezone": zone,
                    "granularity": "DAY",
                },
            )
        )["usageSeries"]
        points = series["groups"][0]["points"]
        days[zone] = next(point["start"] for point in points if point["requests"])
        assert series["totals"]["costUsd"] == "0.003"
    assert days == {
        "Europe/Berlin": "2026-11-21T23:00:00Z",
        "Asia/Kolkata": "2026-11-22T18:30:00Z",
    }
