"""Gemini's v1beta. https://ai.google.dev/api/generate-content"""

from collections.abc import Iterator, Mapping

import orjson

from server.simulated.answer import Answer, Stop, ToolCall
from server.simulated.asked import (
    MOST_TOOLS,
    Asked,
    Choice,
    InvalidAsk,
    Message,
    Tool,
    read_content,
    read_model,
    read_stop_words,
)
from server.simulated.json_values import Json, json_count, json_object, json_objects, json_text
from server.simulated.protocols import google_errors
from server.simulated.protocols.protocol import Failure, Frame, Page, Part, Prompt
from server.simulated.reaction import Reaction

_IMAGE_TOKENS = 258
_MODES = {"ANY": Choice.REQUIRED, "NONE": Choice.NONE}
_FINISH = {
    Stop.WHOLE: "STOP",
    Stop.STOP_WORD: "STOP",
    Stop.LENGTH: "MAX_TOKENS",
    Stop.TOOL: "STOP",
    Stop.REFUSAL: "SAFETY",
    Stop.FILTERED: "SAFETY",
}


class Google:
    """`POST /v1beta/models/{model}:generateContent` and `:streamGenerateContent`."""

    name = "google"
    id_header: str | None = None
    stream_type = "text/event-stream"

    def key_of(self, headers: Mapping[str, str]) -> str | None:
        """`x-goog-api-key`; a key in the URL ends in logs and is none here."""
        return headers.get("x-goog-api-key")

    def read(self, prompt: Prompt) -> Asked:
        """A `GenerateContentRequest`; whether it streams, and how, is said by the URL."""
        body = prompt.body
        given = json_objects(body.get("contents"))
        if not given:
            raise InvalidAsk("* GenerateContentRequest.contents: contents is not specified")
        messages = [
            Message(json_text(one.get("role")) or "user", read_content(one.get("parts")))
            for one in given
        ]
        system = json_object(body.get("systemInstruction") or body.get("system_instruction"))
        if system:
            messages.insert(0, Message("system", read_content(system.get("parts"))))
        config = json_object(body.get("generationConfig") or body.get("generation_config"))
        calling = json_object(json_object(body.get("toolConfig")).get("functionCallingConfig"))
        allowed = calling.get("allowedFunctionNames")
        wanted = allowed[0] if isinstance(allowed, list) and allowed else None
        thinking = json_object(config.get("thinkingConfig"))
        return Asked(
            stream=prompt.path.endswith(":streamGenerateContent"),
            as_array=prompt.query.get("alt") != "sse",
            model=read_model(prompt.path_model),
            messages=tuple(messages),
            image_tokens=_IMAGE_TOKENS,
            most_tokens=json_count(config.get("maxOutputTokens")),
            stop_words=read_stop_words(config.get("stopSequences")),
            tools=_tools(body.get("tools")),
            tool_choice=_MODES.get(json_text(calling.get("mode")), Choice.AUTO),
            tool_wanted=json_text(wanted) or None,
            schema=_schema(config),
            reasoning=thinking.get("includeThoughts") is True
            or bool(json_count(thinking.get("thinkingBudget")))
            or bool(json_text(thinking.get("thinkingLevel"))),
        )

    def whole(self, answer: Answer) -> Json:
        """A `GenerateContentResponse`."""
        parts: list[Json] = [{"text": answer.thoughts, "thought": True}] if answer.reasoning else []
        if answer.pieces and answer.stop is not Stop.REFUSAL:
            parts.append({"text": answer.text})
        parts += [_function_call(call) for call in answer.calls]
        told = _usage(answer, len(answer.pieces)) if answer.usage_told else None
        return _response(answer, parts, told, _FINISH[answer.stop])

    def stream(self, answer: Answer) -> Iterator[Frame]:
        """Responses of a few parts each; the last one says why it ended."""
        frames = list(self._responses(answer))
        if not answer.asked.as_array:
            for part, response in frames:
                yield Frame(part, b"data: " + orjson.dumps(response) + b"\r\n\r\n")
            return
        for at, (part, response) in enumerate(frames):
            yield Frame(part, (b",\r\n" if at else b"[") + orjson.dumps(response))
        yield Frame(Part.DONE, b"]\n")

    def ping(self) -> bytes:
        """It has none of its own; every reader of server-sent events passes over a comment."""
        return b": simulated ping\r\n\r\n"

    def malformed(self) -> bytes:
        """JSON that ends within a text."""
        return b'data: {"candidates": [{"content": {"parts": [{"text": "br\r\n\r\n'

    def error_frame(self, message: str) -> bytes:
        """An error where a response would be."""
        body = google_errors.error(503, "UNAVAILABLE", message)
        return b"data: " + orjson.dumps(body) + b"\r\n\r\n"

    def failure(self, reaction: Reaction, model: str) -> Failure:
        """A `google.rpc.Status`."""
        return google_errors.failure(reaction, model)

    def models(self, page: Page) -> Json:
        """Pages by a token."""
        token = page.query.get("pageToken", "")
        begin = int(token) if token.isdecimal() and len(token) < 10 else 0
        end = begin + page.page_size
        more: Json = {"nextPageToken": str(end)} if end < len(page.models) else {}
        return {"models": [_model(name) for name in page.models[begin:end]]} | more

    def _responses(self, answer: Answer) -> Iterator[tuple[Part, Json]]:
        shown: list[tuple[int, Json]] = [
            (0, {"text": piece, "thought": True}) for piece in answer.reasoning
        ]
        if answer.stop is not Stop.REFUSAL:
            shown += [(1, {"text": piece}) for piece in answer.pieces]
        shown += [(len(call.pieces), _function_call(call)) for call in answer.calls]
        candidates = 0
        for tokens, part in shown:
            candidates += tokens
            told = _usage(answer, candidates) if answer.usage_told else None
            yield Part.TOKEN, _response(answer, [part], told)
        told = _usage(answer, None) if answer.usage_told else None
        yield Part.FINISH, _response(answer, [{"text": ""}], told, _FINISH[answer.stop])


