"""How many connections are open, and how long one may take over what it asks: bounds before any
request is known, so before anybody is let in.
"""

from collections import Counter
from dataclasses import dataclass, field

from server.client_addresses import customer_of

MOST_CONNECTIONS = 8_192
HEAD_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 5.0
SEND_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    """`head_seconds` is for all of a request's head to come, `keep_alive_seconds` for the next
    request to begin. `send_seconds` is for the client to take anything at all of an answer that
    waits for it. None of `most_of_address` bounds no address; of IPv6 a network counts as one
    (`client_addresses.py`).
    """

    head_seconds: float = HEAD_SECONDS
    keep_alive_seconds: float = KEEP_ALIVE_SECONDS
    most: int = MOST_CONNECTIONS
    most_of_address: int | None = None
    send_seconds: float = SEND_SECONDS


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
            customer = customer_of(address)
            self._by_address[customer] += 1
            if self._by_address[customer] > bounds.most_of_address:
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
            customer = customer_of(address)
            self._by_address[customer] -= 1
            if not self._by_address[customer]:
                del self._by_address[customer]
