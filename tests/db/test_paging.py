"""Cursors: opaque, checked, of one list and order only."""

import base64

import orjson
import pytest

from db.paging import BadCursor, PageRequest, decode_cursor, encode_cursor, slice_of


def raw(value: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def test_a_cursor_gives_back_its_key() -> None:
    assert decode_cursor("names", encode_cursor("names", ("é'%_", 7)), (str, int)) == ("é'%_", 7)


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!",
        "é",
        "a" * 10_000,
        raw(None),
        raw({"a": 1}),
        raw(["names"]),
        raw(["names", 7, "x"]),
        raw(["other", "x", 7]),
        raw(["names", "x", True]),
        raw(["names", "x", 1.5]),
        raw(["names", "x", 2**63]),
        raw(["names", "nul\0", 7]),
        raw(["names", "x", 7, 8]),
    ],
)
def test_what_no_list_made_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursor):
        decode_cursor("names", cursor, (str, int))


def test_a_page_knows_whether_more_follow() -> None:
    page = slice_of(PageRequest(first=2), ["a", "b", "c"], lambda row: (row,), "names")
    assert list(page.nodes) == ["a", "b"]
    assert page.has_next_page
    assert not page.has_previous_page
    assert page.end_cursor == page.edges[-1].cursor == encode_cursor("names", ("b",))


def test_a_page_of_none_counts_only() -> None:
    page = slice_of(PageRequest(first=0), ["a"], lambda row: (row,), "names", 1)
    assert (list(page.nodes), page.has_next_page, page.total_count) == ([], True, 1)
    assert page.start_cursor is page.end_cursor is None
