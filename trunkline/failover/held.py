"""Memory for answers that are held back until they are whole: bounded for each, and together."""

from trunkline.failover.outcomes import TooMuchHeld

LARGEST_ANSWER = 8 * 2**20
LARGEST_TOGETHER = 256 * 2**20
"""Bytes."""


class HeldMemory:
    """What all of a process's runs hold just now. Touched by the event loop's thread only."""

    def __init__(self, most: int = LARGEST_TOGETHER) -> None:
        self._most = most
        self.used = 0

    def take(self, size: int, held: int) -> None:
        """Hold `size` bytes more of an answer of which `held` are held. Raises `TooMuchHeld`."""
        if held + size > LARGEST_ANSWER:
            raise TooMuchHeld(alone=True)
        if self.used + size > self._most:
            raise TooMuchHeld(alone=False)
        self.used += size

    def give_back(self, size: int) -> None:
        """These are passed on, or dropped."""
        self.used -= size
