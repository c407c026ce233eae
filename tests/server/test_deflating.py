"""Pieces that were made apart are one message to whoever inflates it."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.deflating import END, deflated_alone, stored

OMITTED = b"\x00\x00\xff\xff"
"""What a receiver puts at the end (RFC 7692 §7.2.2)."""


def inflated(message: bytes, window_bits: int = 15) -> bytes:
    return zlib.decompressobj(wbits=-window_bits).decompress(message + OMITTED)


@given(st.binary(max_size=300), st.binary(max_size=5_000), st.binary(max_size=10))
def test_pieces_together_are_what_they_were(head: bytes, middle: bytes, tail: bytes) -> None:
    message = stored(head) + deflated_alone(middle) + stored(tail) + END
    assert inflated(message) == head + middle + tail
    assert inflated(deflated_alone(middle) + END) == middle


def test_it_is_worth_it() -> None:
    assert len(deflated_alone(b'{"requests":12,"costUsd":"0.1"},' * 100)) < 100


def test_a_stored_block_has_its_bound() -> None:
    assert inflated(stored(b"x" * 65_535) + END) == b"x" * 65_535
    with pytest.raises(ValueError, match=r"65,535"):
        stored(b"x" * 65_536)
