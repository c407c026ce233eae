"""What every protocol's adapter offers, and what they share in reading answers.

An answer is hostile until read: any JSON type may stand anywhere in it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeGuard

import orjson

from db.vocabulary import ConnectionTestStatus, ModelCapability, ProviderKind
from trunkline.changes import unstorable_character
from trunkline.errors import TrunklineError
from trunkline.providers.outgoing import Answer, Outgoing

LONGEST_WIRE_NAME = 200
MOST_PAGES = 50
MOST_MODELS = 10_000
_LARGEST_COUNT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model as its provider lists it; None where the listing doesn't say."""

    wire_name: str
    name: str | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    capabilities: frozenset[ModelCapability] | None = None


class AnswerRefused(TrunklineError):
    """The provider answered, but not with its models."""

    def __init__(self, status: ConnectionTestStatus, http_status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.http_status = http_status
        self.message = message


@dataclass(frozen=True, slots=True)
class Connection:
    """Where and as whom an adapter asks. Its repr holds no key."""

    outgoing: Outgoing
    kind: ProviderKind
    base_url: str
    headers: "SecretHeaders"
    timeout_seconds: float
    on_sent: Callable[[], None]

    async def get(self, path: str) -> Answer:
        """GET below the base URL."""
        return await self._request("GET", path, None)

    async def post(self, path: str, body: object) -> Answer:
        """POST JSON below the base URL."""
        return await self._request("POST", path, body)

    async def _request(self, method: str, path: str, body: object) -> Answer:
        return await self.outgoing.request(
            self.kind,
            method,
            self.base_url + path,
            headers={"Accept": "application/json", **self.headers},
            json=body,
            timeout_seconds=self.timeout_seconds,
            on_sent=self.on_sent,
        )


class SecretHeaders(dict[str, str]):
    """Headers with a key in them, which no repr shows."""

    def __repr__(self) -> str:
        return f"SecretHeaders({sorted(self)})"


class Adapter(Protocol):
    """One protocol."""

    def root(self, base_url: str) -> str:
        """The URL below which the protocol's paths lie, for a base URL as people give it."""

    def headers(self, api_key: str | None) -> SecretHeaders:
        """What signs a request."""

    async def list_models(self, connection: Connection) -> Sequence[ListedModel]:
        """Every model that the provider lists, over all pages.

        Raises `AnswerRefused` or one of the `OutgoingError`s.
        """


def without_suffix(base_url: str, *suffixes: str) -> str:
    """The URL without a version path that people copy along."""
    for suffix in suffixes:
        base_url = base_url.removesuffix(suffix)
    return base_url


def read_object(
    answer: Answer, known_codes: Mapping[str, ConnectionTestStatus]
) -> dict[str, object]:
    """The JSON object of a good answer. Raises `AnswerRefused`, classed by body, then by status.

    `known_codes` are words in an error's body that tell more than its status.
    """
    parsed = _parsed(answer.body)
    if 200 <= answer.status < 300:
        if is_object(parsed):
            return parsed
        raise AnswerRefused(
            ConnectionTestStatus.UNEXPECTED_RESPONSE, answer.status, _not_json(answer)
        )
    status = _by_body(parsed, known_codes) or _by_status(answer.status)
    raise AnswerRefused(status, answer.status, _message(status, answer))


def listed(answer: Answer, entries: object, read: "ReadEntry") -> list[ListedModel]:
    """The models in a page's list. Raises `AnswerRefused` where it is none.

    Entries that can't be used (no name, an unstorable or endless one) are left out.
    """
    if not isinstance(entries, list):
        raise AnswerRefused(
            ConnectionTestStatus.UNEXPECTED_RESPONSE,
            answer.status,
            "the answer is JSON but no list of models: check the base URL and the kind",
        )
    models = (read(entry) for entry in entries if is_object(entry))
    return [model for model in models if model is not None]


class ReadEntry(Protocol):
    """Reads one entry of a list of models; None where it names none."""

    def __call__(self, entry: dict[str, object], /) -> ListedModel | None: ...


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    """Whether a JSON value is an object."""
    return isinstance(value, dict)


def text_of(value: object, *, longest: int = LONGEST_WIRE_NAME) -> str | None:
    """A JSON value as a storable name, or None where it is none."""
    if not isinstance(value, str) or not value.strip() or len(value) > longest:
        return None
    return None if unstorable_character(value) or "\n" in value else value.strip()


def count_of(value: object) -> int | None:
    """A JSON value as a positive count, or None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 < value <= _LARGEST_COUNT else None


def words_of(value: object) -> frozenset[str]:
    """The strings in a JSON list."""
    return (
        frozenset(one for one in value if isinstance(one, str))
        if isinstance(value, list)
        else frozenset()
    )


def distinct(models: Iterable[ListedModel]) -> list[ListedModel]:
    """The first of each wire name, bounded."""
    by_name: dict[str, ListedModel] = {}
    for model in models:
        by_name.setdefault(model.wire_name, model)
    return list(by_name.values())[:MOST_MODELS]


def _parsed(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _by_body(
    parsed: object, known_codes: Mapping[str, ConnectionTestStatus]
) -> ConnectionTestStatus | None:
    """Look for known words among the error's codes, then in its message. Bounded in depth."""
    words: list[str] = []

    def gather(value: object, depth: int) -> None:
        if isinstance(value, str):
            words.append(value[:500].lower())
        elif depth and isinstance(value, dict):
            for inner in list(value.values())[:50]:
                gather(inner, depth - 1)
        elif depth and isinstance(value, list):
            for inner in value[:50]:
                gather(inner, depth - 1)

    gather(parsed, 5)
    for code, status in known_codes.items():
        if any(code in word for word in words):
            return status
    return None


def _by_status(status: int) -> ConnectionTestStatus:
    match status:
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
        case _ if status >= 500:
            return ConnectionTestStatus.UPSTREAM_ERROR
        case _:
            return ConnectionTestStatus.UNEXPECTED_RESPONSE


def _message(status: ConnectionTestStatus, answer: Answer) -> str:
    if status is not ConnectionTestStatus.UNEXPECTED_RESPONSE:
        return {
            ConnectionTestStatus.INVALID_KEY: "the provider does not know this API key: "
            "check that it was copied whole and is still active",
            ConnectionTestStatus.FORBIDDEN: "the API key may not list models: check its "
            "permissions, its project and where it may be used from",
            ConnectionTestStatus.NO_CREDIT: "the account has no credit left, or reached its "
            "spending limit: add credit with the provider",
            ConnectionTestStatus.RATE_LIMITED: "the provider asks to wait: try again in a minute",
            ConnectionTestStatus.TIMEOUT: "the provider says that it took too long: try again",
            ConnectionTestStatus.UPSTREAM_ERROR: f"the provider answered {answer.status}, a fault "
            "of its own: try again later, or look at its status page",
        }[status]
    if 300 <= answer.status < 400:
        return (
            f"the answer is a redirect ({answer.status}), which is not followed: "
            "give the final URL as base URL"
        )
    if answer.status == 404:
        return "nothing is found at this URL (404): check the base URL's path, and the kind"
    if _is_web_page(answer):
        return _not_json(answer)
    return f"the provider answered {answer.status} to a list of models: check base URL and kind"


def _not_json(answer: Answer) -> str:
    if _is_web_page(answer):
        return "a web page answered instead of an API: check the base URL"
    return "the answer is no JSON object: check the base URL and the kind"


def _is_web_page(answer: Answer) -> bool:
    if "html" in answer.headers.get("content-type", ""):
        return True
    return answer.body[:200].lstrip().lower().startswith((b"<!doctype html", b"<html"))
