"""Tables as CSV by RFC 4180, made harmless for spreadsheets."""

import csv
import io
from collections.abc import Iterable, Sequence

Cell = str | int | float | bool | None

_FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r")


def encode_csv(rows: Iterable[Sequence[Cell]]) -> bytes:
    """UTF-8 with CRLF line ends. Null is an empty cell; a truth value is `true` or `false`.

    A text that a spreadsheet would run as a formula gets an apostrophe in front, which such a
    program shows as text. Numbers stay: that of a negative is no text.
    """
    text = io.StringIO(newline="")
    csv.writer(text).writerows([_cell(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def _cell(cell: Cell) -> Cell:
    if isinstance(cell, str):
        return f"'{cell}" if cell.startswith(_FORMULA_BEGINS) else cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return cell
