"""Ollama's protocol: `GET {base}/api/tags`, then `POST {base}/api/show` for what a model can do.

Errors: `{"error": "…"}`; https://docs.ollama.com/api
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import orjson

from db.vocabulary import ConnectionTestStatus, ModelCapability
from trunkline.providers.adapter import Connection, ListedModel, SecretHeaders, without_suffix
from trunkline.providers.answers import (
    MOST_MODELS,
    count_of,
    distinct,
    is_object,
    listed,
    read_object,
    unexpected,
    wire_name_of,
    words_of,
)
from trunkline.providers.failures import ErrorWords, class_of
from trunkline.providers.outgoing_errors import OutgoingError

_WORDS = ErrorWords(codes={}, phrases={"unauthorized": ConnectionTestStatus.INVALID_KEY})
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
# Of the time that is left after the list: details are welcome, the list is what was asked for.
_SHARE_FOR_DETAILS = 0.8


class OllamaAdapter:
    """The base URL is the host's; `/v1` or `/api` that was copied along is dropped."""

    def root(self, base_url: str) -> str:
        """Without a path of one of its APIs."""
        return without_suffix(base_url, "/v1", "/api")

    def headers(self, api_key: str | None) -> SecretHeaders:
        """Bearer for servers behind a proxy, else nothing."""
        return SecretHeaders({"Authorization": f"Bearer {api_key}"} if api_key else {})

    def classify(self, http_status: int, body: bytes) -> ConnectionTestStatus:
        """By status: errors have no codes."""
        return class_of(http_status, body, _WORDS)

    async def list_models(self, connection: Connection) -> Sequence[ListedModel]:
        """What is installed, with details where they can be had in time."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        answer = await connection.get("/api/tags")
        page = read_object(answer, _WORDS)
        models = distinct(listed(answer, page.get("models"), _entry))
        if len(models) > MOST_MODELS:
            raise unexpected(answer, f"more than {MOST_MODELS:,} models are listed: too many")
        seconds_left = connection.timeout_seconds - (loop.time() - began)
        details = await _details(
            connection, models[:_MOST_SHOWN], seconds_left * _SHARE_FOR_DETAILS
        )
        return [details.get(model.wire_name, model) for model in models]


def _entry(entry: dict[str, object]) -> ListedModel | None:
    wire_name = wire_name_of(entry.get("model")) or wire_name_of(entry.get("name"))
    return None if wire_name is None else ListedModel(wire_name)


async def _details(
    connection: Connection, models: Sequence[ListedModel], timeout_seconds: float
) -> dict[str, ListedModel]:
    """By wire name, the models whose details came in time."""
    places = asyncio.Semaphore(_SHOWN_AT_ONCE)
    known: dict[str, ListedModel] = {}

    async def ask(model: ListedModel) -> None:
        async with places:
            known[model.wire_name] = await _detailed(connection, model)

    try:
        async with asyncio.timeout(timeout_seconds), asyncio.TaskGroup() as asking:
            for model in models:
                asking.create_task(ask(model))
    except TimeoutError:
        pass  # What came until now is what is known.
    return known


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
    known = {_CAPABILITIES[word] for word in words_of(capabilities) if word in _CAPABILITIES}
    return replace(
        model,
        context_window=_context_window(shown.get("model_info")),
        capabilities=frozenset(known) if isinstance(capabilities, list) else None,
    )


def _context_window(info: object) -> int | None:
    """Kept under the name of the model's architecture: `llama.context_length`."""
    if not is_object(info):
        return None
    own = count_of(info.get(f"{info.get('general.architecture')}.context_length"))
    named = (count_of(info[name]) for name in info if name.endswith(".context_length"))
    return own or next((window for window in named if window is not None), None)
