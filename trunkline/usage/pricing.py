"""What an event costs, worked out once, when it is recorded.

The cost that the provider billed where it says so; else the operator's override in force at the
time; else the catalog's dated and tiered price; else free for Ollama; else unknown, which is never
zero.
"""

from collections.abc import Sequence
from datetime import datetime

from db.overrides import OverrideRow
from db.vocabulary import ProviderKind
from trunkline.catalog.known import KnownCatalog
from trunkline.usage.rates import Rates, TokenCounts, flat_rates


class PriceBook:
    """Prices events. Holds no prices of its own: the catalog's are resolved there, once each."""

    def __init__(self, catalog: KnownCatalog) -> None:
        self._catalog = catalog

    def cost_nanos(
        self,
        *,
        kind: ProviderKind,
        known_provider: str | None,
        wire_name: str,
        at: datetime,
        tokens: TokenCounts,
        override: Rates | None = None,
        billed_nanos: int | None = None,
    ) -> int | None:
        """Nanodollars, rounded half-even once; None where the price is unknown."""
        if billed_nanos is not None:
            return billed_nanos
        if override is not None:
            return override.cost_nanos(tokens)
        if known_provider is not None:
            rates = self._catalog.rates(known_provider, wire_name, at)
            if rates is not None:
                return rates.cost_nanos(tokens)
        return 0 if kind is ProviderKind.OLLAMA else None


def override_at(overrides: Sequence[OverrideRow], at: datetime) -> Rates | None:
    """The override in force at an instant: the last that began by then, unless it ended one."""
    began = [override for override in overrides if override.effective_from <= at]
    if not began or began[-1].input_per_million is None or began[-1].output_per_million is None:
        return None
    last = began[-1]
    return flat_rates(
        input_nanos=last.input_per_million or 0,
        output_nanos=last.output_per_million or 0,
        cache_read_nanos=last.cache_read_per_million,
        cache_write_nanos=last.cache_write_per_million,
    )
