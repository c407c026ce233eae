"""Reads JSON whose words were cut within a character: some providers end a piece between the two
halves of a surrogate pair, and no parser of JSON in UTF-8 takes either half alone.
"""

import re

import orjson

_INSTEAD = b"\\ufffd"
_LOW = b"cdefCDEF"
# Behind escaped backslashes, a whole pair (12 bytes) or a half (6).
_SURROGATES = re.compile(
    rb"(?<!\\)((?:\\\\)*)"
    rb"(\\u[dD](?:[89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|[89a-fA-F][0-9a-fA-F]{2}))"
)
_HALF_LENGTH = 6


def without_halves(body: bytes) -> object:
    """The value of JSON that a parser refused, with a replacement character for each half. None
    for what is no JSON all the same.
    """
    return _parsed(
        _SURROGATES.sub(lambda one: one[1] + _INSTEAD if _is_half(one) else one[0], body)
    )


class CutCharacters:
    """Of one stream: joins the halves that end one event's words and begin another's."""

    __slots__ = ("_half",)

    def __init__(self) -> None:
        self._half = b""

    def read(self, data: bytes) -> object:
        """The value of an event that a parser refused; a half that ends its words comes with those
        of the next. None for what is no JSON all the same.
        """

        def mended(one: re.Match[bytes]) -> bytes:
            if not _is_half(one):
                return one[0]
            is_low = one[2][3] in _LOW
            if not is_low and data.startswith(b'"', one.end()):
                self._half = one[2]
                return one[1]
            if is_low and self._half and not one[1] and data.endswith(b'"', 0, one.start()):
                half, self._half = self._half, b""
                return half + one[2]
            return one[1] + _INSTEAD

        return _parsed(_SURROGATES.sub(mended, data))


def _is_half(surrogate: re.Match[bytes]) -> bool:
    return len(surrogate[2]) == _HALF_LENGTH


def _parsed(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
