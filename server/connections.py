"""How many connections are open, and how long one may take over what it asks: bounds before any
request is known, so before anybody is let in.
"""

from collections import Counter
from dataclasses import dataclass, field

MOST_CONNECTIONS = 8_192
HEAD_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    """`head_seconds` is for all of a request's head to come, `keep_alive_seconds` for the next
    request to begin. None of `most_of_address` bounds no address.
    """

    head_seconds: float = HEAD_SECONDS
    keep_alive_seconds: float = KEEP_ALIVE_SECONDS
    most: int = MOST_CONNECTIONS
    most_of_address: int | None = None


@dataclass(slots=True)
class Connections:
    """Those that are open, sockets too. Touched by the event loop's thread only."""

    bounds: ConnectionBounds
    _open: int = 0
    _by_address: Counter[str] = field(default_factory=Counter)

    def enter(self, address: str) -> str | None:
        """Count one of this address; None where it is let in, or else why it is not. Either way it
        counts until `leave`.
        """
        self._open += 1
        bounds = self.bounds
        if bounds.most_of_address is not None:
            self._by_address[address] += 1
            if self._by_address[address] > bounds.most_of_address:
                return (
                    f"{bounds.most_of_address} connections of your address are open: close one "
                    "first"
                )
        if self._open > bounds.most:
            return f"{bounds.most} connections are open: come back in a moment"
        return None

    def leave(self, address: str) -> None:
        """It is closed."""
        self._open -= 1
        if self.bounds.most_of_address is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]
