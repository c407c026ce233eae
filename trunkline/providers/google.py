"""Gemini's protocol: `GET {base}/v1beta/models`, pages by `pageToken`, key in `x-goog-api-key`.

Never `?key=`, which ends in logs. Errors: `{"error": {"code", "status", "details"}}`;
https://ai.google.dev/gemini-api/docs/troubleshooting
"""

from collections.abc import Sequence
from urllib.parse import quote

from db.vocabulary import ConnectionTestStatus, ModelCapability
from trunkline.providers.adapter import (
    MOST_PAGES,
    Connection,
    ListedModel,
    SecretHeaders,
    count_of,
    distinct,
    listed,
    read_object,
    text_of,
    without_suffix,
    words_of,
)

_CODES = {
    "api_key_invalid": ConnectionTestStatus.INVALID_KEY,
    "api key not valid": ConnectionTestStatus.INVALID_KEY,
    "api_key_expired": ConnectionTestStatus.INVALID_KEY,
    "unauthenticated": ConnectionTestStatus.INVALID_KEY,
    "permission_denied": ConnectionTestStatus.FORBIDDEN,
    "billing": ConnectionTestStatus.NO_CREDIT,
}


class GoogleAdapter:
    """The base URL is the host's; a `/v1beta` that was copied along is dropped."""

    def root(self, base_url: str) -> str:
        """Without the version."""
        return without_suffix(base_url, "/v1beta", "/v1")

    def headers(self, api_key: str | None) -> SecretHeaders:
        """The key."""
        return SecretHeaders({"x-goog-api-key": api_key} if api_key else {})

    async def list_models(self, connection: Connection) -> Sequence[ListedModel]:
        """All pages, until there is no token or one repeats."""
        models: list[ListedModel] = []
        seen: set[str] = set()
        path = "/v1beta/models?pageSize=1000"
        for _ in range(MOST_PAGES):
            answer = await connection.get(path)
            page = read_object(answer, _CODES)
            models += listed(answer, page.get("models"), _entry)
            token = page.get("nextPageToken")
            if not isinstance(token, str) or not token or token in seen:
                break
            seen.add(token)
            path = f"/v1beta/models?pageSize=1000&pageToken={quote(token, safe='')}"
        return distinct(models)


def _entry(entry: dict[str, object]) -> ListedModel | None:
    full_name = text_of(entry.get("name"))
    wire_name = full_name.removeprefix("models/") if full_name else None
    if not wire_name:
        return None
    return ListedModel(
        wire_name,
        name=text_of(entry.get("displayName")),
        context_window=count_of(entry.get("inputTokenLimit")),
        max_output_tokens=count_of(entry.get("outputTokenLimit")),
        capabilities=_capabilities(entry),
    )


def _capabilities(entry: dict[str, object]) -> frozenset[ModelCapability] | None:
    """Embedding models have none but that; of the others the listing says too little to know."""
    methods = words_of(entry.get("supportedGenerationMethods"))
    if "embedContent" in methods and "generateContent" not in methods:
        return frozenset({ModelCapability.EMBEDDINGS})
    return None
