"""Which dialect each provider speaks: its kind's, or a variety of it."""

from collections.abc import Mapping

from db.vocabulary import ProviderKind
from trunkline.gateway.dialects.anthropic import AnthropicDialect
from trunkline.gateway.dialects.google import GoogleDialect
from trunkline.gateway.dialects.ollama import OllamaDialect
from trunkline.gateway.dialects.openai import OpenAiDialect
from trunkline.gateway.openai_compatible import REFUSE_TO_BE_ASKED_FOR_USAGE
from trunkline.gateway.protocols import Dialect

DIALECTS: Mapping[ProviderKind, Dialect] = {
    ProviderKind.ANTHROPIC: AnthropicDialect(),
    ProviderKind.OPENAI: OpenAiDialect(official=True),
    ProviderKind.OPENAI_COMPATIBLE: OpenAiDialect(official=False),
    ProviderKind.GOOGLE: GoogleDialect(),
    ProviderKind.OLLAMA: OllamaDialect(),
}
_NOT_ASKED_FOR_USAGE = OpenAiDialect(official=False, asks_for_usage=False)


def dialect_of(kind: ProviderKind, known_provider: str | None) -> Dialect:
    """What a provider of this kind is asked in, who is known by this id of the price data."""
    compatible = kind is ProviderKind.OPENAI_COMPATIBLE
    if compatible and known_provider in REFUSE_TO_BE_ASKED_FOR_USAGE:
        return _NOT_ASKED_FOR_USAGE
    return DIALECTS[kind]
