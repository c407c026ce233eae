"""Reads messages of a request in Anthropic's protocol: content as text, or as a list of blocks.

https://platform.claude.com/docs/en/api/messages#body-messages
"""

from collections.abc import Iterator

import orjson

from trunkline.gateway.conversation import (
    Image,
    Part,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from trunkline.gateway.faces.anthropic_fields import (
    Json,
    object_at,
    objects_at,
    optional_flag_at,
    optional_text_at,
    text_at,
)
from trunkline.gateway.protocols import BadRequestBody

# What a block may carry that changes no answer of another provider's.
_IGNORED = ("cache_control", "citations")


def only_anthropic(what: str, place: str) -> BadRequestBody:
    """The refusal of what no other protocol has."""
    return BadRequestBody(
        f"{place}: {what} works only with a provider that speaks Anthropic's protocol: leave it "
        "out, or choose a chain of such providers",
        place,
    )


class MessagesReader:
    """Reads one request's messages. `ignored` gathers what was left out, by name, and `system` the
    instructions that stand among the messages.
    """

    def __init__(self, ignored: set[str]) -> None:
        self.system: list[Text] = []
        self._ignored = ignored
        self._tool_names: dict[str, str] = {}

    def turns(self, messages: object) -> list[Turn]:
        """The turns. Raises `BadRequestBody`."""
        turns: list[Turn] = []
        for message, place in objects_at(messages, "messages"):
            role = message.get("role")
            content = f"{place}.content"
            if role == "user":
                turns.append(Turn(Role.USER, tuple(self._user(message.get("content"), content))))
            elif role == "assistant":
                parts = tuple(self._assistant(message.get("content"), content))
                turns.append(Turn(Role.ASSISTANT, parts))
            elif role == "system":
                self.system += self.texts(message.get("content"), content)
            else:
                at = f"{place}.role"
                raise BadRequestBody(f"{at} must be user, assistant or system", at)
        if not turns:
            raise BadRequestBody("messages must have at least one turn", "messages")
        return turns

    def texts(self, content: object, place: str) -> list[Text]:
        """Content that may hold nothing but text."""
        texts = []
        for block, at in self._blocks(content, place):
            if block.get("type") != "text":
                raise BadRequestBody(f"{at}.type must be text", f"{at}.type")
            texts.append(Text(text_at(block, "text", at)))
        return texts

    def _blocks(self, content: object, place: str) -> Iterator[tuple[Json, str]]:
        if isinstance(content, str):
            yield {"type": "text", "text": content}, place
            return
        if not isinstance(content, list):
            raise BadRequestBody(f"{place} must be a text or a list of blocks", place)
        for block, at in objects_at(content, place):
            self._ignored.update(name for name in _IGNORED if block.get(name))
            yield block, at

    def _user(self, content: object, place: str) -> Iterator[Part]:
        for block, at in self._blocks(content, place):
            kind = text_at(block, "type", at)
            if kind == "tool_result":
                yield self._result(block, at)
            else:
                yield _shown(kind, block, at)

    def _assistant(self, content: object, place: str) -> Iterator[Part]:
        for block, at in self._blocks(content, place):
            kind = text_at(block, "type", at)
            match kind:
                case "text":
                    yield Text(text_at(block, "text", at))
                case "thinking":
                    thought = text_at(block, "thinking", at)
                    yield Reasoning(thought, optional_text_at(block, "signature", at) or None)
                case "redacted_thinking":
                    yield Reasoning(redacted=text_at(block, "data", at))
                case "tool_use":
                    yield self._call(block, at)
                case _:
                    raise only_anthropic(f"a block of type {kind[:64]!r}", at)

    def _call(self, block: Json, place: str) -> ToolCall:
        given = object_at(block.get("input"), f"{place}.input")
        try:
            arguments = orjson.dumps(given).decode()
        except orjson.JSONEncodeError as error:
            at = f"{place}.input"
            raise BadRequestBody(f"{at} can't be written as JSON: {error}", at) from error
        call = ToolCall(text_at(block, "id", place), text_at(block, "name", place), arguments)
        self._tool_names[call.id] = call.name
        return call

    def _result(self, block: Json, place: str) -> ToolResult:
        call_id = text_at(block, "tool_use_id", place)
        content: list[Text | Image] = []
        if block.get("content") is not None:
            for one, at in self._blocks(block["content"], f"{place}.content"):
                content.append(_shown(text_at(one, "type", at), one, at))
        return ToolResult(
            call_id,
            tuple(content),
            name=self._tool_names.get(call_id),
            is_error=optional_flag_at(block, "is_error", place) is True,
        )


def _shown(kind: str, block: Json, place: str) -> Text | Image:
    """What a user, or a tool, may show."""
    if kind == "text":
        return Text(text_at(block, "text", place))
    if kind != "image":
        raise only_anthropic(f"a block of type {kind[:64]!r}", place)
    at = f"{place}.source"
    source = object_at(block.get("source"), at)
    match source.get("type"):
        case "base64":
            return Image(text_at(source, "media_type", at), text_at(source, "data", at))
        case "url":
            return Image(url=text_at(source, "url", at))
        case _:
            raise only_anthropic("an image that is neither base64 nor a url", at)
