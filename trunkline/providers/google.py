"""Gemini's protocol: `GET {base}/v1beta/models`, pages by `pageToken`, key in `x-goog-api-key`.

Never `?key=`, which ends in logs. Errors: `{"error": {"code", "status", "details"}}`;
https://ai.google.dev/gemini-api/docs/troubleshooting
"""

from collections.abc import Sequence
from urllib.parse import quote

from db.vocabulary import ConnectionTestStatus, ModelCapability
from trunkline.providers.adapter import Connection, ListedModel, SecretHeaders, without_suffix
from trunkline.providers.answers import (
    count_of,
    cursor_of,
    listed,
    named,
    read_object,
    read_pages,
    wire_name_of,
    words_of,
)
from trunkline.providers.failures import ErrorWords, class_of
from trunkline.providers.outgoing import Answer

_WORDS = ErrorWords(
    codes={
        "api_key_invalid": ConnectionTestStatus.INVALID_KEY,
        "api_key_expired": ConnectionTestStatus.INVALID_KEY,
        "billing_disabled": ConnectionTestStatus.NO_CREDIT,
        "unauthenticated": ConnectionTestStatus.INVALID_KEY,
        "permission_denied": ConnectionTestStatus.FORBIDDEN,
    },
    # "billing" alone tells nothing: the message of a plain rate limit says "check your plan and
    # billing details".
    phrases={
        "api key not valid": ConnectionTestStatus.INVALID_KEY,
        "api key expired": ConnectionTestStatus.INVALID_KEY,
        "credits are depleted": ConnectionTestStatus.NO_CREDIT,
    },
)
_FIRST_PAGE = "/v1beta/models?pageSize=1000"


class GoogleAdapter:
    """The base URL is the host's; a `/v1beta` that was copied along is dropped."""

    def root(self, base_url: str) -> str:
        """Without the version."""
        return without_suffix(base_url, "/v1beta", "/v1")

    def headers(self, api_key: str | None) -> SecretHeaders:
        """The key."""
        return SecretHeaders({"x-goog-api-key": api_key} if api_key else {})

    def classify(self, http_status: int, body: bytes) -> ConnectionTestStatus:
        """By `details[].reason` and `error.status`, then by status."""
        return class_of(http_status, body, _WORDS)

    async def list_models(self, connection: Connection) -> Sequence[ListedModel]:
        """All pages, until there is no token."""
        return await read_pages(connection, _FIRST_PAGE, _page)


def _page(answer: Answer, number: int) -> tuple[list[ListedModel], str | None]:
    page = read_object(answer, _WORDS)
    # An empty list is left out of this protocol's JSON; on the first page that would be any object.
    models = listed(answer, page.get("models", [] if number else None), _entry)
    token = page.get("nextPageToken")
    if token is None or token == "":
        return models, None
    return models, f"{_FIRST_PAGE}&pageToken={quote(cursor_of(answer, token), safe='')}"


def _entry(entry: dict[str, object]) -> ListedModel | None:
    full_name = entry.get("name")
    if not isinstance(full_name, str):
        return None
    wire_name = wire_name_of(full_name.removeprefix("models/"))
    if wire_name is None:
        return None
    model = ListedModel(
        wire_name,
        context_window=count_of(entry.get("inputTokenLimit")),
        max_output_tokens=count_of(entry.get("outputTokenLimit")),
        capabilities=_capabilities(entry),
    )
    return named(model, entry.get("displayName"))


def _capabilities(entry: dict[str, object]) -> frozenset[ModelCapability] | None:
    """Embedding models have none but that; of the others the listing says too little to know."""
    methods = words_of(entry.get("supportedGenerationMethods"))
    if "embedContent" in methods and "generateContent" not in methods:
        return frozenset({ModelCapability.EMBEDDINGS})
    return None
