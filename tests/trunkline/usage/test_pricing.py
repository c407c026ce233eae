"""What decides a cost: billed, then the override, then the catalog, then free, then unknown."""

from datetime import UTC, datetime

from db.vocabulary import ProviderKind
from trunkline.catalog.known import KnownCatalog
from trunkline.usage.pricing import PriceBook
from trunkline.usage.rates import TokenCounts, flat_rates

BOOK = PriceBook(KnownCatalog())
NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
TOKENS = TokenCounts(input=1_000_000)
ONE_DOLLAR = flat_rates(
    input_nanos=10**9, output_nanos=10**9, cache_read_nanos=None, cache_write_nanos=None
)


def test_what_was_billed_comes_first() -> None:
    cost = BOOK.cost_nanos(
        kind=ProviderKind.OPENAI,
        known_provider="openai",
        wire_name="gpt-4o",
        at=NOW,
        tokens=TOKENS,
        override=ONE_DOLLAR,
        billed_nanos=0,
    )
    assert cost == 0


def test_an_override_comes_before_the_catalog() -> None:
    cost = BOOK.cost_nanos(
        kind=ProviderKind.OPENAI,
        known_provider="openai",
        wire_name="gpt-4o",
        at=NOW,
        tokens=TOKENS,
        override=ONE_DOLLAR,
    )
    assert cost == 10**9


def test_the_catalog_prices_what_it_knows() -> None:
    cost = BOOK.cost_nanos(
        kind=ProviderKind.OPENAI,
        known_provider="openai",
        wire_name="gpt-4o",
        at=NOW,
        tokens=TOKENS,
    )
    assert cost == 2_500_000_000


def test_a_dated_name_costs_what_its_model_costs() -> None:
    cost = BOOK.cost_nanos(
        kind=ProviderKind.ANTHROPIC,
        known_provider="anthropic",
        wire_name="claude-sonnet-4-5-20250929",
        at=NOW,
        tokens=TokenCounts(input=1_000),
    )
    assert cost == 3_000_000


def test_ollama_is_free_unless_an_operator_says_otherwise() -> None:
    free = BOOK.cost_nanos(
        kind=ProviderKind.OLLAMA, known_provider=None, wire_name="llama3.2", at=NOW, tokens=TOKENS
    )
    priced = BOOK.cost_nanos(
        kind=ProviderKind.OLLAMA,
        known_provider=None,
        wire_name="llama3.2",
        at=NOW,
        tokens=TOKENS,
        override=ONE_DOLLAR,
    )
    assert (free, priced) == (0, 10**9)


def test_an_unknown_price_is_null_and_never_zero() -> None:
    for known_provider in (None, "openai"):
        cost = BOOK.cost_nanos(
            kind=ProviderKind.OPENAI_COMPATIBLE,
            known_provider=known_provider,
            wire_name="our-own-finetune",
            at=NOW,
            tokens=TOKENS,
        )
        assert cost is None
