"""Our integers against genai-prices' own calculation, for every model that it knows."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction

import pytest
from genai_prices import Usage
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, Provider, StartDateConstraint
from hypothesis import given
from hypothesis import strategies as st

from trunkline.catalog.known import KnownCatalog
from trunkline.usage.rates import TokenCounts, flat_rates, half_even

CATALOG = KnownCatalog()
NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
# DeepSeek's nights were cheaper once: 16:30 to 00:30.
NIGHT = datetime(2025, 3, 1, 17, 0, tzinfo=UTC)

MIXES = (
    TokenCounts(),
    TokenCounts(input=1),
    TokenCounts(input=1_000, output=500),
    TokenCounts(input=1_003, cache_read=901, output=7, reasoning=3),
    TokenCounts(input=50_001, cache_read=20_000, cache_write=30_000, output=1_111),
    TokenCounts(input=128_000, output=1),
    TokenCounts(input=128_001, cache_write=128_001, output=1),
    TokenCounts(input=200_000, output=9_999, reasoning=9_999),
    TokenCounts(input=200_001, cache_read=200_000, output=9_999, reasoning=1),
    TokenCounts(input=999_999_999, cache_read=1, cache_write=1, output=999_999_999),
)


def instants(model: ModelInfo) -> Iterator[datetime]:
    """Now, a night long ago, and both sides of every day on which a price of the model began."""
    yield NOW
    yield NIGHT
    if isinstance(model.prices, ModelPrice):
        return
    for one in model.prices:
        if isinstance(one.constraint, StartDateConstraint):
            day = one.constraint.start_date
            yield datetime(day.year, day.month, day.day, tzinfo=UTC)
            yield datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=UTC)


def oracle_nanos(
    provider: Provider, model: ModelInfo, at: datetime, tokens: TokenCounts
) -> int | None:
    """genai-prices' answer, rounded once; None where its price doesn't cover these tokens."""
    price = model.get_prices(at)
    if price.input_mtok is None and price.output_mtok is None:
        return None
    if tokens.output and price.output_mtok is None and price.output_reasoning_mtok is None:
        return None
    usage = Usage(
        input_tokens=tokens.input,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_write,
        output_tokens=tokens.output,
        reasoning_tokens=tokens.reasoning,
        output_reasoning_tokens=tokens.reasoning,
    )
    with localcontext(prec=60):
        dollars = model.calc_price(usage, provider, genai_request_timestamp=at).total_price
        return int((dollars * 10**9).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


@pytest.mark.filterwarnings("ignore:Unsupported usage key")
@pytest.mark.parametrize("provider", get_snapshot().providers, ids=lambda one: one.id)
def test_every_known_model_costs_what_genai_prices_says(provider: Provider) -> None:
    for model in provider.models:
        for at in instants(model):
            rates = CATALOG.rates(provider.id, model.id, at)
            for tokens in MIXES:
                cost = None if rates is None else rates.cost_nanos(tokens)
                assert cost == oracle_nanos(provider, model, at, tokens), (model.id, at, tokens)


@pytest.mark.parametrize(
    ("provider", "model", "at", "tokens", "nanos"),
    [
        # $3 and $15 a million: 1,000 × 3e-6 + 500 × 15e-6.
        ("anthropic", "claude-sonnet-4-5", NOW, TokenCounts(1_000, 0, 0, 500), 10_500_000),
        # $0.30 for what was read from the cache, $3.75 for what was written, $3 for the rest.
        ("anthropic", "claude-sonnet-4-5", NOW, TokenCounts(1_000, 800, 100), 915_000),
        # One token over 200,000 doubles the price of all of them.
        ("anthropic", "claude-sonnet-4-5", NOW, TokenCounts(200_000), 600_000_000),
        ("anthropic", "claude-sonnet-4-5", NOW, TokenCounts(200_001), 1_200_006_000),
        ("anthropic", "claude-opus-4-5", NOW, TokenCounts(10, 0, 0, 10), 300_000),
        ("openai", "gpt-4o", NOW, TokenCounts(1_000, 400, 0, 100), 3_000_000),
        ("openai", "gpt-4o-mini", NOW, TokenCounts(7, 0, 0, 3), 2_850),
        # Reasoning is output; o3 has no price of its own for it.
        ("openai", "o3", NOW, TokenCounts(0, 0, 0, 1_000, 900), 8_000_000),
        # The day before o3 became cheaper, and the day itself.
        ("openai", "o3", datetime(2025, 6, 9, 23, 59, tzinfo=UTC), TokenCounts(1_000), 10_000_000),
        ("openai", "o3", datetime(2025, 6, 10, tzinfo=UTC), TokenCounts(1_000), 2_000_000),
        ("openai", "text-embedding-3-small", NOW, TokenCounts(1), 20),
        # An embedding model has no price for output: unknown, not free.
        ("openai", "text-embedding-3-small", NOW, TokenCounts(1, 0, 0, 1), None),
        ("google", "gemini-2.5-pro", NOW, TokenCounts(200_001, 0, 0, 1), 500_017_500),
        ("groq", "llama-3.3-70b-versatile", NOW, TokenCounts(1, 0, 0, 1), 1_380),
        # By day, and at night for half.
        ("deepseek", "deepseek-chat", datetime(2025, 3, 1, 12, tzinfo=UTC), TokenCounts(4), 1_080),
        ("deepseek", "deepseek-chat", NIGHT, TokenCounts(4), 540),
        # $3 a million for reasoning beside $8 for the rest of the output.
        ("perplexity", "sonar-deep-research", NOW, TokenCounts(0, 0, 0, 10, 4), 60_000),
        # 1.4 cents a request beside the tokens.
        ("perplexity", "sonar-pro", NOW, TokenCounts(1), 14_003_000),
        # Priced by the hour of sound, which tokens don't tell.
        ("groq", "whisper-large-v3", NOW, TokenCounts(1), None),
    ],
)
def test_published_prices_worked_out_by_hand(
    provider: str, model: str, at: datetime, tokens: TokenCounts, nanos: int | None
) -> None:
    rates = CATALOG.rates(provider, model, at)
    assert (None if rates is None else rates.cost_nanos(tokens)) == nanos


def test_the_lowest_tier_is_what_is_shown() -> None:
    rates = CATALOG.rates("anthropic", "claude-sonnet-4-5", NOW)
    assert rates is not None
    assert rates.tiered
    assert rates.lowest_nanos("input") == 3 * 10**9
    assert rates.lowest_nanos("cache_write") == 3_750_000_000
    assert rates.lowest_nanos("reasoning") is None


def test_cached_tokens_without_a_price_of_their_own_cost_what_input_costs() -> None:
    rates = flat_rates(
        input_nanos=10**9, output_nanos=2 * 10**9, cache_read_nanos=None, cache_write_nanos=0
    )
    assert rates.cost_nanos(TokenCounts(input=10, cache_read=4, cache_write=5, output=1)) == 7_000


nanos_per_million = st.integers(min_value=0, max_value=10**15)
counts = st.integers(min_value=0, max_value=10**9)


@given(nanos_per_million, nanos_per_million, counts, counts)
def test_an_override_is_exact_until_its_one_rounding(
    input_nanos: int, output_nanos: int, input_tokens: int, output_tokens: int
) -> None:
    rates = flat_rates(
        input_nanos=input_nanos,
        output_nanos=output_nanos,
        cache_read_nanos=None,
        cache_write_nanos=None,
    )
    exact = Fraction(input_nanos * input_tokens + output_nanos * output_tokens, 10**6)
    # Python rounds fractions half to even.
    assert rates.cost_nanos(TokenCounts(input=input_tokens, output=output_tokens)) == round(exact)


@given(st.integers(min_value=0), st.integers(min_value=1))
def test_rounding_is_half_to_even(numerator: int, denominator: int) -> None:
    assert half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@pytest.mark.parametrize(("numerator", "nearest"), [(1, 0), (3, 2), (5, 2), (7, 4)])
def test_a_tie_goes_to_the_even_neighbour(numerator: int, nearest: int) -> None:
    assert half_even(numerator, 2) == nearest
