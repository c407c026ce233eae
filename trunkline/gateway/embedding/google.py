"""Embeddings of Gemini: `batchEmbedContents`. https://ai.google.dev/api/embeddings

The vectors are passed on as they are: of the first models those with fewer dimensions than the
model's own are not of length 1.
"""

from trunkline.gateway.dialects.google import model_path
from trunkline.gateway.embedding.answered import Embeddings, answered
from trunkline.gateway.embedding.asked import EmbeddingsAsked
from trunkline.gateway.protocols import CannotSay, ProviderCall, UnreadableAnswer
from trunkline.gateway.provider_json import read_object, token_count, write_body

MOST_TEXTS = 100
"""Of one batch; more get a 400: https://github.com/geldata/gel/issues/9032."""


def ask(asked: EmbeddingsAsked, wire_name: str) -> ProviderCall:
    """A request for each text, in one body. Raises `CannotSay`."""
    texts = asked.texts_for("Gemini")
    if len(texts) > MOST_TEXTS:
        raise CannotSay(
            f"Gemini embeds at most {MOST_TEXTS} texts at a time, not {len(texts):,}: send fewer"
        )
    name = wire_name if "/" in wire_name else f"models/{wire_name}"
    more = {} if asked.dimensions is None else {"outputDimensionality": asked.dimensions}
    requests = [{"model": name, "content": {"parts": [{"text": text}]}, **more} for text in texts]
    path = f"{model_path(wire_name)}:batchEmbedContents"
    return ProviderCall(path, write_body({"requests": requests}), asked.ignored)


def read(body: bytes, asked: EmbeddingsAsked) -> Embeddings:
    """Raises `UnreadableAnswer`. The usage is told by newer models alone."""
    answer = read_object(body)
    embeddings = answer.get("embeddings")
    if not isinstance(embeddings, list):
        raise UnreadableAnswer("the answer holds no list of embeddings")
    vectors = [one.get("values") if isinstance(one, dict) else None for one in embeddings]
    usage = answer.get("usageMetadata")
    tokens = token_count(usage.get("promptTokenCount")) if isinstance(usage, dict) else None
    return answered(vectors, tokens, asked)
