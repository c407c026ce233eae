"""What a long command says on stderr: how far it is, and what it comes across.

On a terminal that is one line, written over; elsewhere, such as in a log, a line now and then.
"""

import sys
import time
from collections.abc import Callable
from typing import TextIO

_OVER_SECONDS = 0.2
_ANEW_SECONDS = 10.0
_CLEAR = "\r\x1b[K"


class Progress:
    """Touched by one thread only."""

    def __init__(
        self, stream: TextIO | None = None, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._timer = timer
        self._clear = _CLEAR if self._stream.isatty() else ""
        self._begun = self._shown_at = timer()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self._timer() - self._begun

    def show(self, text: str) -> None:
        """How far it is, unless that was said just before."""
        now = self._timer()
        if now - self._shown_at >= (_OVER_SECONDS if self._clear else _ANEW_SECONDS):
            self._shown_at = now
            self._write(f"{self._clear}{text}" if self._clear else f"{text}\n")

    def note(self, text: str) -> None:
        """Say this on a line of its own, which stays."""
        self._write(f"{self._clear}{text}\n")

    def clear(self) -> None:
        """Take the line away."""
        self._write(self._clear)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
