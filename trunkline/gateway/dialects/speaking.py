"""Which dialect each provider speaks: its kind's, or a variety of it."""

from collections.abc import Mapping

from db.vocabulary import ProviderKind
from trunkline.gateway.dialects.anthropic import AnthropicDialect
from trunkline.gateway.dialects.google import GoogleDialect
from trunkline.gateway.dialects.ollama import OllamaDialect
from trunkline.gateway.dialects.openai import OpenAiDialect
from trunkline.gateway.openai_compatible import MISTRAL
from trunkline.gateway.protocols import Dialect

DIALECTS: Mapping[ProviderKind, Dialect] = {
    ProviderKind.ANTHROPIC: AnthropicDialect(),
    ProviderKind.OPENAI: OpenAiDialect(official=True),
    ProviderKind.OPENAI_COMPATIBLE: OpenAiDialect(official=False),
    ProviderKind.GOOGLE: GoogleDialect(),
    ProviderKind.OLLAMA: OllamaDialect(),
}
_MISTRALS = OpenAiDialect(official=False, known_provider=MISTRAL)


def dialect_of(kind: ProviderKind, known_provider: str | None) -> Dialect:
    """What a provider of this kind is asked in, who is known by this id of the price data."""
    if kind is ProviderKind.OPENAI_COMPATIBLE and known_provider == MISTRAL:
        return _MISTRALS
    return DIALECTS[kind]
