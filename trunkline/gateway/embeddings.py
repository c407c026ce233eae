"""Embeddings through the gateway: asked in OpenAI's shape, of every kind of provider that has them,
answered in OpenAI's shape. See `trunkline/gateway/embedding/` for each kind.
"""

from db.vocabulary import ProviderKind
from trunkline.gateway.conversation import JsonObject
from trunkline.gateway.embedding import google, ollama, openai
from trunkline.gateway.embedding.answered import Embeddings, write_embeddings
from trunkline.gateway.embedding.asked import EmbeddingsAsked, read_asked
from trunkline.gateway.protocols import CannotSay, ProviderCall

__all__ = ["Embeddings", "EmbeddingsAsked", "ask", "read", "read_request", "write"]


def read_request(body: JsonObject) -> EmbeddingsAsked:
    """What a caller asks for. Raises `BadRequestBody`."""
    return read_asked(body)


def ask(kind: ProviderKind, asked: EmbeddingsAsked, wire_name: str) -> ProviderCall:
    """The request for a provider of this kind. Raises `CannotSay`."""
    match kind:
        case ProviderKind.OPENAI | ProviderKind.OPENAI_COMPATIBLE:
            return openai.ask(asked, wire_name)
        case ProviderKind.GOOGLE:
            return google.ask(asked, wire_name)
        case ProviderKind.OLLAMA:
            return ollama.ask(asked, wire_name)
        case ProviderKind.ANTHROPIC:
            raise CannotSay(
                "Anthropic has no embeddings: ask for a model of another provider, or take this "
                "step out of the chain"
            )


def read(kind: ProviderKind, body: bytes, asked: EmbeddingsAsked) -> Embeddings:
    """The vectors in the body of a 200 to `ask`. Raises `UnreadableAnswer`."""
    match kind:
        case ProviderKind.GOOGLE:
            return google.read(body, asked)
        case ProviderKind.OLLAMA:
            return ollama.read(body, asked)
        case _:
            return openai.read(body, asked)


def write(embeddings: Embeddings, model: str) -> bytes:
    """The body for the caller, naming the model that answered."""
    return write_embeddings(embeddings, model)
