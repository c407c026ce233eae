"""Words that were cut within a character, whole and in streams."""

import itertools
import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trunkline.gateway.dialects.reading import UNTIMED
from trunkline.gateway.cut_characters import CutCharacters, without_halves


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (rb"a\ud83d", "a�"),
        (rb"\ude00b", "�b"),
        (rb"\uD83D\ud83d\uDE00\ude00", "�😀�"),
        (rb"\\\ud83d", "\\�"),
        (rb"\\ud83d\ud83d", "\\ud83d�"),
        (rb"\"\udfff\n", '"�\n'),
    ],
)
def test_halves_are_replaced(escaped: bytes, text: str) -> None:
    assert without_halves(b'{"a":"%b"}' % escaped) == {"a": text}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b"[NaN]", b"-Infinity", b'"\\ud8"', b"[" * 100_000, b"\\" * 100_000],
)
def test_what_is_no_json_is_none(body: bytes) -> None:
    assert without_halves(body) is None
    assert CutCharacters().read(body) is None


@UNTIMED
@given(st.text(st.sampled_from('aé😀𝄞\\"\n')), st.data())
def test_characters_that_were_cut_are_joined(text: str, data: st.DataObject) -> None:
    """Cut anywhere between the units of UTF-16, as JavaScript counts."""
    units = text.encode("utf-16-le", "surrogatepass")
    cuts = sorted(data.draw(st.sets(st.integers(0, len(units) // 2))))
    places = [0, *cuts, len(units) // 2]
    cut = CutCharacters()
    said = ""
    for begin, end in itertools.pairwise(places):
        piece = units[2 * begin : 2 * end].decode("utf-16-le", "surrogatepass")
        event = json.dumps({"text": piece}).encode()
        try:
            read = orjson.loads(event)
        except orjson.JSONDecodeError:
            read = cut.read(event)
        said += read["text"]
    assert said == text
