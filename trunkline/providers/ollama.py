"""Ollama's protocol: `GET {base}/api/tags`, then `POST {base}/api/show` for what a model can do.

Errors: `{"error": "…"}`; https://docs.ollama.com/api
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import orjson

from db.vocabulary import ConnectionTestStatus, ModelCapability
from trunkline.providers.adapter import (
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
    words_of,
)
from trunkline.providers.outgoing import OutgoingError

_CODES = {"unauthorized": ConnectionTestStatus.INVALID_KEY}
_CAPABILITIES = {
    "tools": ModelCapability.TOOLS,
    "vision": ModelCapability.VISION,
    "thinking": ModelCapability.REASONING,
    "embedding": ModelCapability.EMBEDDINGS,
    "audio": ModelCapability.AUDIO,
}
_SHOWN_AT_ONCE = 8
# Beyond this many the list is taken without details, so that it stays within its time.
_MOST_SHOWN = 200


class OllamaAdapter:
    """The base URL is the host's; `/v1` or `/api` that was copied along is dropped."""

    def root(self, base_url: str) -> str:
        """Without a path of one of its APIs."""
        return without_suffix(base_url, "/v1", "/api")

    def headers(self, api_key: str | None) -> SecretHeaders:
        """Bearer for servers behind a proxy, else nothing."""
        return SecretHeaders({"Authorization": f"Bearer {api_key}"} if api_key else {})

    async def list_models(self, connection: Connection) -> Sequence[ListedModel]:
        """What is installed, with details where they can be had."""
        answer = await connection.get("/api/tags")
        page = read_object(answer, _CODES)
        models = distinct(listed(answer, page.get("models"), _entry))
        places = asyncio.Semaphore(_SHOWN_AT_ONCE)

        async def detailed(model: ListedModel) -> ListedModel:
            async with places:
                return await _detailed(connection, model)

        details = await asyncio.gather(*(detailed(model) for model in models[:_MOST_SHOWN]))
        return [*details, *models[_MOST_SHOWN:]]


def _entry(entry: dict[str, object]) -> ListedModel | None:
    wire_name = text_of(entry.get("model")) or text_of(entry.get("name"))
    return None if wire_name is None else ListedModel(wire_name)


async def _detailed(connection: Connection, model: ListedModel) -> ListedModel:
    """The model with what `/api/show` says; as it was where that says nothing."""
    try:
        answer = await connection.post("/api/show", {"model": model.wire_name})
        shown = orjson.loads(answer.body)
    except (OutgoingError, orjson.JSONDecodeError):
        return model
    if answer.status != 200 or not is_object(shown):
        return model
    capabilities = shown.get("capabilities")
    words = words_of(capabilities)
    info = shown.get("model_info")
    windows = (
        [count_of(value) for name, value in info.items() if name.endswith(".context_length")]
        if is_object(info)
        else []
    )
    return replace(
        model,
        context_window=next((window for window in windows if window is not None), None),
        capabilities=frozenset(_CAPABILITIES[word] for word in words if word in _CAPABILITIES)
        if isinstance(capabilities, list)
        else None,
    )
