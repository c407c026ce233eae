"""Writes streams in Anthropic's protocol: one block after the other, each begun and ended.

https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from collections.abc import Sequence
from typing import TypeAlias

import orjson

from trunkline.gateway.answers import (
    AnswerEvent,
    AnswerHead,
    Finished,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallBegun,
    Usage,
    UsageSeen,
)
from trunkline.gateway.dialects.anthropic_call_ids import call_id_for
from trunkline.gateway.faces.anthropic_answers import (
    message_json,
    stop_reason_of,
    usage_json,
    written,
)
from trunkline.gateway.faces.anthropic_fields import Json

_Words: TypeAlias = TextDelta | RefusalDelta | ReasoningDelta
_Held: TypeAlias = _Words | ToolCallBegun

_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


class AnthropicStreamWriter:
    """One stream, from `message_start` to `message_stop`.

    Usage that isn't known when the first token comes is 0 in `message_start`; `message_delta`, at
    the end, has all of it. What comes while the arguments of a call are not whole is held: a call
    until the answer goes on otherwise, words to the end.
    """

    __slots__ = (
        "_block", "_call", "_delta", "_finished", "_head", "_held", "_held_arguments", "_out",
        "_usage", "_words_wait",
    )  # fmt: skip

    def __init__(self, head: AnswerHead) -> None:
        self._head: AnswerHead | None = head
        self._usage: Usage | None = None
        self._finished = Finished(FinishReason.STOP)
        self._out: list[bytes] = []
        # Blocks begun, and how a delta of the open one begins; empty where none is open.
        self._block = -1
        self._delta = b""
        # The call whose block is open, with its arguments; what waits for its end, each call with
        # its arguments; and whether words are among that.
        self._call: tuple[int, list[str]] | None = None
        self._held: list[tuple[_Held, list[str]]] = []
        self._held_arguments: dict[int, list[str]] = {}
        self._words_wait = False

    def write(self, events: Sequence[AnswerEvent]) -> bytes:
        """These events."""
        for event in events:
            match event:
                case TextDelta() | RefusalDelta() | ReasoningDelta():
                    if self._call is None or not self._must_wait(event):
                        self._say_words(event)
                case ToolArgumentsDelta():
                    self._add_arguments(event)
                case ToolCallBegun():
                    self._begin_call(event)
                case UsageSeen(usage):
                    self._usage = usage
                case Finished():
                    self._finished = event
        return self._taken()

    def end(self) -> bytes:
        """The stop reason, the usage, and `message_stop`."""
        self._start()
        self._end_block()
        reason, sequence = self._finished.reason, self._finished.stop_sequence
        delta: Json = {
            "stop_reason": stop_reason_of(reason, sequence),
            "stop_sequence": sequence,
        }
        self._add("message_delta", {"delta": delta, "usage": usage_json(self._usage)})
        self._out.append(_STOP)
        return self._taken()

    def _taken(self) -> bytes:
        taken = b"".join(self._out)
        self._out.clear()
        return taken

    def _add(self, kind: str, data: Json) -> None:
        name = kind.encode()
        self._out.append(b"event: %b\ndata: %b\n\n" % (name, written({"type": kind, **data})))

    def _start(self) -> None:
        if self._head is not None:
            self._add("message_start", {"message": message_json(self._head, [], self._usage)})
            self._head = None

    def _say(self, kind: bytes, block: Json, text: str) -> None:
        """Adds to a block of this kind, in the open one or one of its own."""
        if not text:
            return
        if kind not in self._delta:
            self._begin_block(block, kind)
        self._out.append(b"%b%b}}\n\n" % (self._delta, written(text)))

    def _begin_block(self, block: Json, kind: bytes) -> None:
        self._start()
        self._end_block()
        self._block += 1
        self._add("content_block_start", {"index": self._block, "content_block": block})
        self._delta = _DELTA % (self._block, kind)

    def _end_block(self) -> None:
        """Ends the open block, and says what waited for it."""
        if self._delta:
            self._delta = b""
            self._call = None
            self._add("content_block_stop", {"index": self._block})
        if not self._held:
            return
        held, self._held = self._held, []
        self._held_arguments.clear()
        self._words_wait = False
        for event, arguments in held:
            if isinstance(event, ToolCallBegun):
                self._open_call(event)
                self._say(_ARGUMENTS, {}, "".join(arguments))
                self._end_block()
            else:
                self._say_words(event)
        self._end_block()

    def _say_words(self, event: _Words) -> None:
        if isinstance(event, ReasoningDelta):
            self._reason(event)
        else:
            self._say(_TEXT, _TEXT_BLOCK, event.text)

    def _reason(self, event: ReasoningDelta) -> None:
        if event.redacted is not None:
            self._begin_block({"type": "redacted_thinking", "data": event.redacted}, b"")
            self._end_block()
            return
        self._say(_THINKING, _THINKING_BLOCK, event.text)
        if event.signature:
            if _THINKING not in self._delta:
                self._begin_block(_THINKING_BLOCK, _THINKING)
            delta: Json = {"type": "signature_delta", "signature": event.signature}
            self._add("content_block_delta", {"index": self._block, "delta": delta})
            # What is signed is whole: more thoughts are a block of their own.
            self._end_block()

    def _begin_call(self, event: ToolCallBegun) -> None:
        if self._held or (self._call is not None and not _is_whole(self._call[1])):
            arguments = self._held_arguments[event.index] = []
            self._held.append((event, arguments))
        else:
            self._open_call(event)

    def _must_wait(self, event: _Words) -> bool:
        """Whether these words are held, as a call before them is not whole. Looked at once: a long
        call between many words would be parsed for each of them.
        """
        if self._call is not None and not self._words_wait:
            begun = [self._call[1], *self._held_arguments.values()]
            self._words_wait = not all(map(_is_whole, begun))
        if self._words_wait:
            self._held.append((event, []))
        return self._words_wait

    def _open_call(self, call: ToolCallBegun) -> None:
        block: Json = {
            "type": "tool_use",
            "id": call_id_for(call.id),
            "name": call.name,
            "input": {},
        }
        self._begin_block(block, _ARGUMENTS)
        self._call = (call.index, [])

    def _add_arguments(self, event: ToolArgumentsDelta) -> None:
        if self._call is not None and self._call[0] == event.index:
            self._call[1].append(event.text)
            self._say(_ARGUMENTS, {}, event.text)
        elif event.index in self._held_arguments:
            self._held_arguments[event.index].append(event.text)


_TEXT_BLOCK: Json = {"type": "text", "text": ""}
_THINKING_BLOCK: Json = {"type": "thinking", "thinking": "", "signature": ""}
_TEXT = b'"text_delta","text":'
_THINKING = b'"thinking_delta","thinking":'
_ARGUMENTS = b'"input_json_delta","partial_json":'
_DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":%b'
)


def _is_whole(arguments: Sequence[str]) -> bool:
    """Whether nothing of a call's arguments is missing."""
    try:
        orjson.loads("".join(arguments))
    except orjson.JSONDecodeError:
        return False
    return True
