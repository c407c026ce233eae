"""Which path speaks which protocol, and what isn't a prompt: lists and embeddings."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from server.simulated.asked import InvalidAsk, read_content, read_model
from server.simulated.behaviour import Behaviour
from server.simulated.embedding import dimensions_of, packed, texts_of, tokens_of, vectors_of
from server.simulated.exchange import Endpoint, Exchange, Handler
from server.simulated.faults import Fault
from server.simulated.json_values import Json, json_object, json_objects
from server.simulated.protocols.anthropic import Anthropic
from server.simulated.protocols.google import Google
from server.simulated.protocols.ollama import Ollama
from server.simulated.protocols.openai import OpenAI
from server.simulated.protocols.protocol import Page, Protocol
from server.simulated.reaction import Reaction

_OPENAI, _ANTHROPIC, _GOOGLE, _OLLAMA = OpenAI(), Anthropic(), Google(), Ollama()
_OPENAI_DIMENSIONS = 1_536
_GOOGLE_DIMENSIONS = 768
_OLLAMA_DIMENSIONS = 384
_USAGE = ("usage", "prompt_eval_count")
"""Where answers with vectors tell what was counted."""


def provider_routes(behaviour: Behaviour) -> list[BaseRoute]:
    """Every path of the four protocols."""

    def get(path: str, protocol: Protocol, handle: Handler) -> Route:
        return Route(path, Endpoint(behaviour, lambda _: protocol, handle), methods=["GET"])

    def post(path: str, protocol: Protocol, handle: Handler) -> Route:
        return Route(path, Endpoint(behaviour, lambda _: protocol, handle), methods=["POST"])

    gemini = "/v1beta/models/{model}"
    return [
        Route("/v1/models", Endpoint(behaviour, _openai_or_anthropic, _list), methods=["GET"]),
        post("/v1/chat/completions", _OPENAI, Exchange.generate),
        post("/v1/embeddings", _OPENAI, _embed_openai),
        post("/v1/messages", _ANTHROPIC, Exchange.generate),
        get("/v1beta/models", _GOOGLE, _list),
        post(f"{gemini}:generateContent", _GOOGLE, Exchange.generate),
        post(f"{gemini}:streamGenerateContent", _GOOGLE, Exchange.generate),
        post(f"{gemini}:embedContent", _GOOGLE, _embed_google),
        post(f"{gemini}:batchEmbedContents", _GOOGLE, _embed_google),
        get("/api/tags", _OLLAMA, _list),
        post("/api/show", _OLLAMA, _show),
        post("/api/chat", _OLLAMA, Exchange.generate),
        post("/api/embed", _OLLAMA, _embed_ollama),
    ]


def _openai_or_anthropic(request: Request) -> Protocol:
    """Both list on the same path; the version header tells them apart."""
    return _ANTHROPIC if "anthropic-version" in request.headers else _OPENAI


async def _list(exchange: Exchange) -> None:
    reaction = await exchange.react(None)
    if reaction is not None:
        behaviour = exchange.behaviour
        page = Page(behaviour.models, behaviour.page_size, exchange.request.query_params)
        await exchange.send(exchange.protocol.models(page), reaction)


async def _show(exchange: Exchange) -> None:
    reaction = await exchange.react(None)
    if reaction is not None:
        await exchange.send(_OLLAMA.shown(), reaction)


async def _embed_openai(exchange: Exchange) -> None:
    def embedded(body: Json) -> Json:
        model, texts = read_model(body.get("model")), texts_of(body.get("input"), "input")
        vectors = vectors_of(texts, dimensions_of(body.get("dimensions"), _OPENAI_DIMENSIONS))
        # Its own SDK asks for base64, which is smaller.
        small = body.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": at, "embedding": packed(one) if small else one}
            for at, one in enumerate(vectors)
        ]
        tokens = tokens_of(texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": model, "usage": usage}

    await _embed(exchange, embedded)


async def _embed_google(exchange: Exchange) -> None:
    def embedded(body: Json) -> Json:
        several = exchange.path.endswith(":batchEmbedContents")
        asked = json_objects(body.get("requests")) if several else [body]
        if not all("content" in one for one in asked):
            raise InvalidAsk("* EmbedContentRequest.content: contents is not specified")
        texts = [read_content(json_object(one.get("content")).get("parts")).text for one in asked]
        wanted = asked[0].get("outputDimensionality") if asked else None
        dimensions = dimensions_of(wanted, _GOOGLE_DIMENSIONS)
        vectors = vectors_of(texts_of(texts, "content"), dimensions)
        values = [{"values": vector} for vector in vectors]
        return {"embeddings": values} if several else {"embedding": values[0]}

    await _embed(exchange, embedded)


async def _embed_ollama(exchange: Exchange) -> None:
    def embedded(body: Json) -> Json:
        model, texts = read_model(body.get("model")), texts_of(body.get("input"), "input")
        vectors = vectors_of(texts, dimensions_of(body.get("dimensions"), _OLLAMA_DIMENSIONS))
        return {
            "model": model,
            "embeddings": vectors,
            "total_duration": 14_000_000,
            "load_duration": 1_000_000,
            "prompt_eval_count": tokens_of(texts),
        }

    await _embed(exchange, embedded)


async def _embed(exchange: Exchange, embedded: Callable[[Json], Json]) -> None:
    """Answer with what this makes of the body."""
    try:
        body = exchange.body()
    except InvalidAsk:
        body = {}
    model = exchange.request.path_params.get("model") or body.get("model")
    reaction = await exchange.react(model if isinstance(model, str) else "")
    if reaction is None:
        return
    try:
        content = embedded(exchange.body())
    except InvalidAsk as error:
        await exchange.refuse(Reaction(fault=Fault.INVALID, message=str(error)))
        return
    if not reaction.content.usage_told:
        content = {name: value for name, value in content.items() if name not in _USAGE}
    await exchange.send(content, reaction)
