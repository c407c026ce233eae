"""Writes whole answers and errors in Anthropic's protocol.

https://platform.claude.com/docs/en/api/messages and https://platform.claude.com/docs/en/api/errors
"""

from collections.abc import Mapping

import orjson

from trunkline.gateway.answers import AnswerHead, AnswerPart, ChatAnswer, FinishReason, Usage
from trunkline.gateway.conversation import Reasoning, Refusal, Text, ToolCall
from trunkline.gateway.dialects.anthropic_call_ids import call_id_for
from trunkline.gateway.faces.anthropic_fields import Json
from trunkline.gateway.protocols import CallerError

_STOP_REASONS: Mapping[FinishReason, str] = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "refusal",
    FinishReason.REFUSAL: "refusal",
}
_ERROR_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def written(value: object) -> bytes:
    """Its JSON. Lone halves of surrogate pairs, which JSON's bytes can't hold, become `?`."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return orjson.dumps(_mended(value))


def stop_reason_of(reason: FinishReason, stop_sequence: str | None) -> str:
    """`stop_reason` for why it ended."""
    if reason is FinishReason.STOP and stop_sequence is not None:
        return "stop_sequence"
    return _STOP_REASONS[reason]


def usage_json(usage: Usage | None) -> Json:
    """`usage`, which counts what the cache gave and took beside the input."""
    usage = usage or Usage()
    counts: Json = {
        "input_tokens": max(usage.input - usage.cache_read - usage.cache_write, 0),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
    }
    if usage.reasoning:
        counts["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return counts


def message_json(head: AnswerHead, content: list[Json], usage: Usage | None) -> Json:
    """A `message` that hasn't ended yet."""
    return {
        "id": head.id,
        "type": "message",
        "role": "assistant",
        "model": head.model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage_json(usage),
    }


def write_answer(answer: ChatAnswer, head: AnswerHead) -> bytes:
    """A `message`. Arguments that are no JSON object stand as `{"INVALID_JSON": text}`."""
    content = [block for part in answer.parts if (block := _block(part)) is not None]
    message = message_json(head, content, answer.usage)
    message["stop_reason"] = stop_reason_of(answer.finish, answer.stop_sequence)
    message["stop_sequence"] = answer.stop_sequence
    return written(message)


def write_error(error: CallerError) -> bytes:
    """An `error`: the place in its message, as Anthropic writes it, and the code as a detail."""
    message = error.message
    if error.param and not message.startswith(error.param):
        message = f"{error.param}: {message}"
    default = "invalid_request_error" if error.status < 500 else "api_error"
    told: Json = {"type": _ERROR_TYPES.get(error.status, default), "message": message}
    if error.code:
        told["details"] = {"error_code": error.code}
    return written({"type": "error", "error": told})


def _block(part: AnswerPart) -> Json | None:
    match part:
        case Text(text) | Refusal(text):
            return {"type": "text", "text": text} if text else None
        case Reasoning(redacted=str(data)):
            return {"type": "redacted_thinking", "data": data}
        case Reasoning(text, signature):
            if not text and not signature:
                return None
            return {"type": "thinking", "thinking": text, "signature": signature or ""}
        case ToolCall():
            return {
                "type": "tool_use",
                "id": call_id_for(part.id),
                "name": part.name,
                "input": _arguments(part.arguments),
            }


def _arguments(text: str) -> Json:
    if not text.strip():
        return {}
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError:
        given = None
    return given if isinstance(given, dict) and _is_writable(given) else {"INVALID_JSON": text}


def _is_writable(given: Json) -> bool:
    """Whether it is nested no deeper than it can be written, in a block of a message."""
    try:
        orjson.dumps([[[given]]])
    except orjson.JSONEncodeError:
        return False
    return True


def _mended(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_mended(name): _mended(one) for name, one in value.items()}
    return [_mended(one) for one in value] if isinstance(value, list) else value
