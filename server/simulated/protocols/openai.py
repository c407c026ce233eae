"""OpenAI's chat completions, and whoever else speaks them.

https://platform.openai.com/docs/api-reference/chat
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from server.simulated.answer import Answer, Stop, ToolCall
from server.simulated.asked import (
    Asked,
    Choice,
    InvalidAsk,
    Message,
    read_content,
    read_functions,
    read_model,
    read_stop_words,
)
from server.simulated.json_values import Json, json_count, json_object, json_objects, json_text
from server.simulated.protocols import openai_errors
from server.simulated.protocols.protocol import Failure, Frame, Page, Part, Prompt, server_sent
from server.simulated.reaction import Reaction

# Fixed, so that the same request is answered alike.
_CREATED = 1_767_225_600
_IMAGE_TOKENS = 765
_CHOICES = {choice.value: choice for choice in Choice}
_FINISH = {
    Stop.WHOLE: "stop",
    Stop.STOP_WORD: "stop",
    Stop.LENGTH: "length",
    Stop.TOOL: "tool_calls",
    Stop.REFUSAL: "stop",
    Stop.FILTERED: "content_filter",
}


class OpenAI:
    """`POST /v1/chat/completions`, `GET /v1/models`."""

    name = "openai"
    id_header: str | None = "x-request-id"
    stream_type = "text/event-stream; charset=utf-8"

    def key_of(self, headers: Mapping[str, str]) -> str | None:
        """A bearer."""
        return headers.get("authorization", "").removeprefix("Bearer ") or None

    def read(self, prompt: Prompt) -> Asked:
        """A chat completion."""
        body = prompt.body
        model = read_model(body.get("model"))
        messages = json_objects(body.get("messages"))
        if not messages:
            raise InvalidAsk("Missing required parameter: 'messages'.", "messages")
        options = json_object(body.get("stream_options"))
        effort = body.get("reasoning_effort")
        most = json_count(body.get("max_completion_tokens"))
        return Asked(
            model=model,
            messages=tuple(_message(one) for one in messages),
            image_tokens=_IMAGE_TOKENS,
            stream=body.get("stream") is True,
            usage_in_stream=options.get("include_usage") is True,
            most_tokens=json_count(body.get("max_tokens")) if most is None else most,
            stop_words=read_stop_words(body.get("stop")),
            tools=read_functions(body.get("tools")),
            tool_choice=_choice(body.get("tool_choice")),
            tool_wanted=_tool_wanted(body.get("tool_choice")),
            parallel_tools=body.get("parallel_tool_calls") is not False,
            schema=_schema(json_object(body.get("response_format"))),
            reasoning=isinstance(effort, str) and effort != "none",
        )

    def whole(self, answer: Answer) -> Json:
        """A `chat.completion`."""
        message: Json = {
            "role": "assistant",
            "content": None if _silent(answer) else answer.text,
            "refusal": answer.text if answer.stop is Stop.REFUSAL else None,
            "annotations": [],
        }
        # Not OpenAI's: DeepSeek, vLLM and others tell what the model thought.
        if answer.reasoning and not answer.asked.reasoning:
            message["reasoning_content"] = answer.thoughts
        if answer.calls:
            message["tool_calls"] = [_call(call) for call in answer.calls]
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": _FINISH[answer.stop],
        }
        told = {"usage": _usage(answer)} if answer.usage_told else {}
        return _base(answer, "chat.completion") | {"choices": [choice]} | told

    def stream(self, answer: Answer) -> Iterator[Frame]:
        """Chunks, the usage where it is asked for, `[DONE]`."""
        base = _base(answer, "chat.completion.chunk")
        if answer.asked.usage_in_stream:
            base["usage"] = None

        def frame(part: Part, delta: Json, finish: str | None = None) -> Frame:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return Frame(part, server_sent(base | {"choices": [choice]}))

        content = None if _silent(answer) else ""
        yield frame(Part.OPENING, {"role": "assistant", "content": content, "refusal": None})
        if not answer.asked.reasoning:
            for piece in answer.reasoning:
                yield frame(Part.TOKEN, {"reasoning_content": piece})
        field = "refusal" if answer.stop is Stop.REFUSAL else "content"
        for piece in answer.pieces:
            yield frame(Part.TOKEN, {field: piece})
        for index, call in enumerate(answer.calls):
            begun = _call(call) | {"function": {"name": call.name, "arguments": ""}}
            yield frame(Part.BETWEEN, {"tool_calls": [{"index": index, **begun}]})
            for piece in call.pieces:
                more = {"index": index, "function": {"arguments": piece}}
                yield frame(Part.TOKEN, {"tool_calls": [more]})
        yield frame(Part.FINISH, {}, _FINISH[answer.stop])
        if answer.asked.usage_in_stream and answer.usage_told:
            told = base | {"choices": [], "usage": _usage(answer)}
            yield Frame(Part.USAGE, server_sent(told))
        yield Frame(Part.DONE, b"data: [DONE]\n\n")

    def ping(self) -> bytes:
        """A comment."""
        return b": simulated ping\n\n"

    def malformed(self) -> bytes:
        """JSON that ends within a text."""
        return b'data: {"id": "chatcmpl-simulated", "choices": [{"delta": {"content": "br\n\n'

    def error_frame(self, message: str) -> bytes:
        """An event with an error where a chunk would be."""
        return server_sent(openai_errors.error("server_error", message))

    def failure(self, reaction: Reaction, model: str) -> Failure:
        """An `error`."""
        return openai_errors.failure(reaction, model)

    def models(self, page: Page) -> Json:
        """All on one page."""
        return {
            "object": "list",
            "data": [
                {"id": name, "object": "model", "created": _CREATED, "owned_by": "simulated"}
                for name in page.models
            ],
        }


def _base(answer: Answer, kind: str) -> Json:
    return {
        "id": f"chatcmpl-{answer.id}",
        "object": kind,
        "created": _CREATED,
        "model": answer.model,
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    }


def _silent(answer: Answer) -> bool:
    """Whether there is no content beside a call or a refusal."""
    return bool(answer.calls) or answer.stop is Stop.REFUSAL


def _call(call: ToolCall) -> Json:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": f"call_{call.id}", "type": "function", "function": function}


def _usage(answer: Answer) -> Json:
    usage = answer.usage
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _message(given: Json) -> Message:
    role = json_text(given.get("role"))
    content = read_content(given.get("content"))
    if role == "tool":
        content = replace(content, tool_result=True)
    return Message(role, content)


def _choice(given: object) -> Choice:
    return _CHOICES.get(json_text(given), Choice.AUTO)


def _tool_wanted(given: object) -> str | None:
    return json_text(json_object(json_object(given).get("function")).get("name")) or None


def _schema(response_format: Json) -> Json | None:
    match response_format.get("type"):
        case "json_object":
            return {}
        case "json_schema":
            return json_object(json_object(response_format.get("json_schema")).get("schema"))
        case _:
            return None
