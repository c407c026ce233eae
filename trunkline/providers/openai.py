"""OpenAI's protocol, and whoever speaks it: `GET {base}/models`, one page, Bearer.

Errors: `{"error": {"code", "type", "message"}}`; https://platform.openai.com/docs/guides/error-codes
"""

from collections.abc import Sequence

from db.vocabulary import ConnectionTestStatus
from trunkline.providers.adapter import Connection, ListedModel, SecretHeaders
from trunkline.providers.answers import (
    MOST_MODELS,
    count_of,
    distinct,
    is_object,
    listed,
    named,
    read_json,
    unexpected,
    wire_name_of,
)
from trunkline.providers.failures import ErrorWords, class_of

_WORDS = ErrorWords(
    codes={
        "insufficient_quota": ConnectionTestStatus.NO_CREDIT,
        "billing_hard_limit_reached": ConnectionTestStatus.NO_CREDIT,
        "invalid_api_key": ConnectionTestStatus.INVALID_KEY,
        "account_deactivated": ConnectionTestStatus.FORBIDDEN,
        # Gemini's, who speaks this protocol too and answers a bad key with 400.
        "api_key_invalid": ConnectionTestStatus.INVALID_KEY,
    },
    # xAI's, who answers a bad key with 400 and no code of its own.
    phrases={"incorrect api key": ConnectionTestStatus.INVALID_KEY},
)


class OpenAIAdapter:
    """The base URL holds the version: `https://api.openai.com/v1`."""

    def root(self, base_url: str) -> str:
        """As given."""
        return base_url

    def headers(self, api_key: str | None) -> SecretHeaders:
        """Bearer, or nothing."""
        return SecretHeaders({"Authorization": f"Bearer {api_key}"} if api_key else {})

    def classify(self, http_status: int, body: bytes) -> ConnectionTestStatus:
        """By `error.code` and `error.type`, then by status."""
        return class_of(http_status, body, _WORDS)

    async def list_models(self, connection: Connection) -> Sequence[ListedModel]:
        """One page; some servers (Together among them) answer with the bare list."""
        answer = await connection.get("/models")
        page = read_json(answer, _WORDS)
        entries = page.get("data") if is_object(page) else page
        if entries is None and is_object(page) and page.get("object") == "list":
            entries = []  # Servers written in Go say null for an empty list.
        models = distinct(listed(answer, entries, _entry))
        if len(models) > MOST_MODELS:
            raise unexpected(answer, f"more than {MOST_MODELS:,} models are listed: too many")
        return models


def _entry(entry: dict[str, object]) -> ListedModel | None:
    wire_name = wire_name_of(entry.get("id"))
    if wire_name is None:
        return None
    model = ListedModel(
        wire_name,
        # Not OpenAI's own, but OpenRouter's, Groq's and vLLM's.
        context_window=count_of(entry.get("context_length"))
        or count_of(entry.get("context_window"))
        or count_of(entry.get("max_model_len")),
        max_output_tokens=count_of(entry.get("max_completion_tokens")),
    )
    return named(named(model, entry.get("display_name")), entry.get("name"))
