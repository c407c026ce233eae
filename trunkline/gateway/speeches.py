"""The protocols that callers speak, with the kinds of provider that speak them too."""

from db.vocabulary import ProviderKind
from trunkline.gateway.faces.anthropic import AnthropicFace
from trunkline.gateway.faces.openai import OpenAiFace
from trunkline.gateway.passing.anthropic import AnthropicPassing
from trunkline.gateway.passing.openai import OpenAiPassing
from trunkline.gateway.wires import Speech

OPENAI = Speech(
    OpenAiFace(),
    OpenAiPassing(),
    frozenset({ProviderKind.OPENAI, ProviderKind.OPENAI_COMPATIBLE}),
)
ANTHROPIC = Speech(
    AnthropicFace(),
    AnthropicPassing(),
    frozenset({ProviderKind.ANTHROPIC}),
    # Turns features of a request on that its body makes use of.
    headers=("anthropic-beta",),
)
