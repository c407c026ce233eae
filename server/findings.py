"""What a check found: a line for a person, with what to do where something is wrong."""

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """How bad it is. A server works with what is WARN, for now."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check. `advice` says what to do, and is empty where there is nothing to do."""

    check: str
    health: Health
    message: str
    advice: str = ""


def good(check: str, message: str) -> Finding:
    """Nothing to do."""
    return Finding(check, Health.OK, message)


def doubtful(check: str, message: str, advice: str) -> Finding:
    """Works, for now."""
    return Finding(check, Health.WARN, message, advice)


def bad(check: str, message: str, advice: str) -> Finding:
    """Doesn't work."""
    return Finding(check, Health.FAIL, message, advice)
