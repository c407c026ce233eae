"""`usageUpdated` through the schema: a client that merges by the rules holds what is answered."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from resolvers.context import OperationContext
from schema.root import schema
from tests.conftest import SetClock
from tests.trunkline.usage.timing import Time
from trunkline.providers.seeding import seed_providers
from trunkline.services import Services
from trunkline.usage.hub import UsageHub

Answer = dict[str, Any]

FIELDS = """key kind label subject { ... on Node { id } }
  totals { ...Totals } points { start requests failures inputTokens outputTokens costUsd
    unpricedRequests }"""
TOTALS = """fragment Totals on UsageTotals { requests failures inputTokens cacheReadTokens
  cacheWriteTokens outputTokens reasoningTokens costUsd unpricedRequests estimatedRequests
  averageLatencyMs }"""
WHOLE = f"""dimension granularity timezone from to asOf totals {{ ...Totals }}
  groups {{ {FIELDS} }}"""
SERIES = (
    f"query ($input: UsageSeriesInput!) {{ usageSeries(input: $input) {{ {WHOLE} }} }} {TOTALS}"
)
WATCH = f"""subscription ($input: UsageSeriesInput!) {{ usageUpdated(input: $input) {{
  __typename
  ... on UsageSnapshot {{ series {{ {WHOLE} }} }}
  ... on UsageDelta {{ asOf totals {{ ...Totals }} order changes {{ {FIELDS} }} }} }} }} {TOTALS}"""
RECORD = """mutation ($events: [UsageEventInput!]!) { recordUsage(input: { events: $events }) {
  recorded duplicates userErrors { code field message } } }"""
MODELS = ["claude-sonnet-4-5", "claude-haiku-4-5", "nobody-knows-it", "new-one"]


class Client:
    """Keeps a series by the contract's rules, from JSON alone."""

    def __init__(self) -> None:
        self.held: Answer = {}
        self.kinds: list[str] = []

    def apply(self, update: Answer) -> None:
        self.kinds.append(update["__typename"])
        if update["__typename"] == "UsageSnapshot":
            self.held = update["series"]
            return
        groups = {group["key"]: group for group in self.held["groups"]}
        for change in update["changes"]:
            before = groups.get(change["key"], {"points": []})
            points = {point["start"]: point for point in before["points"]}
            points |= {point["start"]: point for point in change["points"]}
            groups[change["key"]] = change | {"points": [points[start] for start in sorted(points)]}
        self.held = self.held | {
            "asOf": update["asOf"],
            "totals": update["totals"],
            "groups": [groups[key] for key in update["order"]],
        }


@pytest.fixture
def time(clock: SetClock) -> Time:
    return Time(clock)


@pytest.fixture
async def services(services: Services, time: Time) -> Services:
    await seed_providers(services.database, services.catalog, services.clock)
    hub = UsageHub(services.database, services.events, services.clock, sleep=time.sleep)
    return replace(services, hub=hub)


async def ask(context: OperationContext, query: str, **variables: Any) -> Answer:
    result = await schema.execute(query, variables, context_value=context.fresh())
    assert not result.errors, result.errors
    return result.data or {}


@asynccontextmanager
async def watching(context: OperationContext, asked: Answer) -> AsyncIterator[AsyncGenerator[Any]]:
    updates = await schema.subscribe(WATCH, {"input": asked}, context_value=context)
    assert isinstance(updates, AsyncGenerator)
    try:
        yield updates
    finally:
        await updates.aclose()


async def read(updates: AsyncGenerator[Any], client: Client, time: Time) -> None:
    """Take the next update; ticks pass until it comes."""
    waiting = asyncio.ensure_future(anext(updates))
    while not waiting.done():
        await asyncio.sleep(0.002)
        time.advance(milliseconds=50)
    result = waiting.result()
    assert not result.errors, result.errors
    client.apply(cast("Answer", result.data)["usageUpdated"])


def random_event(chance: random.Random, key: int, now: datetime) -> Answer:
    spent = chance.randrange(5_000)
    made: Answer = {
        "idempotencyKey": f"{key}",
        "providerSlug": chance.choice(["anthropic", "openai", "ollama"]),
        "modelName": chance.choice(MODELS),
        "inputTokens": spent,
        "cacheReadTokens": spent // 2,
        "outputTokens": chance.randrange(500),
        "succeeded": chance.random() < 0.9,
        "estimated": chance.random() < 0.1,
        "latencyMs": chance.choice([None, chance.randrange(9_000)]),
        "agent": chance.choice([None, "a", "b", "c", "d"]),
    }
    if chance.random() < 0.4:
        past = now - timedelta(seconds=chance.randrange(86_400))
        made["occurredAt"] = past.isoformat(timespec="milliseconds")
    return made


