"""Keyset pages: what a list is asked for, and what it answers.

A cursor is the sort key of a row, so a page stays right while rows come and go. Cursors are opaque
to clients; a cursor of another list or of another order is refused, never misread.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import orjson
from sqlalchemy import ColumnElement, and_, or_

Row = TypeVar("Row")
Key = tuple[str | int, ...]


class BadCursor(ValueError):
    """The cursor was not made by this list in this order."""

    def __init__(self) -> None:
        super().__init__("the cursor is not one of this list: take it from its pageInfo or edges")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The first `first` rows after the cursor `after`. `with_total` asks for the count of all."""

    first: int
    after: str | None = None
    with_total: bool = False


@dataclass(frozen=True, slots=True)
class Edge(Generic[Row]):
    """One row of a page, with its cursor."""

    cursor: str
    node: Row


@dataclass(frozen=True, slots=True)
class Slice(Generic[Row]):
    """A page: its rows as `nodes`, and whether more lie on either side. `cursor_of` gives a row's
    cursor: most pages are asked for one of them, or none.

    `total_count` is of all rows that match, whatever the page; None where it wasn't asked for.
    """

    nodes: Sequence[Row]
    cursor_of: Callable[[Row], str] = field(compare=False, repr=False)
    has_next_page: bool
    has_previous_page: bool
    total_count: int | None = None

    @property
    def edges(self) -> Sequence[Edge[Row]]:
        """Each row with its cursor."""
        return [Edge(self.cursor_of(node), node) for node in self.nodes]

    @property
    def page_info(self) -> "Slice[Row]":
        """The page itself: it knows where it lies."""
        return self

    @property
    def start_cursor(self) -> str | None:
        """The first row's cursor; None on an empty page."""
        return self.cursor_of(self.nodes[0]) if self.nodes else None

    @property
    def end_cursor(self) -> str | None:
        """The last row's cursor; None on an empty page."""
        return self.cursor_of(self.nodes[-1]) if self.nodes else None


def encode_cursor(order: str, key: Key) -> str:
    """The cursor of a row whose sort key is `key` in the list and order named `order`."""
    return base64.urlsafe_b64encode(orjson.dumps([order, *key])).decode().rstrip("=")


def decode_cursor(order: str, cursor: str, types: Sequence[type]) -> Key:
    """The sort key in `cursor`. Raises `BadCursor` unless it has these types and this order."""
    if len(cursor) > 4096:
        raise BadCursor
    try:
        parts = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError) as error:
        raise BadCursor from error
    if not isinstance(parts, list) or len(parts) != len(types) + 1 or parts[0] != order:
        raise BadCursor
    key = tuple(parts[1:])
    for part, kind in zip(key, types, strict=True):
        if type(part) is not kind:
            raise BadCursor
        if isinstance(part, str) and ("\0" in part or not _encodable(part)):
            raise BadCursor
        if isinstance(part, int) and not -(2**63) <= part < 2**63:
            raise BadCursor
    return key


def after_key(columns: Sequence[ColumnElement[Any]], key: Key) -> ColumnElement[bool]:
    """The rows that come after `key` in ascending order of `columns`.

    Spelled out as OR of ANDs: row values bind as tuples on SQLite but not with every type here.
    """
    return or_(
        *(
            and_(
                *(column == part for column, part in zip(columns[:i], key[:i], strict=True)),
                columns[i] > key[i],
            )
            for i in range(len(columns))
        )
    )


def slice_of(
    page: PageRequest,
    found: Sequence[Row],
    key_of: Callable[[Row], Key],
    order: str,
    total_count: int | None = None,
) -> Slice[Row]:
    """The page made of `found`, which holds up to one row more than `page.first`."""
    rows = found[: page.first]
    return Slice(
        nodes=rows,
        cursor_of=lambda row: encode_cursor(order, key_of(row)),
        has_next_page=len(found) > page.first,
        # A keyset knows that something lies behind it, because the cursor came from there.
        has_previous_page=page.after is not None,
        total_count=total_count,
    )


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
