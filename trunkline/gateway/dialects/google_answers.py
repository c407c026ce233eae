"""Answers of Gemini's protocol, whole and in streams: both are `GenerateContentResponse`s.

https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse
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
from trunkline.gateway.dialects.google_requests import SIGNATURE_MARK
from trunkline.gateway.framing import EventSplitter, EventTooLarge
from trunkline.gateway.protocols import StreamCut, StreamFailed, UnreadableAnswer
from trunkline.gateway.provider_json import (
    new_call_id,
    read_object,
    token_count,
    write_arguments,
)

Json = dict[str, object]

_FINISHES = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    **dict.fromkeys(
        (
            "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII",
            "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
        ),
        FinishReason.CONTENT_FILTER,
    ),
}  # fmt: skip
"""Any other one (MALFORMED_FUNCTION_CALL, UNEXPECTED_TOOL_CALL, OTHER, …) is a failed answer."""
_UNSAID = "FINISH_REASON_UNSPECIFIED"


def read_answer(body: bytes) -> ChatAnswer:
    """A whole answer. Raises `UnreadableAnswer`, `StreamFailed`."""
    reading = Reading()
    events: list[AnswerEvent] = []
    reading.take(read_object(body), events, body)
    if reading.finish is None:
        raise UnreadableAnswer("the answer does not say why it ended: it may not be whole")
    return ChatAnswer(parts=_folded(events), finish=reading.reason(), usage=reading.usage())


class GoogleStreamReader:
    """Reads one stream of server-sent events, each a response with more of the answer."""

    __slots__ = ("_cut", "_reading", "_splitter")

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        self._cut = CutCharacters()
        self._reading = Reading()

    @property
    def done(self) -> bool:
        """Never: usage may follow the finish reason, and the stream's end is the last word."""
        return False

    def feed(self, chunk: bytes) -> Sequence[AnswerEvent]:
        """What these bytes bring. Raises `StreamFailed`, and `StreamCut` for an endless event."""
        try:
            events = self._splitter.feed(chunk)
        except EventTooLarge as error:
            raise StreamCut(f"the provider's stream sends {error}") from error
        said: list[AnswerEvent] = []
        reading = self._reading
        told_before = reading.told
        for event in events:
            try:
                response: object = orjson.loads(event.data)
            except orjson.JSONDecodeError:
                response = self._cut.read(event.data)  # Or malformed, or a comment.
            if isinstance(response, dict):
                reading.take(response, said, event.data)
        if reading.told is not told_before and (usage := reading.usage()) is not None:
            said.append(UsageSeen(usage))
        return said

    def end(self) -> Sequence[AnswerEvent]:
        """`Finished`. Raises `StreamCut`, `StreamFailed`."""
        # The last event may lack the blank line; half an event is no JSON.
        said = [*self.feed(b"\n\n")]
        if self._reading.finish is None:
            raise StreamCut("the provider's stream ended without saying why")
        said.append(Finished(self._reading.reason()))
        return said


