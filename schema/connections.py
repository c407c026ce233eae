"""Connections by Relay's rules, read from the `Slice` that a repository returns."""

from typing import Generic, TypeVar

import strawberry

from db.paging import PageRequest
from schema.fields import Info, plain, selects
from trunkline.errors import BadRequest

T = TypeVar("T")

MOST_PER_PAGE = 100


def page_request(info: Info, first: int | None, after: str | None, *, default: int) -> PageRequest:
    """The page that was asked for. Raises `BadRequest` where `first` is out of bounds."""
    size = default if first is None else first
    if not 0 <= size <= MOST_PER_PAGE:
        raise BadRequest(
            f"first takes 0 to {MOST_PER_PAGE}, not {size}: ask for further pages with `after`"
        )
    return PageRequest(first=size, after=after or None, with_total=selects(info, "totalCount"))


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    """By Relay's cursor connections specification."""

    has_next_page: bool = plain("Whether more follow this page.")
    has_previous_page: bool = plain("Whether some come before this page.")
    start_cursor: str | None = plain("Cursor of the first; null on an empty page.")
    end_cursor: str | None = plain("Cursor of the last, to give as `after`; null on an empty page.")


@strawberry.type(description="One object of a page, with its cursor.")
class Edge(Generic[T]):
    """`ModelEdge` for Model, and so on."""

    cursor: str = plain("Its place in the list.")
    node: T = plain("The object.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[T]):
    """`ModelConnection` for Model, and so on."""

    edges: list[Edge[T]] = plain("The page, each object with its cursor.")
    nodes: list[T] = plain("The page.")
    page_info: PageInfo = plain("Where the page lies.")
    total_count: int = plain("How many there are on all pages together.")
