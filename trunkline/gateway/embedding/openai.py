"""Embeddings of OpenAI, and of whoever speaks its protocol: the request goes on as it came.

https://platform.openai.com/docs/api-reference/embeddings
"""

from trunkline.gateway.embedding.answered import Embeddings, answered
from trunkline.gateway.embedding.asked import EmbeddingsAsked
from trunkline.gateway.protocols import ProviderCall, UnreadableAnswer
from trunkline.gateway.provider_json import read_object, token_count, write_body


def ask(asked: EmbeddingsAsked, wire_name: str) -> ProviderCall:
    """The caller's body with the model's wire name. Raises `CannotSay`."""
    return ProviderCall("/embeddings", write_body({**asked.body, "model": wire_name}))


def read(body: bytes, asked: EmbeddingsAsked) -> Embeddings:
    """Raises `UnreadableAnswer`."""
    answer = read_object(body)
    data = answer.get("data")
    if not isinstance(data, list):
        raise UnreadableAnswer("the answer holds no list of embeddings")
    usage = answer.get("usage")
    tokens = token_count(usage.get("prompt_tokens")) if isinstance(usage, dict) else None
    return answered(_in_order(data), tokens, asked, answer)


def _in_order(data: list[object]) -> list[object]:
    """The vectors by their index; in the order in which they stand where they have none."""
    vectors: dict[int, object] = {}
    for place, entry in enumerate(data):
        if not isinstance(entry, dict):
            raise UnreadableAnswer("an embedding is no object")
        index = entry.get("index", place)
        if isinstance(index, bool) or not isinstance(index, int):
            raise UnreadableAnswer("the embeddings are not numbered")
        vectors[index] = entry.get("embedding")
    if vectors.keys() != set(range(len(data))):
        raise UnreadableAnswer("the embeddings are not numbered from 0")
    return [vectors[index] for index in range(len(data))]
