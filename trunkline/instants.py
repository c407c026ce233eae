"""Instants as text: RFC 3339 with an offset and at most six decimals, written in UTC with a Z."""

import re
from datetime import UTC, datetime
from functools import lru_cache

_INSTANT = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(\.\d{1,6})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)


class BadInstant(ValueError):
    """The text is no instant that can be taken; the message says what is."""


def parse_instant(text: str) -> datetime:
    """The instant in UTC. Raises `BadInstant`."""
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise BadInstant(
            "give an instant with its offset, such as 2026-11-23T14:05:00Z, "
            "with at most six decimals"
        )
    day, time, fraction, offset = match.groups()
    try:
        instant = datetime.fromisoformat(f"{day}T{time}{fraction or ''}{offset.upper()}")
        return instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadInstant(f"no calendar has the instant {text}") from error


@lru_cache(maxsize=4_096)  # Every group of a series has the same buckets.
def format_instant(instant: datetime) -> str:
    """The canonical text of an aware instant: `2026-11-23T14:05:00Z`, decimals where it has any."""
    if instant.tzinfo is not UTC:
        instant = instant.astimezone(UTC)
    text = instant.isoformat()[: -len("+00:00")]
    return f"{text.rstrip('0') if instant.microsecond else text}Z"
