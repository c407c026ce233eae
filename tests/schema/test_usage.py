"""Usage over GraphQL, on both databases: what a dashboard asks, and what it gets for odd input."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from resolvers.context import OperationContext
from schema.node import encode_id
from schema.root import schema
from tests.conftest import Execute, SetClock
from trunkline.providers.seeding import seed_providers
from trunkline.services import Services

SUMMED = """requests failures inputTokens cacheReadTokens cacheWriteTokens outputTokens
  reasoningTokens costUsd unpricedRequests estimatedRequests"""
POINTED = "requests failures inputTokens outputTokens costUsd unpricedRequests"
SERIES = f"""query ($input: UsageSeriesInput!) {{ usageSeries(input: $input) {{
  dimension granularity timezone from to asOf totals {{ {SUMMED} averageLatencyMs }}
  groups {{ key kind label subject {{ __typename ... on Node {{ id }} }}
    totals {{ {SUMMED} }} points {{ start {POINTED} }} }} }} }}"""
EVENTS = """query ($first: Int, $after: String, $range: UsageRange, $filter: UsageFilter) {
  usageEvents(first: $first, after: $after, range: $range, filter: $filter) {
    nodes { id occurredAt providerId providerLabel provider { id } modelId modelLabel
      model { id } failoverChainId failoverChainLabel failoverChain { id } agent succeeded
      inputTokens cacheReadTokens cacheWriteTokens outputTokens reasoningTokens estimated costUsd
      latencyMs }
    pageInfo { hasNextPage endCursor } } }"""
RECORD = """mutation ($events: [UsageEventInput!]!) { recordUsage(input: { events: $events }) {
  recorded duplicates userErrors { code field message } } }"""
CREATE_CHAIN = """mutation ($input: CreateFailoverChainInput!) {
  createFailoverChain(input: $input) { failoverChain { id } userErrors { message } } }"""


@pytest.fixture
async def seeded(services: Services, execute: Execute) -> str:
    """The id of the chain `support`, beside the four providers of a first start."""
    await seed_providers(services.database, services.catalog, services.clock)
    models = (await execute("{ models(first: 1) { nodes { id } } }"))["models"]["nodes"]
    chain = {"name": "Support", "steps": [{"modelId": models[0]["id"]}]}
    created = await execute(CREATE_CHAIN, input=chain)
    chain_id: str = created["createFailoverChain"]["failoverChain"]["id"]
    return chain_id


def event(key: str, **fields: Any) -> dict[str, Any]:
    return {
        "idempotencyKey": key,
        "providerSlug": "anthropic",
        "modelName": "claude-sonnet-4-5",
        "inputTokens": 1_000,
    } | fields


async def record(execute: Execute, *events: dict[str, Any]) -> dict[str, Any]:
    payload: dict[str, Any] = (await execute(RECORD, events=list(events)))["recordUsage"]
    return payload


async def series(execute: Execute, **fields: Any) -> dict[str, Any]:
    asked = {"dimension": "AGENT", "window": {"period": "TODAY"}, "timezone": "UTC"} | fields
    answer: dict[str, Any] = (await execute(SERIES, input=asked))["usageSeries"]
    return answer


async def events_of(execute: Execute, **variables: Any) -> list[dict[str, Any]]:
    page = (await execute(EVENTS, **({"first": 100} | variables)))["usageEvents"]
    nodes: list[dict[str, Any]] = page["nodes"]
    return nodes


async def refusal(context: OperationContext, query: str, **variables: Any) -> str:
    """The message of the one BAD_USER_INPUT that the operation ends with."""
    result = await schema.execute(query, variables, context_value=context)
    assert result.errors is not None
    [error] = result.errors
    assert error.extensions is not None
    assert error.extensions["code"] == "BAD_USER_INPUT", error
    return error.message


def summed(rows: list[dict[str, Any]], name: str) -> Decimal:
    return sum((Decimal(row[name] or 0) for row in rows), Decimal(0))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe"])
async def test_totals_groups_points_and_events_agree_across_a_change_of_clocks(
    seeded: str, execute: Execute, zone: str
) -> None:
    chance = random.Random(zone)
    start = datetime(2026, 10, 24, 13, tzinfo=UTC)
    models = ["claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-5", "nobody-knows-it"]
    batch = []
    for number in range(150):
        spent = chance.randrange(10_000)
        batch.append(
            event(
                f"{number}",
                modelName=chance.choice(models),
                occurredAt=(start + timedelta(seconds=chance.randrange(48 * 3600))).isoformat(),
                agent=chance.choice([None, "a", "b", "c"]),
                failoverChainSlug=chance.choice([None, "support"]),
                succeeded=chance.random() < 0.9,
                estimated=chance.random() < 0.1,
                inputTokens=spent,
                cacheReadTokens=spent // 3,
                cacheWriteTokens=spent // 7,
                outputTokens=chance.randrange(3_000),
            )
        )
    assert await record(execute, *batch) == {"recorded": 150, "duplicates": 0, "userErrors": []}
    fixed = {"from": "2026-10-24T13:00:00Z", "to": "2026-10-26T13:00:00Z"}
    events = await events_of(execute, range=fixed)
    events += await events_of(execute, range=fixed, after=await _end_of(execute, fixed))
    assert len(events) == 150
    for dimension in ("PROVIDER", "MODEL", "AGENT", "FAILOVER_CHAIN"):
        for granularity in ("QUARTER_HOUR", "HOUR", "DAY"):
            answer = await series(
                execute,
                dimension=dimension,
                window={"range": fixed},
                timezone=zone,
                granularity=granularity,
                topGroups=2,
            )
            totals, groups = answer["totals"], answer["groups"]
            for name in SUMMED.split():
                assert Decimal(totals[name]) == summed([one["totals"] for one in groups], name)
            for name in POINTED.split():
                for group in groups:
                    assert summed(group["points"], name) == Decimal(group["totals"][name])
            assert totals["requests"] == 150
            for name in ("inputTokens", "outputTokens", "reasoningTokens", "costUsd"):
                assert summed(events, name) == Decimal(totals[name])


async def _end_of(execute: Execute, fixed: dict[str, str]) -> str:
    page = (await execute(EVENTS, first=100, range=fixed))["usageEvents"]
    assert page["pageInfo"]["hasNextPage"]
    end: str = page["pageInfo"]["endCursor"]
    return end


async def test_an_event_before_midnight_is_of_one_day_here_and_of_the_next_there(
    seeded: str, execute: Execute, clock: SetClock
) -> None:
    clock.now = datetime(2026, 11, 22, 22, 50, tzinfo=UTC)
    await record(execute, event("late"))  # at 23:50 in Berlin, at 04:20 in Kolkata
    clock.advance(minutes=20)
    today = {"granularity": "DAY"}
    assert (await series(execute, **today, timezone="Europe/Berlin"))["totals"]["requests"] == 0
    assert (await series(execute, **today, timezone="Asia/Kolkata"))["totals"]["requests"] == 1
    week = {"window": {"period": "LAST_7_DAYS"}}
    counts = {}
    for zone in ("Europe/Berlin", "Asia/Kolkata"):
        (group,) = (await series(execute, **week, timezone=zone))["groups"]
        counts[zone] = [point["requests"] for point in group["points"]]
    assert counts == {
        "Europe/Berlin": [0, 0, 0, 0, 0, 1, 0],
        "Asia/Kolkata": [0, 0, 0, 0, 0, 0, 1],
    }


async def test_a_series_says_what_it_shows(seeded: str, execute: Execute) -> None:
    await record(execute, event("a", agent="x"), event("b", failoverChainSlug="support"))
    answer = await series(execute, dimension="FAILOVER_CHAIN", timezone="Asia/Kolkata")
    assert (answer["granularity"], answer["timezone"]) == ("HOUR", "Asia/Kolkata")
    assert (answer["from"], answer["to"]) == ("2026-11-22T18:30:00Z", "2026-11-23T15:30:00Z")
    chain, none = answer["groups"]
    assert (chain["kind"], chain["label"]) == ("OBJECT", "Support")
    assert chain["subject"] == {"__typename": "FailoverChain", "id": seeded}
    assert (none["kind"], none["label"], none["subject"]) == ("NONE", "No failover chain", None)
    by_provider = await series(execute, dimension="PROVIDER")
    assert by_provider["groups"][0]["subject"]["__typename"] == "Provider"


async def test_filters_narrow_and_an_empty_list_matches_nothing(
    seeded: str, execute: Execute
) -> None:
    await record(
        execute,
        event("a", agent="x", failoverChainSlug="support"),
        event("b", agent="y"),
        event("c", providerSlug="ollama", modelName="llama", agent="x"),
    )
    (kept,) = [one for one in await events_of(execute) if one["modelLabel"] == "llama"]

    async def counted(**narrowed: Any) -> int:
        answer = await series(execute, filter=narrowed)
        assert len(await events_of(execute, filter=narrowed)) == answer["totals"]["requests"]
        count: int = answer["totals"]["requests"]
        return count

    assert await counted() == 3
    assert await counted(agents=["x"]) == 2
    assert await counted(agents=["x"], failoverChainIds=[seeded]) == 1
    assert await counted(providerIds=[kept["providerId"]]) == 1
    assert await counted(modelIds=[kept["modelId"]], agents=["y"]) == 0
    for name in ("providerIds", "modelIds", "agents", "failoverChainIds"):
        assert await counted(**{name: []}) == 0
        assert await counted(**{name: None}) == 3


async def test_events_keep_ids_and_labels_of_what_is_gone(seeded: str, execute: Execute) -> None:
    await record(
        execute,
        event("a", providerSlug="ollama", modelName="llama", failoverChainSlug="support",
              agent="x", latencyMs=7, costUsd="0.000000001"),
    )  # fmt: skip
    (before,) = await events_of(execute)
    assert before["provider"] == {"id": before["providerId"]}
    assert before["failoverChain"] == {"id": seeded}
    for mutation, name in (
        ("deleteFailoverChain", seeded),
        ("deleteProvider", before["providerId"]),
    ):
        gone = await execute(
            f"mutation ($id: ID!) {{ {mutation}(input: {{ id: $id }}) {{ deletedId }} }}", id=name
        )
        assert gone[mutation]["deletedId"] == name
    (after,) = await events_of(execute)
    objects = {"provider": None, "model": None, "failoverChain": None}
    assert after == before | objects
    assert (after["costUsd"], after["latencyMs"]) == ("0.000000001", 7)
    for dimension, label in (
        ("PROVIDER", "Ollama"),
        ("MODEL", "llama"),
        ("FAILOVER_CHAIN", "Support"),
    ):
        (group,) = (await series(execute, dimension=dimension))["groups"]
        assert (group["label"], group["subject"], group["kind"]) == (label, None, "OBJECT")
    node = "query ($id: ID!) { node(id: $id) { id ... on UsageEvent { agent } } }"
    assert (await execute(node, id=after["id"]))["node"] == {"id": after["id"], "agent": "x"}
    # The slug is free again: what gets it has a history of its own.
    create = """mutation { createProvider(input: { slug: "ollama", name: "Other", kind: OLLAMA }) {
      provider { id } } }"""
    await execute(create)
    await record(execute, event("b", providerSlug="ollama", modelName="llama"))
    groups = (await series(execute, dimension="PROVIDER"))["groups"]
    assert {one["label"] for one in groups} == {"Ollama", "Other"}


async def test_usage_of_many_objects_takes_one_statement(
    seeded: str, execute: Execute, count_statements: Any
) -> None:
    query = """{ providers { nodes { slug
      usage(window: { period: LAST_7_DAYS }, timezone: "Europe/Berlin") { requests costUsd }
      models(first: 50) { nodes { wireName
        usage(window: { period: TODAY }, timezone: "UTC") { requests } } } } } }"""
    await record(execute, event("a"), event("b", providerSlug="ollama", modelName="llama"))
    await execute(query)
    with count_statements() as statements:
        providers = (await execute(query))["providers"]["nodes"]
    assert len([one for one in statements if "usage_rollups" in one]) == 2, statements
    assert {one["slug"]: one["usage"]["requests"] for one in providers} == {
        "anthropic": 1, "openai": 0, "google": 0, "ollama": 1
    }  # fmt: skip
    by_slug = {one["slug"]: one for one in providers}
    assert by_slug["openai"]["usage"]["costUsd"] == "0"
    assert by_slug["ollama"]["models"]["nodes"] == [{"wireName": "llama", "usage": {"requests": 1}}]


async def test_a_series_takes_the_same_statements_whatever_it_covers(
    seeded: str, execute: Execute, count_statements: Any
) -> None:
    await record(execute, *(event(f"{n}", agent=f"agent {n}") for n in range(200)))
    await series(execute)
    with count_statements() as statements:
        answer = await series(execute, topGroups=100, window={"period": "LAST_30_DAYS"})
    assert len(answer["groups"]) == 101
    assert len(statements) == 3, statements


TODAY = {"dimension": "AGENT", "window": {"period": "TODAY"}, "timezone": "UTC"}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"timezone": "Berlin"}, "give an IANA name"),
        ({"topGroups": 0}, "topGroups takes 1 to 100, not 0"),
        ({"topGroups": 101}, "topGroups takes 1 to 100, not 101"),
        ({"window": {}}, "exactly one"),
        ({"window": {"period": "TODAY", "range": None}}, "exactly one"),
        (
            {"window": {"range": {"from": "2026-01-01T00:01:00Z", "to": "2026-01-02T00:00:00Z"}}},
            "from must lie on a quarter hour",
        ),
        (
            {"window": {"range": {"from": "1980-01-01T00:00:00Z", "to": "9998-01-01T00:00:00Z"}},
             "granularity": "QUARTER_HOUR"},
            "more than 50000 points",
        ),
        ({"filter": {"providerIds": ["nonsense"]}}, "input.filter.providerIds: 'nonsense'"),
        ({"filter": {"modelIds": [encode_id("Provider", 1)]}}, "no id of a Model"),
        ({"filter": {"agents": ["a\0b"]}}, "input.filter.agents"),
        ({"filter": {"agents": ["\ud800"]}}, "input.filter.agents"),
        ({"filter": {"agents": ["x"] * 1001}}, "at most 1000"),
    ],
)  # fmt: skip
async def test_a_series_that_cannot_be_is_refused(
    context: OperationContext, fields: dict[str, Any], says: str
) -> None:
    assert says in await refusal(context, SERIES, input=TODAY | fields)


async def test_a_page_that_cannot_be_is_refused(context: OperationContext) -> None:
    assert "first takes 0 to 100" in await refusal(context, EVENTS, first=101)
    assert "cursor" in await refusal(context, EVENTS, after="nonsense")
    backwards = {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}
    assert "from must lie before to" in await refusal(context, EVENTS, range=backwards)


async def test_events_of_centuries_are_one_page(seeded: str, execute: Execute) -> None:
    await record(execute, event("a"))
    centuries = {"from": "1980-01-01T00:00:00Z", "to": "2980-01-01T00:00:00Z"}
    assert len(await events_of(execute, range=centuries)) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"costUsd": "1e9"}, {"costUsd": "NaN"}, {"costUsd": "-1"}, {"costUsd": "0.0000000001"},
        {"inputTokens": 1.5}, {"inputTokens": 2**53}, {"occurredAt": "2026-11-23T15:00:00"},
    ],
)  # fmt: skip
async def test_values_that_are_none_are_refused(
    context: OperationContext, fields: dict[str, Any]
) -> None:
    await refusal(context, RECORD, events=[event("a", **fields)])


async def test_a_refused_batch_says_why_and_records_nothing(seeded: str, execute: Execute) -> None:
    refused = await record(execute, event("a"), event("b", cacheReadTokens=1_001, agent=""))
    assert (refused["recorded"], refused["duplicates"]) == (0, 0)
    assert [(one["code"], one["field"]) for one in refused["userErrors"]] == [
        ("INVALID", ["events", "1", "agent"]),
        ("INVALID", ["events", "1", "inputTokens"]),
    ]
    assert await events_of(execute) == []


async def test_a_total_that_is_too_large_is_refused_alike_on_both(
    seeded: str, execute: Execute, context: OperationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.usage.intake.MOST_TOKENS", 2**53 - 1)
    await record(
        execute,
        event("a", inputTokens=2**53 - 1, costUsd="1"),
        event("b", inputTokens=1, occurredAt="2026-11-23T14:00:00Z"),
    )
    assert "too large to be exact" in await refusal(context, SERIES, input=TODAY)
    window = {"range": {"from": "2026-11-23T15:00:00Z", "to": "2026-11-23T16:00:00Z"}}
    alone = await series(execute, window=window)
    assert alone["totals"]["inputTokens"] == 2**53 - 1


FIGURES = """query ($input: UsageSeriesInput!) { usageSeries(input: $input) {
  totals { requests latencyP50Ms latencyP95Ms } previousTotals { requests costUsd latencyP95Ms }
  groups { key totals { latencyP50Ms latencyP95Ms } points { start requests cacheReadTokens
    cacheWriteTokens reasoningTokens latencyP50Ms latencyP95Ms } } } }"""


@pytest.mark.parametrize("narrowed", [None, {"agents": ["a", "b"]}])
async def test_percentiles_and_token_classes_of_totals_groups_and_points(
    seeded: str, execute: Execute, clock: SetClock, narrowed: dict[str, Any] | None
) -> None:
    # Below 8 ms a bin holds one whole millisecond, so that these come out exactly.
    latencies: dict[str, tuple[int | None, ...]] = {
        "a": (1, 2, 3, 4),
        "b": (*(7,) * 19, 5),
        "c": (None, None),
    }
    batch = [
        event(
            f"{agent}{number}",
            agent=agent,
            latencyMs=latency,
            cacheReadTokens=3,
            cacheWriteTokens=2,
            outputTokens=9,
            reasoningTokens=4,
        )
        for agent, listed in latencies.items()
        for number, latency in enumerate(listed)
    ]
    assert (await record(execute, *batch))["recorded"] == len(batch)
    asked = {
        "dimension": "MODEL" if narrowed else "AGENT",
        "window": {"period": "TODAY"},
        "timezone": "UTC",
        "topGroups": 2,
        "filter": narrowed,
    }
    found = (await execute(FIGURES, input=asked))["usageSeries"]
    totals = found["totals"]
    assert (totals["latencyP50Ms"], totals["latencyP95Ms"]) == (7.0, 7.0)
    assert found["previousTotals"] == {"requests": 0, "costUsd": "0", "latencyP95Ms": None}
    groups = {group["key"]: group for group in found["groups"]}
    if narrowed:
        (group,) = groups.values()
        assert group["totals"] == {"latencyP50Ms": 7.0, "latencyP95Ms": 7.0}
        return
    assert groups["agent:a"]["totals"] == {"latencyP50Ms": 2.0, "latencyP95Ms": 4.0}
    assert groups["agent:b"]["totals"] == {"latencyP50Ms": 7.0, "latencyP95Ms": 7.0}
    assert groups["other"]["totals"] == {"latencyP50Ms": None, "latencyP95Ms": None}
    point = groups["agent:a"]["points"][15]
    assert point == {
        "start": "2026-11-23T15:00:00Z",
        "requests": 4,
        "cacheReadTokens": 12,
        "cacheWriteTokens": 8,
        "reasoningTokens": 16,
        "latencyP50Ms": 2.0,
        "latencyP95Ms": 4.0,
    }
    assert groups["agent:a"]["points"][0]["latencyP50Ms"] is None


async def test_totals_of_the_window_before_are_those_up_to_the_same_time(
    seeded: str, execute: Execute, clock: SetClock
) -> None:
    now = clock()
    for key, before in {"now": 0, "then": 24, "too late": 23, "long ago": 49}.items():
        await record(
            execute, event(key, occurredAt=(now - timedelta(hours=before)).isoformat(), costUsd="2")
        )
    asked = {"dimension": "AGENT", "window": {"period": "TODAY"}, "timezone": "UTC"}
    found = (await execute(FIGURES, input=asked))["usageSeries"]
    assert found["totals"]["requests"] == 1
    assert found["previousTotals"]["requests"] == 1
    asked["filter"] = {"agents": ["nobody"]}
    found = (await execute(FIGURES, input=asked))["usageSeries"]
    assert found["previousTotals"]["requests"] == 0, "narrowed alike"


async def test_percentiles_of_providers_and_models_cost_one_more_statement_and_only_if_asked(
    seeded: str, execute: Execute, count_statements: Any
) -> None:
    await record(execute, event("a", latencyMs=6), event("b", latencyMs=2))
    query = """{ providers { nodes { slug models(first: 3, filter: { search: "sonnet-4-5" }) {
      nodes { wireName usage(window: { period: TODAY }, timezone: "UTC") { %s } } }
      usage(window: { period: TODAY }, timezone: "UTC") { %s } } } }"""
    with count_statements() as plain:
        await execute(query % ("requests", "requests"))
    with count_statements() as asked:
        found = await execute(query % ("latencyP50Ms", "latencyP50Ms latencyP95Ms"))
    anthropic = next(one for one in found["providers"]["nodes"] if one["slug"] == "anthropic")
    assert anthropic["usage"] == {"latencyP50Ms": 2.0, "latencyP95Ms": 6.0}
    assert {"latencyP50Ms": 2.0} in [model["usage"] for model in anthropic["models"]["nodes"]]
    assert len(asked) == len(plain) + 2
