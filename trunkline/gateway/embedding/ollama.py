"""Embeddings of Ollama: `POST /api/embed`. https://docs.ollama.com/api/embed"""

from trunkline.gateway.embedding.answered import Embeddings, answered
from trunkline.gateway.embedding.asked import EmbeddingsAsked
from trunkline.gateway.protocols import ProviderCall, UnreadableAnswer
from trunkline.gateway.provider_json import read_object, token_count, write_body


def ask(asked: EmbeddingsAsked, wire_name: str) -> ProviderCall:
    """Raises `CannotSay`."""
    body: dict[str, object] = {
        "model": wire_name,
        "input": asked.texts_for("Ollama"),
        # Or else the end of a text that is too long is left out, and nobody is told.
        "truncate": False,
    }
    if asked.dimensions is not None:
        body["dimensions"] = asked.dimensions
    return ProviderCall("/api/embed", write_body(body), asked.ignored)


def read(body: bytes, asked: EmbeddingsAsked) -> Embeddings:
    """Raises `UnreadableAnswer`."""
    answer = read_object(body)
    vectors = answer.get("embeddings")
    if not isinstance(vectors, list):
        raise UnreadableAnswer("the answer holds no list of embeddings")
    return answered(vectors, token_count(answer.get("prompt_eval_count")), asked)
