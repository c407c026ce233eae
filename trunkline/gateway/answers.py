"""A model's answer, in words of our own: whole, or as the events of a stream."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from trunkline.gateway.conversation import Reasoning, Refusal, Text, ToolCall


class FinishReason(StrEnum):
    """Why a model ended."""

    STOP = "stop"
    """It was done, or met a stop sequence."""
    LENGTH = "length"
    """It may say no more: the most tokens asked for, or its window, are used up."""
    TOOL_CALLS = "tool_calls"
    """It waits for tools."""
    CONTENT_FILTER = "content_filter"
    """The provider's filter ended it. An answer, no failure."""
    REFUSAL = "refusal"
    """The model declined. An answer, no failure."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, inclusive as everywhere here: `input` holds cache reads and writes, `output` holds
    reasoning.
    """

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More words."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More of what it thinks; see `Reasoning` for `signature` and `redacted`."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None


@dataclass(frozen=True, slots=True)
class RefusalDelta:
    """More of how it declines."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallBegun:
    """It asks for a tool. Calls are numbered from 0 in the order in which they begin."""

    index: int
    id: str
    name: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class ToolArgumentsDelta:
    """More of the JSON text of a call's arguments."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """It ended; `stop_sequence` is the one that it met, where the provider says so."""

    reason: FinishReason
    stop_sequence: str | None = None


@dataclass(frozen=True, slots=True)
class UsageSeen:
    """What was used until now: cumulative, so the last one counts."""

    usage: Usage


AnswerEvent: TypeAlias = (
    TextDelta
    | ReasoningDelta
    | RefusalDelta
    | ToolCallBegun
    | ToolArgumentsDelta
    | Finished
    | UsageSeen
)
AnswerPart: TypeAlias = Text | Reasoning | Refusal | ToolCall

_TOKENS = (TextDelta, ReasoningDelta, RefusalDelta, ToolCallBegun, ToolArgumentsDelta)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatAnswer:
    """A whole answer. `usage` is None where the provider doesn't say."""

    parts: tuple[AnswerPart, ...]
    finish: FinishReason
    stop_sequence: str | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerHead:
    """What an answer says of itself: an id of ours, the model that gave it, when (Unix seconds)."""

    id: str
    model: str
    created: int


def is_token(event: AnswerEvent) -> bool:
    """Whether it is something that the model said: text, reasoning or a tool call."""
    return isinstance(event, _TOKENS)


def said_length(events: Sequence[AnswerEvent]) -> int:
    """Characters that the model said in these events: what an estimate of its tokens goes by."""
    length = 0
    for event in events:
        match event:
            case TextDelta() | ReasoningDelta() | RefusalDelta() | ToolArgumentsDelta():
                length += len(event.text)
            case ToolCallBegun():
                length += len(event.name)
    return length


def answer_length(answer: ChatAnswer) -> int:
    """Characters that the model said in a whole answer."""
    return sum(
        len(part.name) + len(part.arguments) if isinstance(part, ToolCall) else len(part.text)
        for part in answer.parts
    )
