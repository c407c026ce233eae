"""What class of failure an answer or an error of a provider is: by the body's codes first, as the
status alone does not tell.

A bad key is 400 at Gemini, no credit 429 at OpenAI, a prompt that is too long 400 everywhere. What
is told of it is in our own words; the provider's go to the caller of a request that the provider
refused for what it is, and to nobody else.
"""

from collections.abc import Mapping
from datetime import datetime

from db.vocabulary import ConnectionTestStatus, ProviderKind
from trunkline.failover.classes import AttemptFailure, FailureClass, Scope
from trunkline.providers.connection import ADAPTERS
from trunkline.providers.failures import Said, what_was_said
from trunkline.providers.outgoing_errors import (
    AddressRefused,
    ConnectTimedOut,
    HeaderRefused,
    OutgoingError,
    TimedOut,
    TlsFailed,
)
from trunkline.retry_after import retry_after_seconds

MOST_BODY_BYTES = 64 * 1024
"""Of a failed answer; what follows is not read."""
_LONGEST_WORDS = 500
_STEP: Scope = "step"
_PROVIDER: Scope = "provider"

_TOO_LONG_CODES = frozenset(
    {"context_length_exceeded", "string_above_max_length", "request_too_large"}
)
_TOO_LONG_PHRASES = (
    "prompt is too long",
    "maximum context length",
    "maximum prompt length",
    "exceeds the context length",
    "exceeds the maximum number of tokens",
    "exceed context limit",
    "exceeds the available context size",
    "context window",
)
_REJECTED_CODES = frozenset(
    {
        "content_filter", "content_policy_violation", "moderation_blocked", "safety",
        "responsibleaipolicyviolation", "prohibited_content", "blocked_reason_safety",
    }
)  # fmt: skip
_REJECTED_PHRASES = (
    "content filter",
    "content management policy",
    "safety system",
)
_MODEL_CODES = frozenset({"model_not_found"})

_UNAVAILABLE = {
    ConnectionTestStatus.INVALID_KEY: "the provider does not know its API key",
    ConnectionTestStatus.FORBIDDEN: "the API key may not do this",
    ConnectionTestStatus.NO_CREDIT: "the account has no credit left, or reached its limit",
}


def failed_answer(
    kind: ProviderKind, status: int, headers: Mapping[str, str], body: bytes, now: datetime
) -> AttemptFailure:
    """The failure that this answer tells of. `headers` have lower-case names; of the body the
    beginning is enough.
    """
    said = what_was_said(body)
    failure_class, scope, reason = _class_of(kind, status, body, said)
    refused = failure_class in {FailureClass.REJECTED, FailureClass.INVALID}
    return AttemptFailure(
        failure_class,
        status,
        _wait_seconds(headers, said, now),
        reason,
        _words(said) if refused else None,
        scope,
    )


def failed_request(error: OutgoingError) -> AttemptFailure:
    """The failure that an error on the way is. Its text holds no key, and says what to do."""
    failure_class, scope = FailureClass.TRANSIENT, _STEP
    if isinstance(error, TimedOut | ConnectTimedOut):
        failure_class = FailureClass.TIMEOUT
    elif isinstance(error, AddressRefused | HeaderRefused | TlsFailed):
        # It is configured so: asking again soon changes nothing.
        failure_class, scope = FailureClass.UNAVAILABLE, _PROVIDER
    return AttemptFailure(failure_class, error.http_status, None, str(error), scope=scope)


def _class_of(
    kind: ProviderKind, status: int, body: bytes, said: Said
) -> tuple[FailureClass, Scope, str]:
    if 300 <= status < 400:
        return FailureClass.UNAVAILABLE, "step", f"a redirect ({status}), which is not followed"
    if 400 <= status < 500:
        if said.codes & _REJECTED_CODES or said.mentions(_REJECTED_PHRASES):
            return FailureClass.REJECTED, "step", "the provider's filter refused the content"
        if status == 413 or said.codes & _TOO_LONG_CODES or said.mentions(_TOO_LONG_PHRASES):
            return FailureClass.TOO_LONG, "step", "the prompt doesn't fit the model"
        if said.codes & _MODEL_CODES:
            return FailureClass.UNAVAILABLE, "model", "the provider has no such model"
    found = ADAPTERS[kind].classify(status, body)
    if found in _UNAVAILABLE:
        return FailureClass.UNAVAILABLE, "provider", _UNAVAILABLE[found]
    if found is ConnectionTestStatus.RATE_LIMITED:
        return FailureClass.RATE_LIMITED, "step", "the provider asks to wait"
    if found is not ConnectionTestStatus.UNEXPECTED_RESPONSE or status in {409, 425}:
        return FailureClass.TRANSIENT, "step", f"the provider answered {status}"
    if status == 404:
        return FailureClass.UNAVAILABLE, "model", "the provider has no such model"
    if 400 <= status < 500:
        return FailureClass.INVALID, "step", f"the provider refused the request ({status})"
    return FailureClass.TRANSIENT, "step", f"the provider answered {status}, which is no answer"


def _wait_seconds(headers: Mapping[str, str], said: Said, now: datetime) -> float | None:
    milliseconds = headers.get("retry-after-ms", "").strip()
    if milliseconds.isascii() and milliseconds.isdecimal() and len(milliseconds) <= 12:
        return int(milliseconds) / 1_000
    if "retry-after" in headers:
        return retry_after_seconds(headers["retry-after"], now)
    # Gemini's `google.rpc.RetryInfo`, such as "21s".
    if said.retry_delay is not None and said.retry_delay.endswith("s"):
        return retry_after_seconds(said.retry_delay[:-1], now)
    return None


def _words(said: Said) -> str | None:
    """The provider's message in one line that can be printed."""
    if said.message is None:
        return None
    text = " ".join(said.message[:_LONGEST_WORDS].split())
    return "".join(sign if sign.isprintable() else "�" for sign in text) or None
