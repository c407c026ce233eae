"""Money as text: plain digits, nine decimals at most, back and forth without loss."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.money import BadAmount, format_nanos, parse_dollars


@given(st.integers(min_value=0, max_value=10**24 - 1))
def test_what_is_written_is_read_back(nanos: int) -> None:
    text = format_nanos(nanos)
    assert parse_dollars(text) == nanos
    assert Decimal(text) == Decimal(nanos).scaleb(-9)
    assert "e" not in text.lower()


@pytest.mark.parametrize(
    ("nanos", "text"), [(0, "0"), (1, "0.000000001"), (18_750, "0.00001875"), (3 * 10**9, "3")]
)
def test_the_text_is_canonical(nanos: int, text: str) -> None:
    assert format_nanos(nanos) == text


@pytest.mark.parametrize(
    "text",
    ["", ".5", "5.", "-1", "+1", "1e3", "1E-9", "NaN", "Infinity", "0.0000000001", "1,5", " 1",
     "1_0", "١", "1e99999999", "9" * 16, "0" * 100_000],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadAmount, match="plain digits"):
        parse_dollars(text)