async def change_something(context: OperationContext, chance: random.Random) -> None:
    """Rename or delete a provider, as an operator would."""
    query = "{ providers { nodes { id slug } } }"
    nodes = (await ask(context, query))["providers"]["nodes"]
    found = chance.choice([one for one in nodes if one["slug"] != "google"])
    if chance.random() < 0.3:
        rename = """mutation ($id: ID!) { deleteProvider(input: { id: $id }) { deletedId } }"""
        await ask(context, rename, id=found["id"])
        make = """mutation ($slug: String!) { createProvider(input: { slug: $slug, name: $slug,
          kind: OPENAI_COMPATIBLE, baseUrl: "http://127.0.0.1:9" }) { userErrors { message } } }"""
        await ask(context, make, slug=found["slug"])
    else:
        name = f"Renamed {chance.randrange(100)}"
        rename = """mutation ($id: ID!, $name: String!) { updateProvider(input: { id: $id,
          name: $name }) { userErrors { message } } }"""
        await ask(context, rename, id=found["id"], name=name)


@pytest.mark.parametrize(
    "asked",
    [
        {"dimension": "MODEL", "topGroups": 2, "rankBy": "COST"},
        {"dimension": "AGENT", "topGroups": 3, "rankBy": "REQUESTS", "timezone": "Asia/Kolkata"},
        {"dimension": "PROVIDER", "topGroups": 10, "rankBy": "TOKENS"},
        {"dimension": "MODEL", "topGroups": 5, "filter": {"agents": ["a", ""]},
         "granularity": "QUARTER_HOUR"},
    ],
    ids=lambda asked: f"{asked['dimension']}-{asked['topGroups']}",
)  # fmt: skip
async def test_a_client_that_merges_holds_exactly_what_is_answered(
    services: Services, context: OperationContext, time: Time, asked: Answer
) -> None:
    asked = {"window": {"period": "TODAY"}, "timezone": "Europe/Berlin"} | asked
    chance = random.Random(str(asked))
    eager, slow = Client(), Client()
    async with watching(context, asked) as quickly, watching(context, asked) as slowly:
        await read(quickly, eager, time)
        await read(slowly, slow, time)
        for step in range(25):
            batch = [
                random_event(chance, 10 * step + number, services.clock())
                for number in range(chance.randrange(1, 6))
            ]
            recorded = (await ask(context, RECORD, events=batch))["recordUsage"]
            assert recorded["recorded"] == len(batch), recorded
            if chance.random() < 0.2:
                await change_something(context, chance)
            if chance.random() < 0.2:
                time.advance(minutes=chance.randrange(60))
            if chance.random() < 0.5:
                await read(quickly, eager, time)
            if chance.random() < 0.1:
                await read(slowly, slow, time)
        expected = (await ask(context, SERIES, input=asked))["usageSeries"]
        for updates, client in ((quickly, eager), (slowly, slow)):
            while client.held != expected:
                await asyncio.wait_for(read(updates, client, time), 10)
                expected = (await ask(context, SERIES, input=asked))["usageSeries"]
    assert {"UsageSnapshot", "UsageDelta"} <= set(eager.kinds)
    assert expected["totals"]["requests"] > 0


async def test_a_new_connection_starts_from_a_snapshot(
    services: Services, context: OperationContext, time: Time
) -> None:
    asked = {"dimension": "AGENT", "window": {"period": "LAST_7_DAYS"}, "timezone": "UTC"}
    event = random_event(random.Random(1), 1, datetime(2026, 11, 23, tzinfo=UTC))
    await ask(context, RECORD, events=[event])
    for _ in range(2):
        client = Client()
        async with watching(context, asked) as updates:
            await read(updates, client, time)
        assert client.kinds == ["UsageSnapshot"]
        assert client.held == (await ask(context, SERIES, input=asked))["usageSeries"]


async def refusal(context: OperationContext, **asked: Any) -> Answer:
    """Extensions of the error that the subscription ends with."""
    answered: Any = await schema.subscribe(WATCH, {"input": asked}, context_value=context)
    if isinstance(answered, AsyncGenerator):
        answered = await anext(answered)
    assert answered.errors
    return {"message": answered.errors[0].message} | (answered.errors[0].extensions or {})


async def test_a_series_that_cannot_be_is_refused(context: OperationContext) -> None:
    asked = {"dimension": "AGENT", "window": {"period": "TODAY"}}
    answer = await refusal(context, **asked, timezone="Mars/Olympus")
    assert "give an IANA name" in answer["message"]
    assert answer["code"] == "BAD_USER_INPUT"
    answer = await refusal(context, **asked, timezone="UTC", topGroups=101)
    assert answer["code"] == "BAD_USER_INPUT"


async def test_nobody_watches_without_signing_in(services: Services) -> None:
    stranger = OperationContext(services, None, "request-2")
    asked = {"dimension": "AGENT", "window": {"period": "TODAY"}, "timezone": "UTC"}
    assert (await refusal(stranger, **asked))["code"] == "UNAUTHENTICATED"
