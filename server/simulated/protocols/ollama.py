"""Ollama's chat: lines of JSON. https://docs.ollama.com/api"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import orjson

from server.simulated.answer import Answer, Stop, ToolCall
from server.simulated.asked import (
    Asked,
    InvalidAsk,
    Message,
    read_content,
    read_functions,
    read_model,
    read_stop_words,
)
from server.simulated.faults import Fault
from server.simulated.json_values import Json, json_count, json_object, json_objects, json_text
from server.simulated.protocols.protocol import Failure, Frame, Page, Part, Prompt
from server.simulated.reaction import Reaction

_IMAGE_TOKENS = 576
_CREATED = "2026-01-01T00:00:00Z"
_TOKEN_NANOS = 10_000_000
_CONTEXT_TOKENS = 32_768
_ERRORS: dict[Fault, tuple[int, str]] = {
    Fault.STATUS: (500, "a simulated error"),
    Fault.INVALID: (400, "invalid request"),
    Fault.BAD_KEY: (401, "unauthorized"),
    Fault.NO_CREDIT: (402, "no credit is left"),
    Fault.FORBIDDEN: (403, "not allowed"),
    Fault.MODEL_NOT_FOUND: (404, "model '{model}' not found"),
    Fault.TOO_LONG: (400, "the input length exceeds the context length"),
    Fault.CONTENT_FILTER: (400, "blocked by the content filter"),
    Fault.RATE_LIMITED: (429, "too many concurrent requests"),
    Fault.SERVER_ERROR: (500, "llama runner process has terminated: exit status 2"),
    Fault.OVERLOADED: (503, "server busy, please try again. maximum pending requests exceeded"),
}
_BY_STATUS = {status: fault for fault, (status, _) in reversed(_ERRORS.items())}


class Ollama:
    """`POST /api/chat`, which streams unless told not to, `GET /api/tags`, `POST /api/show`."""

    name = "ollama"
    id_header: str | None = None
    stream_type = "application/x-ndjson"

    def key_of(self, headers: Mapping[str, str]) -> str | None:
        """A bearer, for servers behind a proxy."""
        return headers.get("authorization", "").removeprefix("Bearer ") or None

    def read(self, prompt: Prompt) -> Asked:
        """A chat."""
        body = prompt.body
        given = json_objects(body.get("messages"))
        model = body.get("model")
        if not isinstance(model, str) or not model:
            raise InvalidAsk("model is required")
        options = json_object(body.get("options"))
        most = options.get("num_predict")
        return Asked(
            model=read_model(model),
            messages=tuple(_message(one) for one in given),
            image_tokens=_IMAGE_TOKENS,
            stream=body.get("stream") is not False,
            # Negative means without a limit.
            most_tokens=json_count(most),
            stop_words=read_stop_words(options.get("stop")),
            tools=read_functions(body.get("tools")),
            schema=_schema(body.get("format")),
            reasoning=body.get("think") not in (None, False),
        )

    def whole(self, answer: Answer) -> Json:
        """One object."""
        message: Json = {"role": "assistant", "content": answer.text}
        if answer.reasoning:
            message["thinking"] = answer.thoughts
        if answer.calls:
            message["tool_calls"] = [_call(at, call) for at, call in enumerate(answer.calls)]
        return _line(answer, message) | _end(answer)

    def stream(self, answer: Answer) -> Iterator[Frame]:
        """A line a token; the last one has the counts."""

        def line(part: Part, **said: object) -> Frame:
            message: Json = {"role": "assistant", "content": "", **said}
            ended = _end(answer) if part is Part.FINISH else {"done": False}
            return Frame(part, orjson.dumps(_line(answer, message) | ended) + b"\n")

        for piece in answer.reasoning:
            yield line(Part.TOKEN, thinking=piece)
        for piece in answer.pieces:
            yield line(Part.TOKEN, content=piece)
        for at, call in enumerate(answer.calls):
            yield line(Part.TOKEN, tool_calls=[_call(at, call)])
        yield line(Part.FINISH)

    def ping(self) -> bytes:
        """It has none."""
        return b""

    def malformed(self) -> bytes:
        """A line that ends within a text."""
        return b'{"model": "simulated", "message": {"role": "assistant", "content": "br\n'

    def error_frame(self, message: str) -> bytes:
        """A line with an error."""
        return orjson.dumps({"error": message}) + b"\n"

    def failure(self, reaction: Reaction, model: str) -> Failure:
        """`{"error": "…"}`."""
        fault = reaction.fault
        if fault is Fault.STATUS:
            fault = _BY_STATUS.get(reaction.status or 500, fault)
        if reaction.status == 400 and reaction.fault is Fault.STATUS:
            fault = Fault.INVALID
        status, words = _ERRORS[fault]
        message = reaction.message or words.replace("{model}", model)
        return Failure(reaction.status or status, {"error": message})

    def models(self, page: Page) -> Json:
        """All on one page."""
        details = {"format": "gguf", "family": "simulated", "parameter_size": "1B"}
        return {
            "models": [
                {
                    "name": name,
                    "model": name,
                    "modified_at": _CREATED,
                    "size": 1,
                    "digest": "simulated",
                    "details": details,
                }
                for name in page.models
            ]
        }

    def shown(self) -> Json:
        """What `/api/show` says of any model."""
        return {
            "details": {"format": "gguf", "family": "simulated", "parameter_size": "1B"},
            "capabilities": ["completion", "tools"],
            "model_info": {
                "general.architecture": "simulated",
                "simulated.context_length": _CONTEXT_TOKENS,
            },
            "modified_at": _CREATED,
        }


def _line(answer: Answer, message: Json) -> Json:
    return {"model": answer.model, "created_at": _CREATED, "message": message}


def _end(answer: Answer) -> Json:
    usage = answer.usage
    prompt, output = usage.input_tokens, usage.output_tokens
    # Calls and refusals are words like any other here.
    ended: Json = {
        "done": True,
        "done_reason": "length" if answer.stop is Stop.LENGTH else "stop",
        "total_duration": (prompt + output) * _TOKEN_NANOS,
        "load_duration": _TOKEN_NANOS,
    }
    if answer.usage_told:
        ended |= {
            "prompt_eval_count": prompt,
            "prompt_eval_duration": prompt * _TOKEN_NANOS,
            "eval_count": output,
            "eval_duration": output * _TOKEN_NANOS,
        }
    return ended


def _call(at: int, call: ToolCall) -> Json:
    arguments = orjson.loads(call.arguments)
    return {
        "id": f"call_{call.id}",
        "function": {"index": at, "name": call.name, "arguments": arguments},
    }


def _message(given: Json) -> Message:
    role = json_text(given.get("role"))
    content = read_content(given.get("content"))
    images = given.get("images")
    counted = len(images) if isinstance(images, list) else 0
    return Message(
        role, replace(content, images=content.images + counted, tool_result=role == "tool")
    )


def _schema(given: object) -> Json | None:
    if given == "json":
        return {}
    return given if isinstance(given, dict) else None
