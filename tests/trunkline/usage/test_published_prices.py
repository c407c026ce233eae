"""Costs of real models, through recording and back, against published prices worked out by hand.

Prices are dollars per million tokens, copied from the providers' own lists; each sum is written
out beside what it comes to. Nothing here asks the program or its price data for a price.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from db.models import find_model_by_name
from db.paging import PageRequest
from db.providers import find_provider_by_slug
from db.usage import UsageCondition, page_events
from db.vocabulary import ProviderKind, UsageDimension, UsageGranularity
from tests.conftest import SetClock
from trunkline.catalog.changes import ModelUpdate, NewModel, create_model, update_model
from trunkline.catalog.price_overrides import PriceOverride
from trunkline.money import format_nanos, parse_dollars
from trunkline.providers.changes import NewProvider, create_provider
from trunkline.services import Services
from trunkline.usage.intake import NewUsageEvent
from trunkline.usage.reading import SeriesRequest, read_series
from trunkline.usage.recording import record_usage
from trunkline.usage.series import Series
from trunkline.usage.windows import WindowRequest

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
Tokens = tuple[int, int, int, int, int]
"""Input, cache reads and writes among it, output, reasoning among it."""


@dataclass(frozen=True)
class Bill:
    """A request and what it costs in dollars; None where nobody can know."""

    provider: str
    model: str
    tokens: Tokens
    dollars: str | None
    at: datetime = NOW
    billed: str | None = None


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# https://docs.claude.com/en/docs/about-claude/pricing
#                     input  output  cache reads  cache writes (5 minutes)
# claude-sonnet-4-5   3      15      0.30         3.75    prompts up to 200,000 tokens
#                     6      22.50   0.60         7.50    longer ones, every token of them
# claude-haiku-4-5    1      5       0.10         1.25
# claude-opus-4-1     15     75      1.50         18.75
ANTHROPIC = (
    # 12,345 × 3 = 37,035 and 678 × 15 = 10,170 millionths of a dollar.
    Bill("anthropic", "claude-sonnet-4-5", (12_345, 0, 0, 678, 0), "0.047205"),
    # 500 × 3 + 8,000 × 0.30 + 1,500 × 3.75 + 100 × 15 = 1,500 + 2,400 + 5,625 + 1,500.
    Bill("anthropic", "claude-sonnet-4-5", (10_000, 8_000, 1_500, 100, 0), "0.011025"),
    # The last prompt of the lower tier: 200,000 × 3 + 1,000 × 15 = 600,000 + 15,000.
    Bill("anthropic", "claude-sonnet-4-5", (200_000, 0, 0, 1_000, 0), "0.615"),
    # The first of the upper: 200,001 × 6 + 1,000 × 22.50 = 1,200,006 + 22,500.
    Bill("anthropic", "claude-sonnet-4-5", (200_001, 0, 0, 1_000, 0), "1.222506"),
    # What is cached counts to the tier: 10,000 × 6 + 250,000 × 0.60 + 40,000 × 7.50
    # = 60,000 + 150,000 + 300,000.
    Bill("anthropic", "claude-sonnet-4-5", (300_000, 250_000, 40_000, 0, 0), "0.51"),
    # A dated name is the same model: 1 × 3 + 1 × 15.
    Bill("anthropic", "claude-sonnet-4-5-20250929", (1, 0, 0, 1, 0), "0.000018"),
    # 7 × 0.10, nothing but what was read from the cache.
    Bill("anthropic", "claude-haiku-4-5", (7, 7, 0, 0, 0), "0.0000007"),
    # Thinking is output: 9 × 5, whatever part of it was thought.
    Bill("anthropic", "claude-haiku-4-5", (0, 0, 0, 9, 9), "0.000045"),
    # 2 × 15 + 1 × 18.75.
    Bill("anthropic", "claude-opus-4-1", (3, 0, 1, 0, 0), "0.00004875"),
    # A request that failed before any token.
    Bill("anthropic", "claude-opus-4-1", (0, 0, 0, 0, 0), "0"),
)
# https://platform.openai.com/docs/pricing
#                          input  cached  output
# gpt-4o                   2.50   1.25    10
# gpt-4o-2024-05-13        5      none    15
# gpt-4o-mini              0.15   0.075   0.60
# gpt-5                    1.25   0.125   10
# o3                       2      0.50    8     since 10 June 2025; before 10 and 40
# text-embedding-3-small   0.02
OPENAI = (
    # 600 × 2.50 + 400 × 1.25 + 100 × 10 = 1,500 + 500 + 1,000.
    Bill("openai", "gpt-4o", (1_000, 400, 0, 100, 0), "0.003"),
    # No price for cached tokens: 10 × 5 + 10 × 15.
    Bill("openai", "gpt-4o-2024-05-13", (10, 4, 0, 10, 0), "0.0002"),
    # 2 × 0.15 + 5 × 0.075 + 3 × 0.60 = 0.3 + 0.375 + 1.8.
    Bill("openai", "gpt-4o-mini", (7, 5, 0, 3, 0), "0.000002475"),
    # 976 × 1.25 + 1,024 × 0.125 + 300 × 10 = 1,220 + 128 + 3,000; 256 of the 300 were reasoning.
    Bill("openai", "gpt-5", (2_000, 1_024, 0, 300, 256), "0.004348"),
    # 1,000 × 10 + 1,000 × 40 on the last day, 1,000 × 2 + 1,000 × 8 on the first.
    Bill("openai", "o3", (1_000, 0, 0, 1_000, 900), "0.05", at("2025-06-09T23:59:59.999999")),
    Bill("openai", "o3", (1_000, 0, 0, 1_000, 900), "0.01", at("2025-06-10T00:00:00")),
    # 1 × 0.02.
    Bill("openai", "text-embedding-3-small", (1, 0, 0, 0, 0), "0.00000002"),
    # An embedding has no output, so nobody knows its price.
    Bill("openai", "text-embedding-3-small", (1, 0, 0, 1, 0), None),
    # What the provider billed is the cost, whatever the list says; also where that is nothing.
    Bill("openai", "gpt-4o", (1_000, 0, 0, 0, 0), "0.123456789", billed="0.123456789"),
    Bill("openai", "gpt-4o", (1_000, 0, 0, 0, 0), "0", billed="0"),
)
# https://ai.google.dev/gemini-api/docs/pricing
#                    input  cached  output, thoughts among it
# gemini-2.5-pro     1.25   0.125   10      prompts up to 200,000 tokens
#                    2.50   0.25    15      longer ones
# gemini-2.5-flash   0.30   0.03    2.50
GOOGLE = (
    # 50,000 × 1.25 + 150,000 × 0.125 + 1,000 × 10 = 62,500 + 18,750 + 10,000.
    Bill("google", "gemini-2.5-pro", (200_000, 150_000, 0, 1_000, 700), "0.09125"),
    # 50,001 × 2.50 + 150,000 × 0.25 + 1,000 × 15 = 125,002.5 + 37,500 + 15,000.
    Bill("google", "gemini-2.5-pro", (200_001, 150_000, 0, 1_000, 700), "0.1775025"),
    # 900 × 0.30 + 100 × 0.03 + 500 × 2.50 = 270 + 3 + 1,250.
    Bill("google", "gemini-2.5-flash", (1_000, 100, 0, 500, 400), "0.001523"),
)
# https://api-docs.deepseek.com/quick_start/pricing as it stood in March 2025:
#                                input  cached  output
# deepseek-chat, by day          0.27   0.07    1.10
#   from 16:30 to 00:30 in UTC   0.135  0.035   0.55
# https://docs.perplexity.ai/getting-started/pricing
# sonar-deep-research            2              8       reasoning 3, beside the output
# https://groq.com/pricing
# llama-3.3-70b-versatile        0.59           0.79
# whisper-large-v3               by the hour of sound
COMPATIBLE = (
    # 400 × 0.27 + 600 × 0.07 + 100 × 1.10 = 108 + 42 + 110; at night half of it.
    Bill(
        "deepseek", "deepseek-chat", (1_000, 600, 0, 100, 0), "0.00026", at("2025-03-01T16:29:59")
    ),
    Bill(
        "deepseek", "deepseek-chat", (1_000, 600, 0, 100, 0), "0.00013", at("2025-03-01T16:30:00")
    ),
    Bill(
        "deepseek", "deepseek-chat", (1_000, 600, 0, 100, 0), "0.00013", at("2025-03-02T00:29:59")
    ),
    Bill(
        "deepseek", "deepseek-chat", (1_000, 600, 0, 100, 0), "0.00026", at("2025-03-02T00:30:00")
    ),
    # 100 × 2 + 400 × 8 + 600 × 3 = 200 + 3,200 + 1,800.
    Bill("perplexity", "sonar-deep-research", (100, 0, 0, 1_000, 600), "0.0052"),
    # 1 × 0.59 + 1 × 0.79.
    Bill("groq", "llama-3.3-70b-versatile", (1, 0, 0, 1, 0), "0.00000138"),
    # Tokens don't tell how long the sound was.
    Bill("groq", "whisper-large-v3", (1, 0, 0, 0, 0), None),
    # A model of one's own, on a machine that no list knows; and free, on Ollama.
    Bill("ours", "our-own-finetune", (1_000_000, 0, 0, 1_000_000, 0), None),
    Bill("ours", "our-own-finetune", (1, 0, 0, 0, 0), "0.5", billed="0.5"),
    Bill("ollama", "llama3.2", (1_000_000, 0, 0, 1_000_000, 0), "0"),
)
EVERY = (*ANTHROPIC, *OPENAI, *GOOGLE, *COMPATIBLE)


@pytest.fixture
async def services(services: Services) -> Services:
    """With every provider of the bills, at its own address."""
    for slug, kind, url in (
        ("anthropic", ProviderKind.ANTHROPIC, None),
        ("openai", ProviderKind.OPENAI, None),
        ("google", ProviderKind.GOOGLE, None),
        ("ollama", ProviderKind.OLLAMA, None),
        ("deepseek", ProviderKind.OPENAI_COMPATIBLE, "https://api.deepseek.com"),
        ("perplexity", ProviderKind.OPENAI_COMPATIBLE, "https://api.perplexity.ai"),
        ("groq", ProviderKind.OPENAI_COMPATIBLE, "https://api.groq.com/openai/v1"),
        ("ours", ProviderKind.OPENAI_COMPATIBLE, "http://127.0.0.1:9/v1"),
    ):
        await create_provider(
            services, NewProvider(slug=slug, name=slug.title(), kind=kind, base_url=url)
        )
    return services


async def costs(services: Services, bills: Sequence[Bill]) -> list[str | None]:
    """Record these requests and give the cost of each, as it is stored."""
    batch = []
    for bill in bills:
        given, read, wrote, written, thought = bill.tokens
        batch.append(
            NewUsageEvent(
                idempotency_key=uuid4().hex,
                provider_slug=bill.provider,
                model_name=bill.model,
                # Tells the events apart when they are read back.
                agent=uuid4().hex,
                occurred_at=bill.at,
                input_tokens=given,
                cache_read_tokens=read,
                cache_write_tokens=wrote,
                output_tokens=written,
                reasoning_tokens=thought,
                cost_nanos=None if bill.billed is None else parse_dollars(bill.billed),
            )
        )
    await record_usage(services, batch)
    agents = tuple(event.agent or "" for event in batch)
    async with services.database.read() as connection:
        page = await page_events(
            connection, PageRequest(first=500), UsageCondition(agents=agents), None
        )
    stored = {event.agent: event.cost_usd for event in page.nodes}
    found = (stored[agent] for agent in agents)
    return [None if nanos is None else format_nanos(nanos) for nanos in found]


async def series(services: Services, dimension: UsageDimension) -> Series:
    """Of all that was ever recorded."""
    window = WindowRequest("UTC", None, at("2024-01-01"), at("2027-01-01"), UsageGranularity.DAY)
    request = SeriesRequest(dimension, window, top_groups=100)
    return await read_series(services.database, request, services.clock)


async def test_requests_cost_what_the_published_prices_say(services: Services) -> None:
    found = await costs(services, EVERY)
    assert dict(zip(EVERY, found, strict=True)) == {bill: bill.dollars for bill in EVERY}


async def test_a_series_adds_these_costs_up_to_the_last_digit(services: Services) -> None:
    await costs(services, EVERY)
    for dimension in UsageDimension:
        read = await series(services, dimension)
        # Added up on paper.
        assert format_nanos(read.totals.cost_usd) == "3.373112614"
        assert read.totals.unpriced_requests == 3
        assert sum(group.totals.cost_usd for group in read.groups) == read.totals.cost_usd
        for group in read.groups:
            assert sum(point.cost_usd for point in group.points) == group.totals.cost_usd
    by_provider = await series(services, UsageDimension.PROVIDER)
    assert [
        (group.label, format_nanos(group.totals.cost_usd), group.totals.unpriced_requests)
        for group in by_provider.groups
    ] == [
        ("Anthropic", "2.40584845", 0),
        ("Ours", "0.5", 1),
        ("Google", "0.2702755", 0),
        ("Openai", "0.191007284", 1),
        ("Perplexity", "0.0052", 0),
        ("Deepseek", "0.00078", 0),
        ("Groq", "0.00000138", 1),
        ("Ollama", "0", 0),
    ]


async def test_an_override_counts_from_when_it_is_set_until_it_ends(
    services: Services, clock: SetClock
) -> None:
    model = await create_model(
        services, NewModel(provider_id=await provider_id(services, "openai"), wire_name="gpt-own")
    )
    set_at = clock()
    await update_model(
        services,
        ModelUpdate(
            id=model.id,
            price_override=PriceOverride(
                input_per_million=parse_dollars("1.5"),
                output_per_million=parse_dollars("6"),
                cache_read_per_million=parse_dollars("0.15"),
            ),
        ),
    )
    clock.advance(hours=1)
    cheaper_at = clock()
    cheaper = PriceOverride(input_per_million=0, output_per_million=parse_dollars("3"))
    await update_model(services, ModelUpdate(id=model.id, price_override=cheaper))
    clock.advance(hours=1)
    ended_at = clock()
    await update_model(services, ModelUpdate(id=model.id, price_override=None))
    clock.advance(hours=1)
    moment = timedelta(microseconds=1)
    # All of these are told now; each costs what it cost when it happened.
    # 600 × 1.50 + 300 × 0.15 + 100 × 1.50 (no price for writes) + 10 × 6 = 900 + 45 + 150 + 60.
    mixed: Tokens = (1_000, 300, 100, 10, 5)
    told = [
        Bill("openai", "gpt-own", mixed, None, set_at - moment),
        Bill("openai", "gpt-own", mixed, "0.001155", set_at),
        Bill("openai", "gpt-own", mixed, "0.001155", cheaper_at - moment),
        # 10 × 3: input is free.
        Bill("openai", "gpt-own", mixed, "0.00003", cheaper_at),
        Bill("openai", "gpt-own", mixed, "0.00003", ended_at - moment),
        Bill("openai", "gpt-own", mixed, None, ended_at),
        Bill("openai", "gpt-own", mixed, None, clock()),
    ]
    assert await costs(services, told) == [bill.dollars for bill in told]


async def test_an_override_is_above_the_list_and_below_what_was_billed(
    services: Services, clock: SetClock
) -> None:
    own = PriceOverride(input_per_million=parse_dollars("1"), output_per_million=parse_dollars("2"))
    for provider, wire_name in (("openai", "gpt-4o"), ("ollama", "llama3.2"), ("ours", "tuned")):
        await costs(services, [Bill(provider, wire_name, (1, 0, 0, 0, 0), None)])
        clock.advance(seconds=1)
        row = await model_id(services, provider, wire_name)
        await update_model(services, ModelUpdate(id=row, price_override=own))
        # 1,000 × 1 + 100 × 2.
        tokens: Tokens = (1_000, 0, 0, 100, 0)
        told = [
            Bill(provider, wire_name, tokens, "0.0012", clock()),
            Bill(provider, wire_name, tokens, "7", clock(), billed="7"),
        ]
        assert await costs(services, told) == ["0.0012", "7"]


async def test_a_later_price_rewrites_no_history(services: Services, clock: SetClock) -> None:
    before = Bill("openai", "gpt-4o", (1_000, 0, 0, 0, 0), "0.0025")
    assert await costs(services, [before]) == ["0.0025"]
    row = await model_id(services, "openai", "gpt-4o")
    dear = PriceOverride(input_per_million=parse_dollars("900"), output_per_million=0)
    await update_model(services, ModelUpdate(id=row, price_override=dear))
    read = await series(services, UsageDimension.MODEL)
    assert format_nanos(read.totals.cost_usd) == "0.0025"


async def test_a_cost_is_rounded_once_an_event_to_the_even_neighbour(services: Services) -> None:
    await create_model(
        services,
        NewModel(
            provider_id=await provider_id(services, "ours"),
            wire_name="crumbs",
            # Half a billionth of a dollar a token.
            price_override=PriceOverride(
                input_per_million=parse_dollars("0.0005"), output_per_million=0
            ),
        ),
    )
    # 0.5, 1.5, 2.5 and 3 billionths.
    found = await costs(
        services, [Bill("ours", "crumbs", (count, 0, 0, 0, 0), None) for count in (1, 3, 5, 6)]
    )
    assert found == ["0", "0.000000002", "0.000000002", "0.000000003"]
    read = await series(services, UsageDimension.MODEL)
    assert format_nanos(read.totals.cost_usd) == "0.000000007", "the sum of what was rounded"


async def provider_id(services: Services, slug: str) -> int:
    async with services.database.read() as connection:
        found = await find_provider_by_slug(connection, slug)
    assert found is not None
    return found.id


async def model_id(services: Services, slug: str, wire_name: str) -> int:
    provider = await provider_id(services, slug)
    async with services.database.read() as connection:
        found = await find_model_by_name(connection, provider, wire_name)
    assert found is not None
    return found.id