def _model(name: str) -> Json:
    return {
        "name": f"models/{name}",
        "displayName": name.title(),
        "inputTokenLimit": 1_000_000,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }


def _response(answer: Answer, parts: list[Json], usage: Json | None, finish: str = "") -> Json:
    candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    if finish == "SAFETY":
        harm = {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH"}
        candidate["safetyRatings"] = [harm | {"blocked": True}]
    told: Json = {} if usage is None else {"usageMetadata": usage}
    names = {"modelVersion": answer.model, "responseId": answer.id}
    return {"candidates": [candidate]} | told | names


def _function_call(call: ToolCall) -> Json:
    return {"functionCall": {"name": call.name, "args": orjson.loads(call.arguments)}}


def _usage(answer: Answer, candidates: int | None) -> Json:
    usage = answer.usage
    if candidates is None or answer.calls:
        candidates = usage.output_tokens - usage.reasoning
    told: Json = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": candidates,
        "totalTokenCount": usage.input_tokens + candidates + usage.reasoning,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.input_tokens}],
    }
    if usage.cached:
        told["cachedContentTokenCount"] = usage.cached
    if usage.reasoning:
        told["thoughtsTokenCount"] = usage.reasoning
    return told


def _tools(given: object) -> tuple[Tool, ...]:
    declared = [
        one
        for tool in json_objects(given)[:MOST_TOOLS]
        for one in json_objects(
            tool.get("functionDeclarations") or tool.get("function_declarations")
        )[:MOST_TOOLS]
    ]
    return tuple(
        Tool(json_text(one["name"]), _parameters(one))
        for one in declared[:MOST_TOOLS]
        if json_text(one.get("name"))
    )


def _parameters(declared: Json) -> Json:
    return json_object(declared.get("parametersJsonSchema")) or json_object(
        declared.get("parameters")
    )


def _schema(config: Json) -> Json | None:
    if config.get("responseMimeType") != "application/json":
        return None
    return json_object(config.get("responseJsonSchema")) or json_object(
        config.get("responseSchema")
    )
