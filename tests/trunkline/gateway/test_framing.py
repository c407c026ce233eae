"""Streams are cut into the same events wherever their bytes are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.gateway.framing import (
    LARGEST_EVENT,
    EventSplitter,
    EventTooLarge,
    LineSplitter,
    ServerSentEvent,
)

# Every sign that means something to the format, in any order.
STREAMS = st.lists(
    st.sampled_from(
        [b"\n", b"\r\n", b"\r", b"data: x", b"data:y", b"data: z\n\n",
         b"event: e\ndata: x\n\n", b"data", b"event: e", b": c", b"id: 1",
         b" ", b":", b"{}", b"\xef\xbb\xbf", b"\n\n", b"\r\n\r\n", "é€".encode()]
    ),
    max_size=40,
).map(b"".join)  # fmt: skip


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(stream) + 1) for place in places} | {0, len(stream)})
    return [stream[start:end] for start, end in pairwise(ends)]


def events_of(chunks: list[bytes]) -> list[ServerSentEvent]:
    splitter = EventSplitter()
    return [event for chunk in chunks for event in splitter.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "name", "data"),
    [
        (b"data: {}\n\n", b"", b"{}"),
        (b"data:{}\n\n", b"", b"{}"),
        (b"data: {}\r\n\r\n", b"", b"{}"),
        (b"data: {}\r\n\n", b"", b"{}"),
        (b"data: {}\n\r\n", b"", b"{}"),
        (b"event: ping\ndata: {}\n\n", b"ping", b"{}"),
        (b"event:ping\r\ndata:{}\r\n\r\n", b"ping", b"{}"),
        (b"data: one\ndata: two\n\n", b"", b"one\ntwo"),
        (b"data: one\r\ndata: two\r\n\r\n", b"", b"one\ntwo"),
        (b"data: a: b\n\n", b"", b"a: b"),
        (b"data:  two spaces\nid: 1\n\n", b"", b" two spaces"),
        (b"data: a\rb\nid: 1\n\n", b"", b"a\rb"),
        (b"data\ndata\n\n", b"", b"\n"),
        (b": a comment\n\n", b"", b""),
        (b": a comment\ndata: {}\n\n", b"", b"{}"),
        (b"\ndata: {}\n\n", b"", b"{}"),
        (b"\xef\xbb\xbfdata: {}\n\n", b"", b"{}"),
        (b"retry: 10\nid: 3\ndata: {}\n\n", b"", b"{}"),
    ],
)
def test_reads_an_event(stream: bytes, name: bytes, data: bytes) -> None:
    splitter = EventSplitter()
    assert splitter.feed(stream) == [ServerSentEvent(name, data, stream)]
    assert splitter.rest() == b""


def test_keeps_what_has_not_ended_yet() -> None:
    splitter = EventSplitter()
    assert [event.data for event in splitter.feed(b"data: 1\n\ndata: 2\n\ndata: 3")] == [b"1", b"2"]
    assert splitter.rest() == b"data: 3"
    assert splitter.feed(b"\n") == []
    assert [event.data for event in splitter.feed(b"\n")] == [b"3"]


@given(STREAMS, st.lists(st.integers(0, 10_000), max_size=30))
def test_events_are_the_same_however_they_are_cut(stream: bytes, places: list[int]) -> None:
    whole, pieces = EventSplitter(), EventSplitter()
    expected = whole.feed(stream)
    found = [event for chunk in cut(stream, places) for event in pieces.feed(chunk)]
    assert found == expected
    assert pieces.rest() == whole.rest()
    assert b"".join(event.raw for event in found) + pieces.rest() == stream


@given(STREAMS)
def test_events_are_the_same_byte_by_byte(stream: bytes) -> None:
    assert events_of([stream[at : at + 1] for at in range(len(stream))]) == events_of([stream])


@given(STREAMS)
def test_an_event_is_what_its_lines_say(stream: bytes) -> None:
    for event in events_of([stream]):
        fields: dict[bytes, list[bytes]] = {b"event": [], b"data": []}
        text = event.raw.replace(b"\r\n", b"\n").removeprefix(b"\xef\xbb\xbf")
        for line in text.split(b"\n"):
            name, _, value = line.partition(b":")
            fields.setdefault(name, []).append(value.removeprefix(b" "))
        assert event.name == (fields[b"event"] or [b""])[-1]
        assert event.data == b"\n".join(fields[b"data"])


@given(STREAMS)
def test_every_event_ends_in_its_only_blank_line(stream: bytes) -> None:
    for event in events_of([stream]):
        lines = event.raw.replace(b"\r\n", b"\n")
        assert lines.endswith(b"\n\n")
        assert lines.find(b"\n\n") == len(lines) - 2


@pytest.mark.parametrize("pieces", [1, 3, 1_000])
def test_an_event_without_an_end_is_too_large(pieces: int) -> None:
    splitter = EventSplitter()
    piece = b"x" * (LARGEST_EVENT // pieces)
    for _ in range(pieces):
        splitter.feed(piece)
    with pytest.raises(EventTooLarge, match="8 MiB"):
        splitter.feed(b"x" * 1_000)


def test_an_event_of_the_largest_size_passes_and_a_larger_does_not() -> None:
    largest = b"data: " + b"x" * (LARGEST_EVENT - 8) + b"\n\n"
    for size in (LARGEST_EVENT, 65_536):
        chunks = [largest[at : at + size] for at in range(0, len(largest), size)]
        assert [len(event.raw) for event in events_of(chunks)] == [LARGEST_EVENT]
        chunks[0] = b": " + chunks[0]
        with pytest.raises(EventTooLarge):
            events_of(chunks)


class CountedSearch(bytearray):
    """Counts the bytes that are searched in it."""

    searched = 0

    def find(self, *given: object) -> int:
        start = given[1] if len(given) > 1 else 0
        assert isinstance(start, int)
        CountedSearch.searched += len(self) - start
        return super().find(*given)  # type: ignore[arg-type] # as bytearray takes them


def test_a_large_event_in_tiny_chunks_is_searched_once() -> None:
    splitter = EventSplitter()
    splitter._held = CountedSearch()
    CountedSearch.searched = 0
    for _ in range(20_000):
        assert splitter.feed(b"xyz") == []
    assert CountedSearch.searched < 20_000 * 10


@given(
    st.lists(st.sampled_from([b"\n", b"\r\n", b"\r", b"{}", b" ", b"[1]"]), max_size=40).map(
        b"".join
    ),
    st.lists(st.integers(0, 10_000), max_size=30),
)
def test_lines_are_the_same_however_they_are_cut(stream: bytes, places: list[int]) -> None:
    splitter = LineSplitter()
    found = [line for chunk in cut(stream, places) for line in splitter.feed(chunk)]
    *lines, rest = stream.split(b"\n")
    assert found == [line.strip() for line in lines if line.strip()]
    assert splitter.rest() == rest.strip()


def test_a_line_without_an_end_is_too_large() -> None:
    splitter = LineSplitter()
    for _ in range(8):
        splitter.feed(b"x" * (LARGEST_EVENT // 8))
    with pytest.raises(EventTooLarge):
        splitter.feed(b"x")
    with pytest.raises(EventTooLarge):
        LineSplitter().feed(b"x" * (LARGEST_EVENT + 1) + b"\n{}\n")
