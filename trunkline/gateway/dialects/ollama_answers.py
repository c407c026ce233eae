"""Answers of Ollama's chat, whole and in streams: both are lines of JSON, the last with
`done: true`. https://docs.ollama.com/api/chat
"""

from collections.abc import Sequence

import orjson

from trunkline.gateway.answers import (
    AnswerEvent,
    AnswerPart,
    ChatAnswer,
    Finished,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallBegun,
    Usage,
    UsageSeen,
)
from trunkline.gateway.conversation import Reasoning, Text, ToolCall
from trunkline.gateway.cut_characters import CutCharacters
from trunkline.gateway.framing import EventTooLarge, LineSplitter
from trunkline.gateway.protocols import StreamCut, StreamFailed, UnreadableAnswer
from trunkline.gateway.provider_json import (
    new_call_id,
    read_object,
    token_count,
    write_arguments,
)

Json = dict[str, object]


def read_answer(body: bytes) -> ChatAnswer:
    """A whole answer. Raises `UnreadableAnswer`, `StreamFailed`."""
    answer = read_object(body)
    if answer.get("error") is not None:
        raise StreamFailed(500, body)
    message = answer.get("message")
    if answer.get("done") is not True or not isinstance(message, dict):
        raise UnreadableAnswer("the answer holds no message, or does not say that it is done")
    parts: list[AnswerPart] = []
    thinking, content = message.get("thinking"), message.get("content")
    if isinstance(thinking, str) and thinking:
        parts.append(Reasoning(thinking))
    if isinstance(content, str) and content:
        parts.append(Text(content))
    calls = _calls(message.get("tool_calls"))
    return ChatAnswer(
        parts=(*parts, *calls),
        finish=_finish(answer, has_calls=bool(calls)),
        usage=_usage(answer),
    )


class OllamaStreamReader:
    """Reads one stream of lines, each with more of the answer."""

    __slots__ = ("_calls", "_cut", "_is_done", "_splitter")

    def __init__(self) -> None:
        self._splitter = LineSplitter()
        self._cut = CutCharacters()
        self._calls = 0
        self._is_done = False

    @property
    def done(self) -> bool:
        """Whether `done: true` has come."""
        return self._is_done

    def feed(self, chunk: bytes) -> Sequence[AnswerEvent]:
        """What these bytes bring. Raises `StreamFailed`, and `StreamCut` for an endless line."""
        try:
            lines = self._splitter.feed(chunk)
        except EventTooLarge as error:
            raise StreamCut(f"the provider's stream sends {error}") from error
        said: list[AnswerEvent] = []
        for line in lines:
            self._line(line, said)
        return said

    def end(self) -> Sequence[AnswerEvent]:
        """What the last line says where it has no end. Raises `StreamCut`, `StreamFailed`."""
        said: list[AnswerEvent] = []
        if rest := self._splitter.rest():
            self._line(rest, said)
        if not self._is_done:
            raise StreamCut("the provider's stream ended without saying that it is done")
        return said

    def _line(self, line: bytes, said: list[AnswerEvent]) -> None:
        try:
            answer: object = orjson.loads(line)
        except orjson.JSONDecodeError:
            answer = self._cut.read(line)
        if not isinstance(answer, dict) or self._is_done:
            return
        if answer.get("error") is not None:
            raise StreamFailed(500, line)
        message = answer.get("message")
        if isinstance(message, dict):
            self._message(message, said)
        if answer.get("done") is True:
            self._is_done = True
            if (usage := _usage(answer)) is not None:
                said.append(UsageSeen(usage))
            said.append(Finished(_finish(answer, has_calls=self._calls > 0)))

    def _message(self, message: Json, said: list[AnswerEvent]) -> None:
        thinking, content = message.get("thinking"), message.get("content")
        if isinstance(thinking, str) and thinking:
            said.append(ReasoningDelta(thinking))
        if isinstance(content, str) and content:
            said.append(TextDelta(content))
        for call in _calls(message.get("tool_calls")):
            said.append(ToolCallBegun(self._calls, call.id, call.name))
            said.append(ToolArgumentsDelta(self._calls, call.arguments))
            self._calls += 1


def _calls(value: object) -> list[ToolCall]:
    """The calls in a message, each whole. Raises `StreamFailed` for one that can't be read: without
    it the answer would be another.
    """
    if value is None:
        return []
    entries = value if isinstance(value, list) else [value]
    return [_call(entry) for entry in entries]


def _call(entry: object) -> ToolCall:
    function = entry.get("function") if isinstance(entry, dict) else None
    if isinstance(entry, dict) and isinstance(function, dict):
        name, arguments = function.get("name"), write_arguments(function.get("arguments"))
        if isinstance(name, str) and name and arguments is not None:
            id_ = entry.get("id")
            return ToolCall(id_ if isinstance(id_, str) and id_ else new_call_id(), name, arguments)
    message = "the model called a tool in a way that can't be read: it may work when tried again"
    raise StreamFailed(502, orjson.dumps({"error": message}))


def _finish(answer: Json, *, has_calls: bool) -> FinishReason:
    """From `done_reason`: "stop", "length", or "load" where nothing was asked."""
    if answer.get("done_reason") == "length":
        return FinishReason.LENGTH
    return FinishReason.TOOL_CALLS if has_calls else FinishReason.STOP


def _usage(answer: Json) -> Usage | None:
    """None where it isn't said: servers leave the prompt's count out where all of it was cached."""
    prompt = token_count(answer.get("prompt_eval_count"))
    output = token_count(answer.get("eval_count", 0))
    if prompt is None or output is None:
        return None
    return Usage(input=prompt, output=output)
