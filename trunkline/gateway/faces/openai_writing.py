"""Writes answers in OpenAI's protocol: a `chat.completion`, or a stream of its chunks.

https://platform.openai.com/docs/api-reference/chat/object and …/chat-streaming
"""

from collections.abc import Sequence

import orjson

from trunkline.gateway.answers import (
    AnswerEvent,
    AnswerHead,
    ChatAnswer,
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
from trunkline.gateway.conversation import Reasoning, Refusal, Text, ToolCall

_FINISH = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.TOOL_CALLS: "tool_calls",
    FinishReason.CONTENT_FILTER: "content_filter",
}


def write_answer(answer: ChatAnswer, head: AnswerHead) -> bytes:
    """A whole answer. Reasoning is `reasoning_content`, as compatible providers have it."""
    texts, thoughts, refusals, calls = [], [], [], []
    for part in answer.parts:
        match part:
            case Text():
                texts.append(part.text)
            case Reasoning():
                thoughts.append(part.text)
            case Refusal():
                refusals.append(part.text)
            case ToolCall():
                function = {"name": part.name, "arguments": part.arguments}
                calls.append({"id": part.id, "type": "function", "function": function})
    message: dict[str, object] = {
        "role": "assistant",
        "content": "".join(texts) if texts or not (calls or refusals) else None,
        "refusal": "".join(refusals) if refusals else None,
    }
    thought = "".join(thoughts)
    if thought:
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = calls
    finish = _finish(answer.finish, refused=bool(refusals))
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    written = _base(head, "chat.completion") | {"choices": [choice]}
    if answer.usage is not None:
        written["usage"] = _usage(answer.usage)
    return orjson.dumps(written)


class OpenAiStreamWriter:
    """Writes one stream. The chunk with usage is sent where it is asked for and known."""

    def __init__(self, head: AnswerHead, *, usage_wanted: bool) -> None:
        base = _base(head, "chat.completion.chunk")
        # All that every chunk says is written once, with the delta left out.
        self._before = b"data: " + orjson.dumps(base)[:-1] + b',"choices":[{"index":0,"delta":'
        null_usage = b',"usage":null' if usage_wanted else b""
        self._between = b',"logprobs":null,"finish_reason":'
        self._after = b"}]" + null_usage + b"}\n\n"
        self._after_delta = self._between + b"null" + self._after
        self._base = base
        self._usage_wanted = usage_wanted
        self._usage: Usage | None = None
        self._begun = False
        self._refused = False

    def write(self, events: Sequence[AnswerEvent]) -> bytes:
        """These events as chunks; the first has the role."""
        before, after = self._before, self._after_delta
        chunks: list[bytes] = []
        for event in events:
            if type(event) is TextDelta:
                delta = b'{"content":' + orjson.dumps(event.text) + b"}"
            elif type(event) is UsageSeen:
                self._usage = event.usage
                continue
            elif type(event) is Finished:
                self._begin(event, chunks)
                reason = orjson.dumps(_finish(event.reason, refused=self._refused))
                chunks.append(before + b"{}" + self._between + reason + self._after)
                continue
            else:
                delta = self._delta(event)
                if not delta:
                    continue
            if not self._begun:
                self._begin(event, chunks)
            chunks.append(before + delta + after)
        return b"".join(chunks)

    def end(self) -> bytes:
        """The usage, and `[DONE]`."""
        usage = b""
        if self._usage_wanted and self._usage is not None:
            said = self._base | {"choices": [], "usage": _usage(self._usage)}
            usage = b"data: " + orjson.dumps(said) + b"\n\n"
        return usage + b"data: [DONE]\n\n"

    def _begin(self, event: AnswerEvent, chunks: list[bytes]) -> None:
        if self._begun:
            return
        self._begun = True
        # As OpenAI begins: without content where a call or a refusal is what comes.
        is_silent = isinstance(event, ToolCallBegun | RefusalDelta)
        content = b"null" if is_silent else b'""'
        role = b'{"role":"assistant","content":' + content + b',"refusal":null}'
        chunks.append(self._before + role + self._after_delta)

    def _delta(self, event: AnswerEvent) -> bytes:
        match event:
            case ReasoningDelta():
                # A signature alone says nothing here.
                said: object = {"reasoning_content": event.text} if event.text else None
            case RefusalDelta():
                self._refused = True
                said = {"refusal": event.text}
            case ToolCallBegun():
                function = {"name": event.name, "arguments": ""}
                begun = {"index": event.index, "id": event.id, "type": "function"}
                said = {"tool_calls": [begun | {"function": function}]}
            case ToolArgumentsDelta():
                more = {"index": event.index, "function": {"arguments": event.text}}
                said = {"tool_calls": [more]}
            case _:
                said = None
        return b"" if said is None else orjson.dumps(said)


def _base(head: AnswerHead, kind: str) -> dict[str, object]:
    return {"id": head.id, "object": kind, "created": head.created, "model": head.model}


def _finish(reason: FinishReason, *, refused: bool) -> str:
    """OpenAI's models refuse in words of their own field, and then "stop"; where the words are
    missing, a caller who knows OpenAI alone must still see that it is no answer.
    """
    if reason is FinishReason.REFUSAL:
        return "stop" if refused else "content_filter"
    return _FINISH[reason]


def _usage(usage: Usage) -> dict[str, object]:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
