"""Reads a stream of chat completion chunks.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

from collections.abc import Sequence
from uuid import uuid4

import orjson

from trunkline.gateway.answers import (
    AnswerEvent,
    Finished,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallBegun,
    UsageSeen,
)
from trunkline.gateway.cut_characters import CutCharacters
from trunkline.gateway.dialects.openai_answers import (
    arguments_of,
    finish_of,
    is_object,
    raise_error_of,
    texts_of,
    thoughts_of,
    usage_of,
    word_of,
)
from trunkline.gateway.framing import EventSplitter, EventTooLarge
from trunkline.gateway.protocols import StreamCut

DONE = b"[DONE]"


def new_call_id() -> str:
    """For a call of a provider that gives it none."""
    return f"call_{uuid4().hex}"


class _Call:
    """A call that has begun."""

    __slots__ = ("has_arguments", "id", "index")

    def __init__(self, index: int, given_id: str | None) -> None:
        self.index = index
        self.id = given_id
        self.has_arguments = False


class OpenAiStreamReader:
    """Reads one stream. It is whole with a finish reason or with `[DONE]`, after which nothing is
    read.

    `Finished` comes last, with `[DONE]` or at the stream's end: some give a finish reason with
    every chunk.
    """

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        self._cut = CutCharacters()
        self._done = False
        self._reason: FinishReason | None = None
        self._refused = False
        self._calls: list[_Call] = []
        # By the provider's index, which some give twice and others not at all.
        self._call_at: dict[int, _Call] = {}
        self._id_at: dict[int, str] = {}

    @property
    def done(self) -> bool:
        """Whether `[DONE]` has come."""
        return self._done

    def feed(self, chunk: bytes) -> Sequence[AnswerEvent]:
        """What these bytes bring. Raises `StreamFailed`, or `StreamCut` where an event is too
        large; nothing of the same bytes is given then, so that another model may still answer
        where these were the first.
        """
        try:
            events = self._splitter.feed(chunk)
        except EventTooLarge as error:
            raise StreamCut(f"the provider sent {error}") from None
        found: list[AnswerEvent] = []
        for event in events:
            data = event.data
            if not data or self._done:
                continue
            if data.startswith(DONE):
                self._done = True
                self._finish(found)
                continue
            try:
                said: object = orjson.loads(data)
            except orjson.JSONDecodeError:
                said = self._cut.read(data)
            if isinstance(said, dict):
                self._read(said, data, found)
        return found

    def end(self) -> Sequence[AnswerEvent]:
        """What is left: an event without its blank line, and the end where only the finish reason
        told of it. Raises `StreamCut`, and `StreamFailed`.
        """
        found = list(self.feed(b"\n\n")) if self._splitter.rest() else []
        if not self._done:
            if self._reason is None:
                raise StreamCut("the provider's stream ended within its answer")
            self._done = True
            self._finish(found)
        return found

    def _read(self, said: dict[str, object], data: bytes, found: list[AnswerEvent]) -> None:
        # This runs for every token, so it calls no more than it must.
        if "error" in said or said.get("object") == "error":
            raise_error_of(said, data)
        choices = said.get("choices")
        if isinstance(choices, list) and choices:
            choice = choices[0]
            if isinstance(choice, dict):
                delta = choice.get("delta")
                if isinstance(delta, dict):
                    content = delta.get("content")
                    if content and type(content) is str and len(delta) == 1:
                        found.append(TextDelta(content))  # As nearly all are.
                    else:
                        self._read_delta(delta, found)
                reason = choice.get("finish_reason")
                if reason is not None:
                    self._reason = finish_of(reason, data) or self._reason
        used = said.get("usage")
        if used is not None:
            usage = usage_of(used)
            if usage is not None:
                found.append(UsageSeen(usage))

    def _read_delta(self, delta: dict[str, object], found: list[AnswerEvent]) -> None:
        said, thought = texts_of(delta.get("content"))
        thought = thoughts_of(delta) or thought
        if thought:
            found.append(ReasoningDelta(thought))
        if said:
            found.append(TextDelta(said))
        refusal = word_of(delta.get("refusal"))
        if refusal is not None:
            self._refused = True
            found.append(RefusalDelta(refusal))
        calls = delta.get("tool_calls")
        if isinstance(calls, list):
            for call in calls:
                if is_object(call):
                    self._read_call(call, found)

    def _read_call(self, said: dict[str, object], found: list[AnswerEvent]) -> None:
        function = said.get("function")
        if not is_object(function):
            function = {}
        name = word_of(function.get("name"))
        given_id = word_of(said.get("id"))
        at = said.get("index")
        call = self._call_of(at, given_id, is_named=name is not None)
        if call is None:
            if name is None:
                if given_id is not None and isinstance(at, int):
                    self._id_at[at] = given_id  # Its name comes later.
                return
            if isinstance(at, int):
                given_id = given_id or self._id_at.pop(at, None)
            call = _Call(len(self._calls), given_id)
            self._calls.append(call)
            if isinstance(at, int):
                self._call_at[at] = call
            found.append(ToolCallBegun(call.index, given_id or new_call_id(), name))
        try:
            arguments = arguments_of(function.get("arguments"))
        except TypeError:
            raise StreamCut("a tool call's arguments are nested too deep to be read") from None
        if arguments:
            call.has_arguments = True
            found.append(ToolArgumentsDelta(call.index, arguments))

    def _call_of(self, at: object, given_id: str | None, *, is_named: bool) -> _Call | None:
        """The call that goes on; None where one begins."""
        if isinstance(at, int):
            call = self._call_at.get(at)
            # Gemini gives every call the index 0, and each an id of its own.
            is_other = call is not None and is_named and given_id not in (None, call.id)
            return None if is_other else call
        # Without an index: a name or an id that is new begins the next one.
        last = self._calls[-1] if self._calls else None
        if last is None or (is_named and (given_id is None or given_id != last.id)):
            return None
        return last

    def _finish(self, found: list[AnswerEvent]) -> None:
        reason = self._reason or FinishReason.STOP
        # A call without arguments: its text is that of an object all the same.
        found += [
            ToolArgumentsDelta(call.index, "{}") for call in self._calls if not call.has_arguments
        ]
        found.append(
            Finished(closing_reason(reason, refused=self._refused, has_calls=bool(self._calls)))
        )


def closing_reason(reason: FinishReason, *, refused: bool, has_calls: bool) -> FinishReason:
    """Why it ended, where the provider's word is `reason`: OpenAI says "stop" for a refusal too,
    and for a call of the one tool that it was told to call.
    """
    if reason is FinishReason.STOP and has_calls:
        return FinishReason.TOOL_CALLS
    if reason is FinishReason.STOP and refused:
        return FinishReason.REFUSAL
    return reason
