"""A stream of one protocol as a stream of another: read into our own words, and written."""

from collections.abc import Sequence

from trunkline.gateway.answers import AnswerEvent, Usage, UsageSeen, is_token, said_length
from trunkline.gateway.protocols import StreamReader, StreamWriter


class TranslatedStream:
    """A `PassingStream` that doesn't pass."""

    __slots__ = ("_reader", "_writer", "begun", "said", "usage")

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.begun = False
        self.said = 0
        self.usage: Usage | None = None

    @property
    def done(self) -> bool:
        """Whether the provider's last word was read."""
        return self._reader.done

    def feed(self, chunk: bytes) -> bytes:
        """What these bytes of the provider are to the caller. Raises `StreamFailed`."""
        events = self._reader.feed(chunk)
        if not events:
            return b""
        self._note(events)
        return self._writer.write(events)

    def end(self) -> bytes:
        """The last bytes to the caller. Raises `StreamCut`."""
        events = self._reader.end()
        self._note(events)
        return self._writer.write(events) + self._writer.end()

    def _note(self, events: Sequence[AnswerEvent]) -> None:
        for event in events:
            if isinstance(event, UsageSeen):
                self.usage = event.usage
            elif not self.begun and is_token(event):
                self.begun = True
        self.said += said_length(events)
