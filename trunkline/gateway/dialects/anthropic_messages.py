"""Turns of a chat as Anthropic's messages, which it takes in a narrow form:

turns of one side that follow each other are one message; results of tools stand first in the
message after the calls; a text that is empty or blank is refused, so it is left out.
https://platform.claude.com/docs/en/agents-and-tools/tool-use/handle-tool-calls
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from trunkline.gateway.conversation import (
    Image,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from trunkline.gateway.dialects.anthropic_call_ids import call_id_for
from trunkline.gateway.protocols import CannotSay

Block = dict[str, object]


@dataclass(slots=True)
class Message:
    """One message, as it grows."""

    role: Role
    results: list[Block] = field(default_factory=list)
    others: list[Block] = field(default_factory=list)

    def json(self) -> Block:
        """As it is sent."""
        return {"role": self.role, "content": self.results + self.others}


def messages_of(turns: Sequence[Turn]) -> list[Message]:
    """The messages of these turns. Raises `CannotSay`."""
    messages: list[Message] = []
    for turn in turns:
        goes_on = bool(messages) and messages[-1].role is turn.role
        message = messages[-1] if goes_on else Message(turn.role)
        for part in turn.parts:
            block = _user_block(part) if turn.role is Role.USER else _assistant_block(part)
            if block is not None:
                blocks = message.results if isinstance(part, ToolResult) else message.others
                blocks.append(block)
        if not goes_on and (message.results or message.others):
            messages.append(message)
    if not messages:
        raise CannotSay("Anthropic's models need a message that says something: add one")
    _trim(messages[-1])
    return messages


def text_blocks(texts: Sequence[Text]) -> list[Block]:
    """Blocks of those that say something."""
    return [_text(one.text) for one in texts if one.text.strip()]


def awaits_answer_to_calls(messages: Sequence[Message]) -> bool:
    """Whether the model goes on after calls of its own whose thoughts are not there."""
    if len(messages) < 2 or not messages[-1].results:
        return False
    first = messages[-2].others[:1]
    return not first or first[0]["type"] not in ("thinking", "redacted_thinking")


def _trim(last: Message) -> None:
    """A beginning of an answer, which the model is to go on with, may not end in white space."""
    if last.role is Role.ASSISTANT and last.others and last.others[-1]["type"] == "text":
        last.others[-1] = _text(str(last.others[-1]["text"]).rstrip())


def _user_block(part: Part) -> Block | None:
    match part:
        case Text(text):
            return _text(text) if text.strip() else None
        case Image():
            return _image(part)
        case ToolResult():
            return _result(part)
        case ToolCall(name=name):
            raise CannotSay(f"the call of the tool {name!r} stands in a user's turn: move it")
        case Reasoning() | Refusal():
            return None


def _assistant_block(part: Part) -> Block | None:
    match part:
        case Text(text) | Refusal(text):
            return _text(text) if text.strip() else None
        case Reasoning(redacted=str(data)):
            return {"type": "redacted_thinking", "data": data}
        case Reasoning(text, signature):
            # Without proof that it is its own, the model takes no thought.
            if not signature:
                return None
            return {"type": "thinking", "thinking": text, "signature": signature}
        case ToolCall():
            return {
                "type": "tool_use",
                "id": call_id_for(part.id),
                "name": part.name,
                "input": _arguments(part),
            }
        case Image():
            raise CannotSay(
                "Anthropic takes images from the user only: move the assistant's to a user's turn"
            )
        case ToolResult(call_id):
            raise CannotSay(
                f"the result of the call {call_id!r} stands in an assistant's turn: move it"
            )


def _text(text: str) -> Block:
    return {"type": "text", "text": text}


def _image(image: Image) -> Block:
    if image.data is not None:
        if not image.media_type:
            raise CannotSay("an image lacks its media type: name it, as in image/png")
        source: Block = {"type": "base64", "media_type": image.media_type, "data": image.data}
    elif image.url:
        source = {"type": "url", "url": image.url}
    else:
        raise CannotSay("an image has neither data nor a URL: give one")
    return {"type": "image", "source": source}


def _result(result: ToolResult) -> Block:
    content = [
        _text(part.text) if isinstance(part, Text) else _image(part)
        for part in result.content
        if not isinstance(part, Text) or part.text.strip()
    ]
    block: Block = {"type": "tool_result", "tool_use_id": call_id_for(result.call_id)}
    if content:
        block["content"] = content
    if result.is_error:
        block["is_error"] = True
    return block


def _arguments(call: ToolCall) -> object:
    """The object in a call's text; a call without arguments may have no text."""
    if not call.arguments.strip():
        return {}
    try:
        given = orjson.loads(call.arguments)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise CannotSay(
            f"the arguments of the call of {call.name!r} are no JSON object, and Anthropic takes "
            "nothing else: correct them in the assistant's message"
        )
    return given
