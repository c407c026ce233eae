"""Splits a stream of bytes into lines, whatever its pieces and however long a line.

A line ends with LF; a CR before it is white space to JSON. A line that is too long is thrown away
while it comes in, so that a stream without a single line end takes no more memory than one line.
"""

LONGEST_LINE = 64 * 1024
"""Bytes. The longest event that the checks let pass takes about a tenth."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class LineSplitter:
    """Feed it pieces, take lines; None stands for one that was too long."""

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._longest = longest
        # The line that has begun: its pieces and their length, or that it is too long already.
        self._begun: list[bytes] = []
        self._length = 0
        self._too_long = False
        self._at_start = True

    def feed(self, piece: bytes) -> list[bytes | None]:
        """The lines that end in this piece."""
        first, *others = piece.split(b"\n")
        self._go_on(first)
        if not others:
            return []
        lines = [self._line()]
        last = others.pop()
        lines += [line if len(line) <= self._longest else None for line in others]
        self._go_on(last)
        return lines

    def finish(self) -> list[bytes | None]:
        """The last line, where it has no line end."""
        return [self._line()] if self._length or self._too_long else []

    def _go_on(self, piece: bytes) -> None:
        self._length += len(piece)
        if self._length > self._longest + self._at_start * len(_BYTE_ORDER_MARK):
            self._too_long = True
            self._begun.clear()
        elif piece and not self._too_long:
            self._begun.append(piece)

    def _line(self) -> bytes | None:
        line = None if self._too_long else b"".join(self._begun)
        if self._at_start and line is not None:
            line = line.removeprefix(_BYTE_ORDER_MARK)
            if len(line) > self._longest:
                line = None
        self._at_start = self._too_long = False
        self._begun.clear()
        self._length = 0
        return line
