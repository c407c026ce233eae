"""The arithmetic of a price: rates per token class, tiers, one rounding.

genai-prices holds the data; its own calculation takes 120 to 210 µs a call, so the rates are
resolved once into integers and the sum is ours. A tier applies to every token of a request whose
input exceeds its start, as providers bill it.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice

NANO = 10**9
# Rates are whole attodollars (1e-18) per million tokens: the data has up to 17 decimals.
_ATTO = 10**18
_ATTO_PER_MILLION_TO_NANO = 10**9 * 10**6

TokenClass = Literal["input", "cache_read", "cache_write", "output", "reasoning"]


class TokenCounts(NamedTuple):
    """Tokens of one request by class, inclusive: input holds cache reads and writes, output holds
    reasoning.
    """

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0

    def __bool__(self) -> bool:
        return bool(self.input or self.output)


@dataclass(frozen=True, slots=True)
class Rate:
    """Attodollars per million tokens: `base`, or that of the last tier whose start is exceeded."""

    base: int
    tiers: tuple[tuple[int, int], ...] = ()

    def at(self, input_tokens: int) -> int:
        """The rate of a request with this many input tokens."""
        if not self.tiers:
            return self.base
        rate = self.base
        for start, tier_rate in self.tiers:
            if input_tokens > start:
                rate = tier_rate
        return rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """A model's rates; None where a class has none of its own.

    Cached tokens without a rate cost what input costs, reasoning what output costs. A class that
    has tokens and no rate at all makes the cost unknown.
    """

    input: Rate | None
    output: Rate | None
    cache_read: Rate | None = None
    cache_write: Rate | None = None
    reasoning: Rate | None = None
    # Attodollars for each request, whatever it holds.
    per_request: int = 0

    @property
    def tiered(self) -> bool:
        """Whether larger prompts cost otherwise."""
        rates = (self.input, self.output, self.cache_read, self.cache_write, self.reasoning)
        return any(rate is not None and rate.tiers for rate in rates)

    def lowest_nanos(self, token_class: TokenClass) -> int | None:
        """Nanodollars per million at the lowest tier, rounded half-even."""
        rate: Rate | None = getattr(self, token_class)
        return None if rate is None else half_even(rate.base, _ATTO // NANO)

    def cost_nanos(self, tokens: TokenCounts) -> int | None:
        """The cost in nanodollars, rounded half-even once; None where a rate is unknown."""
        prompt = plain_input = tokens.input
        plain_output = tokens.output
        attos = self.per_request * 10**6
        if tokens.cache_read and self.cache_read is not None:
            plain_input -= tokens.cache_read
            attos += tokens.cache_read * self.cache_read.at(prompt)
        if tokens.cache_write and self.cache_write is not None:
            plain_input -= tokens.cache_write
            attos += tokens.cache_write * self.cache_write.at(prompt)
        if tokens.reasoning and self.reasoning is not None:
            plain_output -= tokens.reasoning
            attos += tokens.reasoning * self.reasoning.at(prompt)
        if plain_input:
            if self.input is None:
                return None
            attos += plain_input * self.input.at(prompt)
        if plain_output:
            if self.output is None:
                return None
            attos += plain_output * self.output.at(prompt)
        return half_even(attos, _ATTO_PER_MILLION_TO_NANO)


def flat_rates(
    *,
    input_nanos: int,
    output_nanos: int,
    cache_read_nanos: int | None,
    cache_write_nanos: int | None,
) -> Rates:
    """Rates from nanodollars per million tokens, as an operator's override gives them."""

    def rate(nanos: int | None) -> Rate | None:
        return None if nanos is None else Rate(nanos * (_ATTO // NANO))

    return Rates(
        input=rate(input_nanos),
        output=rate(output_nanos),
        cache_read=rate(cache_read_nanos),
        cache_write=rate(cache_write_nanos),
    )


def rates_of(prices: "ModelPrice") -> Rates | None:
    """The rates in genai-prices' form; None where it has none for text tokens or requests."""
    found = {
        token_class: _rate(getattr(prices, key))
        for token_class, key in (
            ("input", "input_mtok"),
            ("output", "output_mtok"),
            ("cache_read", "cache_read_mtok"),
            ("cache_write", "cache_write_mtok"),
            ("reasoning", "output_reasoning_mtok"),
        )
    }
    thousand_requests = _rate(prices.requests_kcount)
    if found["input"] is None and found["output"] is None:
        return None
    return Rates(**found, per_request=thousand_requests.base // 1_000 if thousand_requests else 0)


def half_even(numerator: int, denominator: int) -> int:
    """`numerator / denominator` to the nearest whole, ties to even. Neither is negative."""
    quotient, remainder = divmod(numerator, denominator)
    twice = remainder * 2
    if twice > denominator or (twice == denominator and quotient % 2):
        quotient += 1
    return quotient


def _rate(price: object) -> Rate | None:
    if price is None:
        return None
    if isinstance(price, Decimal):
        return Rate(_attos(price))
    base: Decimal = price.base  # type: ignore[attr-defined]  # TieredPrices, imported for types only
    tiers = price.tiers  # type: ignore[attr-defined]
    return Rate(_attos(base), tuple((tier.start, _attos(tier.price)) for tier in tiers))


def _attos(dollars: Decimal) -> int:
    return round(dollars * _ATTO)
