"""Which dialect each kind of provider speaks."""

from collections.abc import Mapping

from db.vocabulary import ProviderKind
from trunkline.gateway.dialects.anthropic import AnthropicDialect
from trunkline.gateway.dialects.google import GoogleDialect
from trunkline.gateway.dialects.ollama import OllamaDialect
from trunkline.gateway.dialects.openai import OpenAiDialect
from trunkline.gateway.protocols import Dialect

DIALECTS: Mapping[ProviderKind, Dialect] = {
    ProviderKind.ANTHROPIC: AnthropicDialect(),
    ProviderKind.OPENAI: OpenAiDialect(official=True),
    ProviderKind.OPENAI_COMPATIBLE: OpenAiDialect(official=False),
    ProviderKind.GOOGLE: GoogleDialect(),
    ProviderKind.OLLAMA: OllamaDialect(),
}
