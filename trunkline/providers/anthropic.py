"""Anthropic's protocol: `GET {base}/v1/models`, pages by `after_id`, key in `x-api-key`.

Errors: `{"type": "error", "error": {"type", "message"}}`; https://docs.anthropic.com/en/api/errors
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
    is_object,
    listed,
    read_object,
    text_of,
    without_suffix,
)

_CODES = {
    "authentication_error": ConnectionTestStatus.INVALID_KEY,
    "billing_error": ConnectionTestStatus.NO_CREDIT,
    "credit balance": ConnectionTestStatus.NO_CREDIT,
    "enforced_spend_limit_reached": ConnectionTestStatus.NO_CREDIT,
    "permission_error": ConnectionTestStatus.FORBIDDEN,
    "overloaded_error": ConnectionTestStatus.UPSTREAM_ERROR,
}

# Capability objects of the listing, each `{"supported": bool}`, and what they are called here.
_CAPABILITIES = {
    "image_input": ModelCapability.VISION,
    "pdf_input": ModelCapability.PDF,
    "thinking": ModelCapability.REASONING,
    "structured_outputs": ModelCapability.STRUCTURED_OUTPUT,
}


class AnthropicAdapter:
    """The base URL is the host's; a `/v1` that was copied along is dropped."""

    def root(self, base_url: str) -> str:
        """Without the version."""
        return without_suffix(base_url, "/v1")

    def headers(self, api_key: str | None) -> SecretHeaders:
        """Key and version of the protocol."""
        signed = {"x-api-key": api_key} if api_key else {}
        return SecretHeaders({"anthropic-version": "2023-06-01", **signed})

    async def list_models(self, connection: Connection) -> Sequence[ListedModel]:
        """All pages, until `has_more` is false or a cursor repeats."""
        models: list[ListedModel] = []
        seen: set[str] = set()
        path = "/v1/models?limit=1000"
        for _ in range(MOST_PAGES):
            answer = await connection.get(path)
            page = read_object(answer, _CODES)
            models += listed(answer, page.get("data"), _entry)
            last = page.get("last_id")
            if page.get("has_more") is not True or not isinstance(last, str) or last in seen:
                break
            seen.add(last)
            path = f"/v1/models?limit=1000&after_id={quote(last, safe='')}"
        return distinct(models)


def _entry(entry: dict[str, object]) -> ListedModel | None:
    wire_name = text_of(entry.get("id"))
    if wire_name is None:
        return None
    return ListedModel(
        wire_name,
        name=text_of(entry.get("display_name")),
        context_window=count_of(entry.get("max_input_tokens")),
        max_output_tokens=count_of(entry.get("max_tokens")),
        capabilities=_capabilities(entry.get("capabilities")),
    )


def _capabilities(value: object) -> frozenset[ModelCapability] | None:
    if not is_object(value):
        return None
    found = {
        capability
        for name, capability in _CAPABILITIES.items()
        if is_object(detail := value.get(name)) and detail.get("supported") is True
    }
    # Every model of this API takes tools and caches prompts; the listing doesn't say so.
    return frozenset(found | {ModelCapability.TOOLS, ModelCapability.PROMPT_CACHING})
