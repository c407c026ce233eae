"""Slows down whoever tries tokens: so many wrong ones of an address in a minute, then 429.

A valid token is let in from any address, whatever was tried from there, so nobody can lock out
those behind the same proxy. Guessing 256 bits is hopeless anyway: this spares store and log.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from starlette.requests import HTTPConnection

from server.answers import Rejected
from server.client_addresses import customer_of
from trunkline.clock import Clock

MOST_WRONG = 30
WINDOW = timedelta(minutes=1)
MOST_ADDRESSES = 4_096
"""That are remembered; of more, the one that began first is forgotten."""


@dataclass(slots=True)
class _Tried:
    began_at: datetime
    count: int = 0


class WrongTokens:
    """Counts them. Touched by the event loop's thread only."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # In the order in which their windows began.
        self._tried: OrderedDict[str, _Tried] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tried)

    def note(self, connection: HTTPConnection) -> None:
        """Count a wrong token of this connection's address. Raises `Rejected` (429) where it is one
        too many.
        """
        address = _address(connection)
        now = self._clock()
        tried = self._tried.get(address)
        if tried is None or not timedelta() <= now - tried.began_at < WINDOW:
            self._tried.pop(address, None)
            tried = self._tried[address] = _Tried(now)
            if len(self._tried) > MOST_ADDRESSES:
                self._tried.popitem(last=False)
        tried.count += 1
        if tried.count > MOST_WRONG:
            seconds = max(1, math.ceil((tried.began_at + WINDOW - now).total_seconds()))
            raise Rejected(
                429,
                f"too many wrong tokens came from your address: try again in {seconds} s",
                headers={"Retry-After": str(seconds)},
            )


def _address(connection: HTTPConnection) -> str:
    return customer_of(connection.client.host if connection.client is not None else "")
