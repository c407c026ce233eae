"""Reads a whole answer in Anthropic's protocol, and why an answer ended."""

from collections.abc import Mapping

import orjson

from trunkline.gateway.answers import AnswerPart, ChatAnswer, FinishReason
from trunkline.gateway.conversation import Reasoning, Refusal, Text, ToolCall
from trunkline.gateway.cut_characters import without_halves
from trunkline.gateway.dialects.anthropic_errors import failure_in
from trunkline.gateway.dialects.anthropic_usage import UsageCounts
from trunkline.gateway.protocols import UnreadableAnswer

_FINISH: Mapping[str, FinishReason] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    # Only tools of Anthropic's own servers pause, and no chat of ours asks for them.
    "pause_turn": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.REFUSAL,
}


def finish_of(stop_reason: str | None, *, has_calls: bool) -> FinishReason:
    """Why it ended. A reason that isn't known, or none, is told by whether tools are asked for."""
    known = _FINISH.get(stop_reason) if stop_reason else None
    return known or (FinishReason.TOOL_CALLS if has_calls else FinishReason.STOP)


def explanation_in(message: Mapping[str, object]) -> str:
    """The words beside a refusal, in `stop_details`; empty where there are none."""
    details = message.get("stop_details")
    return text_in(details, "explanation") if isinstance(details, dict) else ""


def text_in(values: Mapping[str, object], name: str) -> str:
    """The text of this name; empty where there is none."""
    value = values.get(name)
    return value if isinstance(value, str) else ""


def read_message(body: bytes) -> tuple[dict[str, object], list[dict[str, object]]]:
    """A `message` and its content's blocks.

    Raises `UnreadableAnswer` where it is none, and `StreamFailed` where it is an error.
    """
    try:
        message: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        message = without_halves(body)
        if message is None:
            # Without its cause, which holds the answer's body.
            raise UnreadableAnswer("the answer is no JSON: check the provider's base URL") from None
    if not isinstance(message, dict):
        raise UnreadableAnswer("the answer is no JSON object: check the provider's base URL")
    if message.get("type") == "error":
        raise failure_in(message, body)
    content = message.get("content")
    if not isinstance(content, list) or not isinstance(message.get("stop_reason"), str):
        raise UnreadableAnswer(
            "the answer is no message of Anthropic's protocol, with content and a stop_reason: "
            "check the provider's kind and base URL"
        )
    if not all(isinstance(block, dict) for block in content):
        raise UnreadableAnswer("a content block of the answer is no object")
    return message, content


def read_answer(body: bytes) -> ChatAnswer:
    """The answer in the body of a 200. Blocks that aren't known say nothing.

    Raises `UnreadableAnswer`, and `StreamFailed` where it is an error.
    """
    message, content = read_message(body)
    parts = [part for block in content if (part := _part(block)) is not None]
    stop_reason = text_in(message, "stop_reason")
    if stop_reason == "refusal" and (explanation := explanation_in(message)):
        parts.append(Refusal(explanation))
    return ChatAnswer(
        parts=tuple(parts),
        finish=finish_of(stop_reason, has_calls=any(isinstance(one, ToolCall) for one in parts)),
        stop_sequence=text_in(message, "stop_sequence") or None,
        usage=UsageCounts().take(message.get("usage")),
    )


def _part(block: dict[str, object]) -> AnswerPart | None:
    match block:
        case {"type": "text", "text": str(text)}:
            return Text(text) if text else None
        case {"type": "thinking", "thinking": str(thought)}:
            signature = text_in(block, "signature") or None
            return Reasoning(thought, signature) if thought or signature else None
        case {"type": "redacted_thinking", "data": str(data)}:
            return Reasoning(redacted=data)
        case {"type": "tool_use", "id": str(call_id), "name": str(name), "input": dict(given)}:
            return ToolCall(call_id, name, arguments_text(given))
        case {"type": "text" | "thinking" | "redacted_thinking" | "tool_use" as kind}:
            raise UnreadableAnswer(f"a block of type {kind} in the answer lacks its content")
        case _:
            return None


def arguments_text(arguments: Mapping[str, object]) -> str:
    """The JSON text of a call's arguments. Raises `UnreadableAnswer`."""
    try:
        return orjson.dumps(arguments).decode()
    except orjson.JSONEncodeError:
        raise UnreadableAnswer("the arguments of a tool call are nested too deep") from None
