"""`Retry-After`: seconds, or a date. https://www.rfc-editor.org/rfc/rfc9110#field.retry-after"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"\d{1,9}(\.\d{1,6})?", re.ASCII)
_MANY = re.compile(r"\d+", re.ASCII)
FOREVER_SECONDS = 1e9
"""What a number of more digits is taken for."""


def retry_after_seconds(said: str, now: datetime) -> float | None:
    """How long it asks to wait; None where it says nothing that can be read. Never below 0."""
    said = said.strip()
    if _SECONDS.fullmatch(said):
        return float(said)
    if _MANY.fullmatch(said):
        return FOREVER_SECONDS
    try:
        until = parsedate_to_datetime(said)
    except (ValueError, IndexError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max((until - now).total_seconds(), 0.0)
