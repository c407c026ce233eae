"""What a caller asks to embed, in OpenAI's shape.

https://platform.openai.com/docs/api-reference/embeddings/create
"""

from dataclasses import dataclass, field
from enum import StrEnum

from trunkline.gateway.conversation import JsonObject
from trunkline.gateway.protocols import BadRequestBody, CannotSay

MOST_INPUTS = 2_048
_MOST_DIMENSIONS = 100_000
_CHARACTERS_A_TOKEN = 4
_KNOWN = frozenset({"model", "input", "dimensions", "encoding_format", "user"})


class Encoding(StrEnum):
    """How a vector is written: as numbers, or in base64 as little-endian floats of 32 bits."""

    FLOAT = "float"
    BASE64 = "base64"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingsAsked:
    """`texts` is None where tokens of OpenAI's are given in their place, `count` of them or of
    texts. `body` is the request as it came, for providers who speak this protocol; `ignored` are
    its parameters that no other has.
    """

    texts: tuple[str, ...] | None
    count: int
    encoding: Encoding = Encoding.FLOAT
    dimensions: int | None = None
    ignored: tuple[str, ...] = ()
    estimated_tokens: int = 0
    body: JsonObject = field(repr=False)

    def texts_for(self, provider: str) -> tuple[str, ...]:
        """The texts, for a provider who takes no tokens. Raises `CannotSay`."""
        if self.texts is None:
            raise CannotSay(
                f"{provider} takes texts, not the tokens of another provider: send each input as a "
                "text"
            )
        return self.texts


def read_asked(body: JsonObject) -> EmbeddingsAsked:
    """The request's body. Raises `BadRequestBody`."""
    given = body.get("input")
    texts = _texts(given)
    tokens = None if texts is not None else _tokens(given)
    if texts is None and tokens is None:
        raise BadRequestBody(
            "'input' must be a text, a list of texts, or a list of tokens, and none of them empty",
            "input",
        )
    count = len(texts if texts is not None else tokens or ())
    if count > MOST_INPUTS:
        raise BadRequestBody(
            f"'input' may hold at most {MOST_INPUTS:,} texts at a time: send fewer", "input"
        )
    return EmbeddingsAsked(
        texts=texts,
        count=count,
        encoding=_encoding(body.get("encoding_format")),
        dimensions=_dimensions(body.get("dimensions")),
        ignored=tuple(name for name in body if name not in _KNOWN),
        estimated_tokens=_estimated(texts) if texts is not None else sum(tokens or ()),
        body=body,
    )


def _texts(given: object) -> tuple[str, ...] | None:
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list) or not given:
        return None
    return tuple(given) if all(isinstance(one, str) and one for one in given) else None


def _tokens(given: object) -> tuple[int, ...] | None:
    """How many tokens each input has; a list of tokens is one input."""
    if not isinstance(given, list) or not given:
        return None
    lists = given if isinstance(given[0], list) else [given]
    for one in lists:
        if not isinstance(one, list) or not one or not all(_is_token(token) for token in one):
            return None
    return tuple(len(one) for one in lists)


def _is_token(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _encoding(given: object) -> Encoding:
    if given is None:
        return Encoding.FLOAT
    if isinstance(given, str) and given in set(Encoding):
        return Encoding(given)
    raise BadRequestBody("'encoding_format' must be 'float' or 'base64'", "encoding_format")


def _dimensions(given: object) -> int | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int) or not 0 < given <= _MOST_DIMENSIONS:
        raise BadRequestBody("'dimensions' must be a whole number above 0", "dimensions")
    return given


def _estimated(texts: tuple[str, ...]) -> int:
    return sum(-(-len(text) // _CHARACTERS_A_TOKEN) for text in texts)
