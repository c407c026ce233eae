"""Cuts streams into their events: server-sent events, and JSON by the line. Bytes may end anywhere.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream and
https://github.com/ndjson/ndjson-spec
"""

from typing import NamedTuple

LARGEST_EVENT = 8 * 2**20
"""Bytes of one event or line; a stream that sends more without an end is broken."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_ENDS = (b"\n", b"\r\n")


class EventTooLarge(ValueError):
    """An event has no end within the bound."""


class ServerSentEvent(NamedTuple):
    """One event: its name, empty where it has none, its data, and its bytes as they came with the
    blank line that ends it. A comment has no data.
    """

    # A tuple, as one is made for every token of every stream.
    name: bytes
    data: bytes
    raw: bytes

    def __repr__(self) -> str:
        return f"ServerSentEvent(name={self.name!r}, data={self.data!r})"


class EventSplitter:
    """Splits a stream of server-sent events. Lines end in LF or CRLF (a lone CR ends none: nobody
    sends it, and it could not be told from half a CRLF).
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that end in these bytes. Raises `EventTooLarge`."""
        data = chunk
        searched = 0
        if self._held:
            # No blank line lies in what is held; at most its first two bytes do. Only what is new
            # is searched, or else a large event in tiny chunks would take quadratic time.
            searched = max(0, len(self._held) - 2)
            self._held += chunk
            if _after_blank_line(self._held, searched) < 0:
                _check_size(len(self._held))
                return []
            data = bytes(self._held)
            self._held.clear()
        if b"\r" in data:
            raws, rest = _split_at_blank_lines(data, searched)
        else:
            # As nearly all are, and this takes half of the time.
            *parts, rest = data.split(b"\n\n")
            raws = [part + b"\n\n" for part in parts]
        self._held += rest
        if len(data) > LARGEST_EVENT:
            _check_size(max(len(rest), *map(len, raws), 0))
        return [_event(raw) for raw in raws]

    def rest(self) -> bytes:
        """What came after the last event's end: an event that the stream cut off."""
        return bytes(self._held)


class LineSplitter:
    """Splits a stream of lines; empty ones give nothing."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that end in these bytes, without their ends. Raises `EventTooLarge`."""
        if b"\n" not in chunk:
            self._held += chunk
            _check_size(len(self._held))
            return []
        lines = chunk.split(b"\n")
        if self._held:
            lines[0] = bytes(self._held) + lines[0]
            self._held.clear()
        for line in lines:
            _check_size(len(line))
        self._held += lines.pop()
        return [stripped for line in lines if (stripped := line.strip())]

    def rest(self) -> bytes:
        """What came after the last line's end: a last line, which may go without one."""
        return bytes(self._held).strip()


def _check_size(size: int) -> None:
    if size > LARGEST_EVENT:
        raise EventTooLarge(f"an event of more than {LARGEST_EVENT // 2**20} MiB")


def _split_at_blank_lines(data: bytes, searched: int) -> tuple[list[bytes], bytes]:
    """The events, each with its blank line, and what comes after the last. No blank line ends
    before `searched`.
    """
    raws = []
    start = 0
    while (end := _after_blank_line(data, searched)) >= 0:
        raws.append(data[start:end])
        start = searched = end
    return raws, data[start:]


def _after_blank_line(data: bytes | bytearray, start: int) -> int:
    """Where the first blank line from `start` on ends, with the end of the line before it; -1 where
    there is none.
    """
    at = data.find(b"\n", start)
    while at >= 0:
        if data.startswith(_LINE_ENDS, at + 1):
            return at + 2 if data[at + 1] == 0x0A else at + 3
        at = data.find(b"\n", at + 1)
    return -1


def _event(raw: bytes) -> ServerSentEvent:
    # As nearly all are: one line of data, or a name and one line of data.
    if raw.startswith(b"data: ") and raw.find(b"\n") == len(raw) - 2:
        return ServerSentEvent(b"", raw[6:-2].removesuffix(b"\r"), raw)
    if raw.startswith(b"event: "):
        first, _, second = raw.partition(b"\n")
        if second.startswith(b"data: ") and second.find(b"\n") == len(second) - 2:
            data = second[6:-2].removesuffix(b"\r")
            return ServerSentEvent(first[7:].removesuffix(b"\r"), data, raw)
    name = b""
    lines = []
    for line in raw.removeprefix(_BYTE_ORDER_MARK).split(b"\n"):
        field_name, _, value = line.removesuffix(b"\r").partition(b":")
        if field_name == b"data":
            lines.append(value.removeprefix(b" "))
        elif field_name == b"event":
            name = value.removeprefix(b" ")
    return ServerSentEvent(name, b"\n".join(lines), raw)
