"""Money: whole nanodollars inside, plain decimal digits outside.

A nanodollar is a billionth of a US dollar. The text form is canonical: no exponent, no sign but a
minus, no zeros at the end of the decimals. So equal amounts are equal texts.
"""

import re

NANOS_PER_DOLLAR = 10**9
_PLAIN = re.compile(r"(\d{1,15})(?:\.(\d{1,9}))?", re.ASCII)


class BadAmount(ValueError):
    """The text is no amount that can be taken; the message says what is."""


def parse_dollars(text: str) -> int:
    """Nanodollars of plain digits with at most nine decimals, not negative. Raises `BadAmount`.

    The text's length is bounded before it is converted: `int(Decimal("1e99999999"))` never ends.
    """
    match = _PLAIN.fullmatch(text) if len(text) <= 32 else None
    if match is None:
        raise BadAmount(
            'an amount is plain digits with at most nine decimals, such as "0.25": '
            "no sign, no exponent, no separator"
        )
    whole, decimals = match.groups()
    return int(whole) * NANOS_PER_DOLLAR + int((decimals or "").ljust(9, "0"))


def format_nanos(nanos: int) -> str:
    """The canonical text of an amount: `3`, `0.25`, `0.000000001`."""
    if nanos == 0:  # Most buckets of most series.
        return "0"
    if 0 < nanos < NANOS_PER_DOLLAR:  # Most of the others, in half the time that a format takes.
        return ("0." + str(nanos + NANOS_PER_DOLLAR)[1:]).rstrip("0")
    whole, rest = divmod(nanos, NANOS_PER_DOLLAR)
    if rest == 0:  # Most prices.
        return str(whole)
    return f"-{format_nanos(-nanos)}" if nanos < 0 else f"{whole}.{rest:09d}".rstrip("0")
