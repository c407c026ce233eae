"""Anthropic's protocol: `GET {base}/v1/models`, pages by `after_id`, key in `x-api-key`.

Errors: `{"type": "error", "error": {"type", "message"}}`; https://docs.anthropic.com/en/api/errors
"""

from collections.abc import Sequence
from urllib.parse import quote

from db.vocabulary import ConnectionTestStatus, ModelCapability
from trunkline.providers.adapter import Connection, ListedModel, SecretHeaders, without_suffix
from trunkline.providers.answers import (
    count_of,
    cursor_of,
    is_object,
    listed,
    named,
    read_object,
    read_pages,
    wire_name_of,
)
from trunkline.providers.failures import ErrorWords, class_of
from trunkline.providers.outgoing import Answer

_WORDS = ErrorWords(
    codes={
        # Comes within a `rate_limit_error`, so it is looked for first.
        "enforced_spend_limit_reached": ConnectionTestStatus.NO_CREDIT,
        "billing_error": ConnectionTestStatus.NO_CREDIT,
        "authentication_error": ConnectionTestStatus.INVALID_KEY,
        "permission_error": ConnectionTestStatus.FORBIDDEN,
        "rate_limit_error": ConnectionTestStatus.RATE_LIMITED,
        "overloaded_error": ConnectionTestStatus.UPSTREAM_ERROR,
    },
    # An `invalid_request_error` by its type.
    phrases={"credit balance": ConnectionTestStatus.NO_CREDIT},
)

# Capability objects of the listing, each `{"supported": bool}`, and what they are called here.
_CAPABILITIES = {
    "image_input": ModelCapability.VISION,
    "pdf_input": ModelCapability.PDF,
    "thinking": ModelCapability.REASONING,
    "structured_outputs": ModelCapability.STRUCTURED_OUTPUT,
}
_FIRST_PAGE = "/v1/models?limit=1000"


class AnthropicAdapter:
    """The base URL is the host's; a `/v1` that was copied along is dropped."""

    def root(self, base_url: str) -> str:
        """Without the version."""
        return without_suffix(base_url, "/v1")

    def headers(self, api_key: str | None) -> SecretHeaders:
        """Key and version of the protocol."""
        signed = {"x-api-key": api_key} if api_key else {}
        return SecretHeaders({"anthropic-version": "2023-06-01", **signed})

    def classify(self, http_status: int, body: bytes) -> ConnectionTestStatus:
        """By `error.type`, the words about credit, then by status."""
        return class_of(http_status, body, _WORDS)

    async def list_models(self, connection: Connection) -> Sequence[ListedModel]:
        """All pages, until `has_more` is false."""
        return await read_pages(connection, _FIRST_PAGE, _page)


def _page(answer: Answer, _number: int) -> tuple[list[ListedModel], str | None]:
    page = read_object(answer, _WORDS)
    models = listed(answer, page.get("data"), _entry)
    if page.get("has_more") is not True:
        return models, None
    cursor = cursor_of(answer, page.get("last_id"))
    return models, f"{_FIRST_PAGE}&after_id={quote(cursor, safe='')}"


def _entry(entry: dict[str, object]) -> ListedModel | None:
    wire_name = wire_name_of(entry.get("id"))
    if wire_name is None:
        return None
    model = ListedModel(
        wire_name,
        context_window=count_of(entry.get("max_input_tokens")),
        max_output_tokens=count_of(entry.get("max_tokens")),
        capabilities=_capabilities(entry.get("capabilities")),
    )
    return named(model, entry.get("display_name"))


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
