"""What a model says, before a protocol gives it its form."""

from dataclasses import dataclass
from enum import StrEnum

from server.simulated.asked import Asked


class Stop(StrEnum):
    """Why it stopped."""

    WHOLE = "whole"
    STOP_WORD = "stop_word"
    LENGTH = "length"
    TOOL = "tool"
    REFUSAL = "refusal"
    FILTERED = "filtered"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call; its arguments are JSON in the pieces that a stream brings."""

    # 24 characters; each protocol puts its own word in front.
    id: str
    name: str
    pieces: tuple[str, ...]

    @property
    def arguments(self) -> str:
        """The whole JSON."""
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens. `input_tokens` includes cached and cache-written, `output_tokens` reasoning."""

    input_tokens: int
    output_tokens: int
    cached: int = 0
    cache_written: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """Each piece of text, of reasoning and of a call's arguments is one token."""

    # 24 characters, the same for the same request.
    id: str
    asked: Asked
    stop: Stop
    usage: Usage
    reasoning: tuple[str, ...] = ()
    pieces: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    stop_word: str | None = None
    usage_told: bool = True

    @property
    def model(self) -> str:
        """The name that was asked for."""
        return self.asked.model

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)

    @property
    def thoughts(self) -> str:
        """The whole reasoning."""
        return "".join(self.reasoning)