class Reading:
    """What is known of one answer until now. `told` is its usage as the provider has it."""

    __slots__ = ("calls", "finish", "told")

    def __init__(self) -> None:
        self.calls = 0
        self.finish: FinishReason | None = None
        self.told: Json | None = None

    def take(self, response: Json, said: list[AnswerEvent], raw: bytes) -> None:
        """Adds what a response says. `raw` are its bytes. Raises `StreamFailed`."""
        error = response.get("error")
        if error is not None:
            raise _failed(error, raw)
        told = response.get("usageMetadata")
        if isinstance(told, dict):
            self.told = told
        candidates = response.get("candidates")
        if isinstance(candidates, list) and candidates and isinstance(candidates[0], dict):
            self._candidate(candidates[0], said)
        elif _is_blocked(response.get("promptFeedback")):
            self.finish = FinishReason.CONTENT_FILTER

    def reason(self) -> FinishReason:
        """Why it ended, which must be known. A call ends with STOP like any answer here."""
        if self.finish is FinishReason.STOP and self.calls:
            return FinishReason.TOOL_CALLS
        return self.finish or FinishReason.STOP

    def usage(self) -> Usage | None:
        """What was used; None where it isn't said, or can't be true.

        `promptTokenCount` holds what came from the cache, but not what the provider's own tools
        brought in; `candidatesTokenCount` does not hold thoughts. A count of 0 is left out.
        """
        told = self.told
        if told is None:
            return None
        prompt = token_count(told.get("promptTokenCount", 0))
        tools = token_count(told.get("toolUsePromptTokenCount", 0))
        cached = token_count(told.get("cachedContentTokenCount", 0))
        candidates = token_count(told.get("candidatesTokenCount", 0))
        thoughts = token_count(told.get("thoughtsTokenCount", 0))
        if prompt is None or tools is None or cached is None:
            return None
        if candidates is None or thoughts is None:
            return None
        input_, output = prompt + tools, candidates + thoughts
        if not input_ + output:
            return None
        return Usage(input_, min(cached, input_), 0, output, thoughts)

    def _candidate(self, candidate: Json, said: list[AnswerEvent]) -> None:
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        if isinstance(parts, list):
            for part in parts:
                if isinstance(part, dict):
                    self._part(part, said)
        finish = candidate.get("finishReason")
        if not isinstance(finish, str) or finish == _UNSAID:
            return
        reason = _FINISHES.get(finish)
        if reason is None:
            raise _ended_badly(finish)
        self.finish = reason

    def _part(self, part: Json, said: list[AnswerEvent]) -> None:
        signature = part.get("thoughtSignature")
        if not isinstance(signature, str) or not signature:
            signature = None
        call = part.get("functionCall")
        if isinstance(call, dict):
            self._call(call, signature, said)
            return
        text = part.get("text")
        if isinstance(text, str) and text:
            said.append(ReasoningDelta(text) if part.get("thought") is True else TextDelta(text))
        if signature is not None:
            said.append(ReasoningDelta(signature=SIGNATURE_MARK + signature))

    def _call(self, call: Json, signature: str | None, said: list[AnswerEvent]) -> None:
        name, id_, arguments = call.get("name"), call.get("id"), write_arguments(call.get("args"))
        if not isinstance(name, str) or not name or arguments is None:
            raise _ended_badly("MALFORMED_FUNCTION_CALL")
        index = self.calls
        self.calls += 1
        known_id = id_ if isinstance(id_, str) and id_ else new_call_id()
        said.append(ToolCallBegun(index, known_id, name, signature))
        said.append(ToolArgumentsDelta(index, arguments))


def _is_blocked(feedback: object) -> bool:
    return isinstance(feedback, dict) and isinstance(feedback.get("blockReason"), str)


def _failed(error: object, raw: bytes) -> StreamFailed:
    """Of an error in a 200: `{"error": {"code", "message", "status"}}`, `code` an HTTP status."""
    code = error.get("code") if isinstance(error, dict) else None
    return StreamFailed(code if isinstance(code, int) and 400 <= code <= 599 else 500, raw)


def _ended_badly(finish: str) -> StreamFailed:
    """Of an answer that ended for a reason that makes it none; 502, so that it is tried again."""
    message = "the model's answer broke off: it may work when it is tried again"
    error = {"code": 502, "status": finish[:100], "message": message}
    return StreamFailed(502, orjson.dumps({"error": error}))


def _folded(events: Sequence[AnswerEvent]) -> tuple[AnswerPart, ...]:
    """The events of a whole answer as its parts; words that follow each other are one part."""
    parts: list[AnswerPart] = []
    for event in events:
        last = parts[-1] if parts else None
        match event, last:
            case TextDelta(text=text), Text(text=before):
                parts[-1] = Text(before + text)
            case TextDelta(text=text), _:
                parts.append(Text(text))
            case ReasoningDelta(text=text, signature=None), Reasoning(text=before, signature=None):
                parts[-1] = Reasoning(before + text)
            case ReasoningDelta(text=text, signature=signature), _:
                parts.append(Reasoning(text, signature))
            case ToolCallBegun(), _:
                parts.append(ToolCall(event.id, event.name, "", event.signature))
            case ToolArgumentsDelta(text=text), ToolCall():
                parts[-1] = ToolCall(last.id, last.name, text, last.signature)
    return tuple(parts)
