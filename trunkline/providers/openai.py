"""OpenAI's protocol, and whoever speaks it: `GET {base}/models`, one page, Bearer.

Errors: `{"error": {"code", "type", "message"}}`; https://platform.openai.com/docs/guides/error-codes
"""

from collections.abc import Sequence

from db.vocabulary import ConnectionTestStatus
from trunkline.providers.adapter import (
    Connection,
    ListedModel,
    SecretHeaders,
    count_of,
    distinct,
    listed,
    read_object,
    text_of,
)

_CODES = {
    "insufficient_quota": ConnectionTestStatus.NO_CREDIT,
    "billing_hard_limit_reached": ConnectionTestStatus.NO_CREDIT,
    "invalid_api_key": ConnectionTestStatus.INVALID_KEY,
    "incorrect api key": ConnectionTestStatus.INVALID_KEY,
    "account_deactivated": ConnectionTestStatus.FORBIDDEN,
}


class OpenAIAdapter:
    """The base URL holds the version: `https://api.openai.com/v1`."""

    def root(self, base_url: str) -> str:
        """As given."""
        return base_url

    def headers(self, api_key: str | None) -> SecretHeaders:
        """Bearer, or nothing."""
        return SecretHeaders({"Authorization": f"Bearer {api_key}"} if api_key else {})

    async def list_models(self, connection: Connection) -> Sequence[ListedModel]:
        """One page; some servers (Together among them) answer with the bare list."""
        answer = await connection.get("/models")
        bare = answer.status == 200 and answer.body.lstrip()[:1] == b"["
        page = read_object(answer, _CODES) if not bare else _wrapped(answer.body)
        return distinct(listed(answer, page.get("data"), _entry))


def _wrapped(body: bytes) -> dict[str, object]:
    import orjson

    try:
        return {"data": orjson.loads(body)}
    except orjson.JSONDecodeError:
        return {}


def _entry(entry: dict[str, object]) -> ListedModel | None:
    wire_name = text_of(entry.get("id"))
    if wire_name is None:
        return None
    return ListedModel(
        wire_name,
        name=text_of(entry.get("name")) or text_of(entry.get("display_name")),
        # Not OpenAI's own, but OpenRouter's, Groq's and vLLM's.
        context_window=count_of(entry.get("context_length"))
        or count_of(entry.get("context_window"))
        or count_of(entry.get("max_model_len")),
        max_output_tokens=count_of(entry.get("max_completion_tokens")),
    )
