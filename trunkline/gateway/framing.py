"""Cuts streams into their events: server-sent events, and JSON by the line. Bytes may end anywhere.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream and
https://github.com/ndjson/ndjson-spec
"""

from dataclasses import dataclass, field

LARGEST_EVENT = 8 * 2**20
"""Bytes of one event or line; a stream that sends more without an end is broken."""


class EventTooLarge(ValueError):
    """An event has no end within the bound."""


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event: its name, empty where it has none, its data, and its bytes as they came with the
    blank line that ends it. A comment has no data.
    """

    name: bytes
    data: bytes
    raw: bytes = field(repr=False)


class EventSplitter:
    """Splits a stream of server-sent events. Lines end in LF or CRLF (a lone CR ends none: nobody
    sends it, and it could not be told from half a CRLF).
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that end in these bytes. Raises `EventTooLarge`."""
        data = self._held + chunk if self._held else chunk
        events = []
        start = 0
        while True:
            end, width = _blank_line(data, start)
            if end < 0:
                break
            events.append(_event(data[start : end + width]))
            start = end + width
        self._held = data[start:]
        if len(self._held) > LARGEST_EVENT:
            raise EventTooLarge(f"an event of more than {LARGEST_EVENT // 2**20} MiB")
        return events

    def rest(self) -> bytes:
        """What came after the last event's end: an event that the stream cut off."""
        return self._held


class LineSplitter:
    """Splits a stream of lines; empty ones give nothing."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that end in these bytes, without their ends. Raises `EventTooLarge`."""
        lines = (self._held + chunk).split(b"\n")
        self._held = lines.pop()
        if len(self._held) > LARGEST_EVENT:
            raise EventTooLarge(f"a line of more than {LARGEST_EVENT // 2**20} MiB")
        return [stripped for line in lines if (stripped := line.strip())]

    def rest(self) -> bytes:
        """What came after the last line's end: a last line, which may go without one."""
        return self._held.strip()


def _blank_line(data: bytes, start: int) -> tuple[int, int]:
    """Where the first blank line's bytes begin, with the end of the line before, and their number;
    -1 where there is none.
    """
    plain = data.find(b"\n\n", start)
    mixed = data.find(b"\n\r\n", start, plain if plain >= 0 else len(data))
    if mixed >= 0:
        return mixed, 3
    return plain, 2


def _event(raw: bytes) -> ServerSentEvent:
    # As nearly all are: one line of data.
    if raw.startswith(b"data: ") and raw.find(b"\n") >= len(raw) - 3:
        return ServerSentEvent(b"", raw[6:].strip(), raw)
    name = b""
    data = []
    for line in raw.splitlines():
        field_name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field_name == b"data":
            data.append(value)
        elif field_name == b"event":
            name = value
    return ServerSentEvent(name, b"\n".join(data), raw)
