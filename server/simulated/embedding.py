"""Vectors for texts: made up, of length 1, and the same for the same text."""

import hashlib
import math
import random
import struct
from base64 import b64encode

from server.simulated.asked import InvalidAsk

MOST_TEXTS = 2_048
MOST_DIMENSIONS = 4_096
MOST_NUMBERS = 2_000_000
"""Of all vectors of a request."""
_DISTINCT = 64


def vector_of(text: str, dimensions: int) -> list[float]:
    """So many numbers."""
    digest = hashlib.sha256(text.encode(errors="replace")).digest()
    dice = random.Random(digest)  # noqa: S311  # made up, and the same each time
    some = [dice.uniform(-1, 1) for _ in range(_DISTINCT)]
    # Repeated: thousands of dice for each of thousands of texts would hold up every stream.
    numbers = (some * (dimensions // _DISTINCT + 1))[:dimensions]
    length = math.sqrt(sum(number * number for number in numbers)) or 1.0
    return [number / length for number in numbers]


def vectors_of(texts: list[str], dimensions: int) -> list[list[float]]:
    """One for each text. Raises `InvalidAsk`."""
    if len(texts) * dimensions > MOST_NUMBERS:
        raise InvalidAsk(f"at most {MOST_NUMBERS:,} numbers: fewer texts or dimensions")
    return [vector_of(text, dimensions) for text in texts]


def packed(vector: list[float]) -> str:
    """The vector as OpenAI packs it: little-endian floats of 32 bits in base64."""
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def texts_of(value: object, field: str) -> list[str]:
    """A text, a list of them, or tokens. Raises `InvalidAsk`."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not 0 < len(value) <= MOST_TEXTS:
        raise InvalidAsk(f"'{field}' must be a text or a list of 1 to {MOST_TEXTS}", field)
    if all(isinstance(one, int) for one in value):
        return [str(value)]
    return [one if isinstance(one, str) else str(one) for one in value]


def dimensions_of(value: object, default: int) -> int:
    """How many are wanted. Raises `InvalidAsk`."""
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MOST_DIMENSIONS:
        raise InvalidAsk(f"dimensions must be from 1 to {MOST_DIMENSIONS:,}", "dimensions")
    return value


def tokens_of(texts: list[str]) -> int:
    """Tokens of the texts together."""
    return sum(max(1, -(-len(text) // 4)) for text in texts)
