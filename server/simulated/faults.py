"""The ways to answer that aren't the right one."""

from enum import StrEnum


class Fault(StrEnum):
    """What goes wrong with a request."""

    NONE = "none"

    # An error in the protocol's own words.
    STATUS = "status"
    INVALID = "invalid"
    BAD_KEY = "bad_key"
    NO_CREDIT = "no_credit"
    FORBIDDEN = "forbidden"
    MODEL_NOT_FOUND = "model_not_found"
    TOO_LONG = "too_long"
    CONTENT_FILTER = "content_filter"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    OVERLOADED = "overloaded"

    # Not an answer of this API at all.
    WEB_PAGE = "web_page"
    REDIRECT = "redirect"
    NOT_FOUND = "not_found"
    NOT_JSON = "not_json"
    OTHER_JSON = "other_json"
    HUGE = "huge"
    EMPTY = "empty"

    # No answer.
    HANG = "hang"
    RESET = "reset"

    # An answer that goes wrong on its way. Whole answers break in the middle, streams after
    # `Reaction.after_tokens`.
    CUT = "cut"
    RESET_WITHIN = "reset_within"
    STALL = "stall"
    MALFORMED = "malformed"
    ERROR_WITHIN = "error_within"
    END_EARLY = "end_early"
    NO_FINISH = "no_finish"
    NO_DONE = "no_done"
    WRONG_CONTENT_TYPE = "wrong_content_type"
    SLOW_BYTES = "slow_bytes"


ERRORS = frozenset(
    {
        Fault.STATUS,
        Fault.INVALID,
        Fault.BAD_KEY,
        Fault.NO_CREDIT,
        Fault.FORBIDDEN,
        Fault.MODEL_NOT_FOUND,
        Fault.TOO_LONG,
        Fault.CONTENT_FILTER,
        Fault.RATE_LIMITED,
        Fault.SERVER_ERROR,
        Fault.OVERLOADED,
    }
)
"""Told as an error in each protocol's own shape."""

WITHIN = frozenset(
    {
        Fault.CUT,
        Fault.RESET_WITHIN,
        Fault.STALL,
        Fault.MALFORMED,
        Fault.ERROR_WITHIN,
        Fault.END_EARLY,
    }
)
"""Happen within a stream, after a number of tokens."""
