"""What a simulated provider does: whose key it takes, what it lists, and how it fails."""

import hashlib
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    """A way to answer that isn't the right one."""

    NONE = "none"
    NO_CREDIT = "no_credit"
    FORBIDDEN = "forbidden"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    OVERLOADED = "overloaded"
    HANG = "hang"
    WEB_PAGE = "web_page"
    REDIRECT = "redirect"
    NOT_FOUND = "not_found"
    NOT_JSON = "not_json"
    OTHER_JSON = "other_json"
    CUT = "cut"
    HUGE = "huge"


@dataclass(slots=True)
class Behaviour:
    """Settable while the server runs. `api_key` is the only one it takes; None takes any."""

    models: tuple[str, ...] = ("simulated-large", "simulated-small")
    api_key: str | None = "simulated-key"
    fault: Fault = Fault.NONE
    # Models on a page, for the protocols that have pages.
    page_size: int = 1_000
    # The last that was asked, in order: method, path with its query, headers. Tests look at it;
    # a demo that runs for weeks must not grow by it.
    seen: deque[tuple[str, str, dict[str, str]]] = field(default_factory=lambda: deque(maxlen=200))
    seed: int = 1

    def tokens_for(self, model: str, prompt: str) -> tuple[int, int, int]:
        """Input, cached and output tokens of an answer: made up, and the same for the same ask."""
        digest = hashlib.sha256(f"{self.seed}:{model}:{prompt}".encode()).digest()
        input_tokens = 200 + int.from_bytes(digest[:2], "big") % 4_000
        return input_tokens, input_tokens * (digest[2] % 8) // 10, 20 + digest[3] * 4
