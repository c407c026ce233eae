"""Anthropic's counts of tokens, whose input leaves out what the cache gave or took.

https://platform.claude.com/docs/en/api/messages#response-usage
"""

from trunkline.gateway.answers import Usage

LARGEST_COUNT = 10**9
"""Tokens; no answer uses more, so a larger count says nothing."""

_NAMES = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
)


class UsageCounts:
    """What one answer's `usage` objects have said so far: each count is cumulative, and one that
    an object leaves out stays as it was.
    """

    __slots__ = ("_counts", "_thinking")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._thinking = 0

    def take(self, usage: object) -> Usage | None:
        """Everything said so far, with what this object says; None where nothing was said."""
        if isinstance(usage, dict):
            for name in _NAMES:
                count = _count(usage.get(name))
                if count is not None:
                    self._counts[name] = count
            details = usage.get("output_tokens_details")
            if isinstance(details, dict):
                thinking = _count(details.get("thinking_tokens"))
                self._thinking = self._thinking if thinking is None else thinking
        if not self._counts:
            return None
        cache_read = self._counts.get("cache_read_input_tokens", 0)
        cache_write = self._counts.get("cache_creation_input_tokens", 0)
        output = self._counts.get("output_tokens", 0)
        return Usage(
            input=self._counts.get("input_tokens", 0) + cache_read + cache_write,
            cache_read=cache_read,
            cache_write=cache_write,
            output=output,
            reasoning=min(self._thinking, output),
        )


def _count(value: object) -> int | None:
    # Not isinstance: true and false are no counts.
    return value if type(value) is int and 0 <= value <= LARGEST_COUNT else None
