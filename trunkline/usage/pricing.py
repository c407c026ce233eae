"""What an event costs, worked out once, when it is recorded.

The cost that the provider billed where it says so; else the operator's override in force at the
time; else the catalog's dated and tiered price; else free for Ollama; else unknown, which is never
zero.
"""

from datetime import datetime

from db.vocabulary import ProviderKind
from trunkline.catalog.known import KnownCatalog
from trunkline.usage.rates import Rates, TokenCounts


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
