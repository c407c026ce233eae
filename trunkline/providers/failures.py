"""What a failed answer says, and how to tell a person.

The status alone does not tell: a bad key is 400 at Gemini, no credit 429 at OpenAI and 400 at
Anthropic. So the body's codes are read first. No message quotes a body.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import orjson

from db.vocabulary import ConnectionTestStatus
from trunkline.providers.kinds import InvalidUrl, check_base_url
from trunkline.providers.outgoing import Answer

_CODE_FIELDS = frozenset({"code", "type", "status", "reason", "error_code"})
_MESSAGE_FIELDS = frozenset({"message", "error", "detail"})
_DEEPEST = 5
_WIDEST = 50

_MESSAGES = {
    ConnectionTestStatus.INVALID_KEY: "the provider does not know this API key: check that it was "
    "copied whole and is still active",
    ConnectionTestStatus.FORBIDDEN: "the API key may not list models: check its permissions, its "
    "project and where it may be used from",
    ConnectionTestStatus.NO_CREDIT: "the account has no credit left, or reached its spending "
    "limit: add credit with the provider",
    ConnectionTestStatus.RATE_LIMITED: "the provider asks to wait: try again in a minute",
    ConnectionTestStatus.TIMEOUT: "the provider says that it took too long itself: try again",
}


@dataclass(frozen=True, slots=True)
class ErrorWords:
    """What a protocol's errors say, in lower case; where several are there, the first counts.

    `codes` are whole values of a field that holds codes. `phrases` are parts of a message: for
    those who give no code.
    """

    codes: Mapping[str, ConnectionTestStatus]
    phrases: Mapping[str, ConnectionTestStatus] = field(default_factory=dict)


def class_of(http_status: int, body: bytes, words: ErrorWords) -> ConnectionTestStatus:
    """What an answer that isn't a success says: by its body, then by its status."""
    if 300 <= http_status < 400:
        return ConnectionTestStatus.UNEXPECTED_RESPONSE
    said = what_was_said(body)
    for code, status in words.codes.items():
        if code in said.codes:
            return status
    for phrase, status in words.phrases.items():
        if said.mentions((phrase,)):
            return status
    return _by_status(http_status)


@dataclass(frozen=True, slots=True)
class Said:
    """What an error's body says. Codes and messages are in lower case; `message` is the first as it
    came. `retry_delay` is Gemini's, such as "21s".
    """

    codes: frozenset[str] = frozenset()
    messages: tuple[str, ...] = ()
    message: str | None = None
    retry_delay: str | None = None

    def mentions(self, phrases: Iterable[str]) -> bool:
        """Whether a message has one of these in it."""
        return any(phrase in message for phrase in phrases for message in self.messages)


def what_was_said(body: bytes) -> Said:
    """Of any bytes; nothing where they are no JSON."""
    try:
        texts = list(_texts(orjson.loads(body), "", _DEEPEST))
    except orjson.JSONDecodeError:
        return Said()
    messages = [text for name, text in texts if name in _MESSAGE_FIELDS]
    return Said(
        frozenset(text.lower() for name, text in texts if name in _CODE_FIELDS),
        tuple(message.lower() for message in messages),
        next(iter(messages), None),
        next((text for name, text in texts if name == "retryDelay"), None),
    )


def message_of(status: ConnectionTestStatus, answer: Answer) -> str:
    """What went wrong and what to do, for a person."""
    if status is ConnectionTestStatus.UNEXPECTED_RESPONSE:
        return _unexpected(answer)
    said = _MESSAGES.get(
        status,
        f"the provider answered {answer.status}, a fault of its own: try again later, or look at "
        "its status page",
    )
    return f"{said}; a web page says so, so check the base URL too" if is_web_page(answer) else said


def is_web_page(answer: Answer) -> bool:
    """Whether the answer is made for a browser."""
    if "html" in answer.headers.get("content-type", "").lower():
        return True
    return answer.body[:200].lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _unexpected(answer: Answer) -> str:
    if 300 <= answer.status < 400:
        return (
            f"the answer is a redirect ({answer.status}) to {_destination(answer)}, which is not "
            "followed: give the final URL as base URL"
        )
    if is_web_page(answer):
        return (
            f"a web page answered ({answer.status}) instead of an API: check the base URL's host "
            "and path"
        )
    if answer.status == 404:
        return "nothing is found at this URL (404): check the base URL's path, and the kind"
    return f"the provider answered {answer.status} to a list of models: check base URL and kind"


def _destination(answer: Answer) -> str:
    """Where a redirect leads, by its origin alone: what follows may hold a secret."""
    location = answer.headers.get("location", "")
    try:
        parts = urlsplit(location)
        if parts.scheme and parts.hostname:
            host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
            port = f":{parts.port}" if parts.port else ""
            return check_base_url(f"{parts.scheme}://{host}{port}")
    except (ValueError, InvalidUrl):
        return "somewhere else"
    own = location.startswith("/") and not location.startswith("//")
    return "another path" if own else "somewhere else"


def _texts(value: object, name: str, depth: int) -> Iterator[tuple[str, str]]:
    """The texts in an error, each with the name of the field that holds it; within bounds."""
    if isinstance(value, str):
        yield name, value[:500]
    elif depth and isinstance(value, dict):
        for inner_name, inner in list(value.items())[:_WIDEST]:
            yield from _texts(inner, inner_name, depth - 1)
    elif depth and isinstance(value, list):
        for inner in value[:_WIDEST]:
            yield from _texts(inner, name, depth - 1)


def _by_status(http_status: int) -> ConnectionTestStatus:
    match http_status:
        case 401:
            return ConnectionTestStatus.INVALID_KEY
        case 402:
            return ConnectionTestStatus.NO_CREDIT
        case 403:
            return ConnectionTestStatus.FORBIDDEN
        case 429:
            return ConnectionTestStatus.RATE_LIMITED
        case 408 | 504:
            return ConnectionTestStatus.TIMEOUT
        case _ if http_status >= 500:
            return ConnectionTestStatus.UPSTREAM_ERROR
        case _:
            return ConnectionTestStatus.UNEXPECTED_RESPONSE
