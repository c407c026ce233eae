"""Reads a stream in Anthropic's protocol.

https://platform.claude.com/docs/en/build-with-claude/streaming
"""

import orjson

from trunkline.gateway.answers import (
    AnswerEvent,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallBegun,
    UsageSeen,
)
from trunkline.gateway.cut_characters import CutCharacters
from trunkline.gateway.dialects.anthropic_answers import (
    arguments_text,
    explanation_in,
    finish_of,
    text_in,
)
from trunkline.gateway.dialects.anthropic_errors import failure_in
from trunkline.gateway.dialects.anthropic_usage import UsageCounts
from trunkline.gateway.framing import EventSplitter, EventTooLarge
from trunkline.gateway.protocols import StreamCut, UnreadableAnswer


class AnthropicStreamReader:
    """One stream. It is whole once a stop reason has come, or `message_stop`.

    `Finished` comes last: with `message_stop`, or at the stream's end. What comes after is ignored.
    """

    __slots__ = (
        "_begun", "_calls", "_cut", "_finished", "_silent", "_splitter", "_stop", "_usage",
    )  # fmt: skip

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        self._cut = CutCharacters()
        self._usage = UsageCounts()
        # How many calls have begun, the number of the call of each tool's block, and the blocks of
        # those whose arguments have not.
        self._begun = 0
        self._calls: dict[int, int] = {}
        self._silent: set[int] = set()
        self._stop: tuple[str, str | None] | None = None
        self._finished = False

    @property
    def done(self) -> bool:
        """Whether `message_stop` has come."""
        return self._finished

    def feed(self, chunk: bytes) -> list[AnswerEvent]:
        """What these bytes bring. Raises `StreamFailed`, and `StreamCut` for an endless event."""
        try:
            arrived = self._splitter.feed(chunk)
        except EventTooLarge as error:
            raise StreamCut(f"the provider's stream has {error}") from error
        events: list[AnswerEvent] = []
        for event in arrived:
            if event.data:
                self._read(event.data, events)
        return events

    def end(self) -> list[AnswerEvent]:
        """Its end. Raises `StreamCut` where it was not whole, or `StreamFailed`."""
        # A last event may come without the blank line that ends it.
        events = self.feed(b"\n\n") if self._splitter.rest() else []
        if self._stop is None and not self._finished:
            raise StreamCut("the provider's stream ended without a stop reason")
        self._finish(events)
        return events

    def _read(self, data: bytes, events: list[AnswerEvent]) -> None:
        try:
            message: object = orjson.loads(data)
        except orjson.JSONDecodeError:
            message = self._cut.read(data)
        if not isinstance(message, dict) or self._finished:
            return
        kind = message.get("type")
        if kind == "content_block_delta":
            self._read_delta(message, events)
        elif kind == "content_block_start":
            self._begin_block(message, events)
        elif kind == "content_block_stop":
            self._end_block(message.get("index"), events)
        elif kind == "message_start":
            start = message.get("message")
            if isinstance(start, dict):
                self._see_usage(start.get("usage"), events)
        elif kind == "message_delta":
            self._read_ending(message, events)
        elif kind == "message_stop":
            self._finish(events)
        elif kind == "error":
            raise failure_in(message, data)

    def _read_delta(self, message: dict[str, object], events: list[AnswerEvent]) -> None:
        delta = message.get("delta")
        if not isinstance(delta, dict):
            return
        kind = delta.get("type")
        if kind == "text_delta":
            if text := text_in(delta, "text"):
                events.append(TextDelta(text))
        elif kind == "input_json_delta":
            index = message.get("index")
            text = text_in(delta, "partial_json")
            if text and type(index) is int and index in self._calls:
                self._silent.discard(index)
                events.append(ToolArgumentsDelta(self._calls[index], text))
        elif kind == "thinking_delta":
            if text := text_in(delta, "thinking"):
                events.append(ReasoningDelta(text))
        elif kind == "signature_delta" and (signature := text_in(delta, "signature")):
            events.append(ReasoningDelta(signature=signature))

    def _begin_block(self, message: dict[str, object], events: list[AnswerEvent]) -> None:
        block = message.get("content_block")
        if not isinstance(block, dict):
            return
        match block:
            case {"type": "text", "text": str(text)} if text:
                events.append(TextDelta(text))
            case {"type": "thinking"}:
                text, signature = text_in(block, "thinking"), text_in(block, "signature")
                if text or signature:
                    events.append(ReasoningDelta(text, signature or None))
            case {"type": "redacted_thinking", "data": str(data)}:
                events.append(ReasoningDelta(redacted=data))
            case {"type": "tool_use", "id": str(call_id), "name": str(name)}:
                index = message.get("index")
                if type(index) is not int or index in self._calls:
                    return
                self._begin_call(index, call_id, name, events)
                given = block.get("input")
                if isinstance(given, dict) and given:
                    self._whole_arguments(index, given, events)

    def _begin_call(self, block: int, call_id: str, name: str, events: list[AnswerEvent]) -> None:
        self._calls[block] = self._begun
        self._silent.add(block)
        events.append(ToolCallBegun(self._begun, call_id, name))
        self._begun += 1

    def _whole_arguments(
        self, block: int, given: dict[str, object], events: list[AnswerEvent]
    ) -> None:
        """Arguments that came with the block's beginning; pieces after them would repeat them."""
        try:
            text = arguments_text(given)
        except UnreadableAnswer as error:
            raise StreamCut(str(error)) from error
        self._silent.discard(block)
        events.append(ToolArgumentsDelta(self._calls.pop(block), text))

    def _end_block(self, index: object, events: list[AnswerEvent]) -> None:
        if type(index) is not int:
            return
        if index in self._silent:
            self._silent.discard(index)
            # A tool without parameters is called without a word, where others send an object.
            events.append(ToolArgumentsDelta(self._calls[index], "{}"))
        self._calls.pop(index, None)

    def _read_ending(self, message: dict[str, object], events: list[AnswerEvent]) -> None:
        delta = message.get("delta")
        if isinstance(delta, dict) and (reason := text_in(delta, "stop_reason")):
            self._stop = (reason, text_in(delta, "stop_sequence") or None)
            if reason == "refusal" and (explanation := explanation_in(delta)):
                events.append(RefusalDelta(explanation))
        self._see_usage(message.get("usage"), events)

    def _see_usage(self, told: object, events: list[AnswerEvent]) -> None:
        usage = self._usage.take(told)
        if usage is not None:
            events.append(UsageSeen(usage))

    def _finish(self, events: list[AnswerEvent]) -> None:
        if self._finished:
            return
        for block in sorted(self._silent):
            self._end_block(block, events)
        reason, sequence = self._stop or (None, None)
        events.append(Finished(finish_of(reason, has_calls=self._begun > 0), sequence))
        self._finished = True
