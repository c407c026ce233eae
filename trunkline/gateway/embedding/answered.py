"""The vectors that came back, and how they are written in OpenAI's shape."""

import struct
from array import array
from base64 import b64decode, b64encode
from binascii import Error as BrokenBase64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import orjson

from trunkline.gateway.answers import Usage
from trunkline.gateway.conversation import JsonObject
from trunkline.gateway.embedding.asked import EmbeddingsAsked, Encoding
from trunkline.gateway.protocols import UnreadableAnswer

Vector: TypeAlias = Sequence[float] | str
"""Numbers, or base64: as the caller asked."""
_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """A vector for each input, in its order. `is_estimated` where the provider did not tell its
    tokens. `envelope` is the answer of a provider who speaks OpenAI's protocol, for what else it
    says.
    """

    vectors: tuple[Vector, ...] = field(repr=False)
    usage: Usage
    is_estimated: bool = False
    envelope: JsonObject = field(default_factory=dict, repr=False)


def answered(
    vectors: Sequence[object],
    tokens: int | None,
    asked: EmbeddingsAsked,
    envelope: JsonObject | None = None,
) -> Embeddings:
    """What a provider gave for what was asked. Raises `UnreadableAnswer` for anything but as many
    vectors as there are inputs.
    """
    if len(vectors) != asked.count:
        raise UnreadableAnswer(f"{len(vectors)} vectors came for {asked.count} inputs")
    encoded = tuple(_encoded(vector, asked.encoding) for vector in vectors)
    return Embeddings(
        vectors=encoded,
        usage=Usage(input=asked.estimated_tokens if tokens is None else tokens),
        is_estimated=tokens is None,
        envelope=envelope or {},
    )


def write_embeddings(embeddings: Embeddings, model: str) -> bytes:
    """The body of a `CreateEmbeddingResponse`, which names this model."""
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, vector in enumerate(embeddings.vectors)
    ]
    tokens = embeddings.usage.input
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    named = {"object": "list", "data": data, "model": model}
    # What the provider said of its usage stays as it said it.
    told = {} if embeddings.is_estimated else embeddings.envelope
    try:
        return orjson.dumps({"usage": usage} | dict(told) | named)
    except orjson.JSONEncodeError:  # Nested deeper than can be written.
        return orjson.dumps({"usage": usage} | named)


def _encoded(vector: object, encoding: Encoding) -> Vector:
    """The vector as it is asked for; providers mix the two up. Looked through in C, as a request
    may bring millions of numbers.
    """
    if isinstance(vector, str):
        return vector if encoding is Encoding.BASE64 and vector else _unpacked(vector)
    if not isinstance(vector, list) or not vector:
        raise UnreadableAnswer("a vector is no list of numbers")
    try:
        if encoding is Encoding.BASE64:
            return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        array("d", vector)
    except (TypeError, OverflowError, struct.error):
        raise UnreadableAnswer("a vector holds something else than numbers") from None
    return vector


def _unpacked(text: str) -> list[float]:
    try:
        packed = b64decode(text, validate=True)
    except (BrokenBase64, ValueError):
        packed = b""
    if not packed or len(packed) % _FLOAT_BYTES:
        raise UnreadableAnswer("a vector is neither numbers nor floats in base64")
    return list(struct.unpack(f"<{len(packed) // _FLOAT_BYTES}f", packed))
