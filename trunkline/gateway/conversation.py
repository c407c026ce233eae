"""A chat as it is asked for, in words of our own that every protocol is translated to and from.

It holds what the protocols share. What only one of them has passes through where caller and
provider speak that one, and is dropped or refused where they don't.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeAlias

JsonObject: TypeAlias = Mapping[str, object]


class Role(StrEnum):
    """Who speaks in a turn. Instructions of the system are no turn."""

    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Text:
    """Words."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture: either its bytes in base64 with their media type, or where it lies."""

    media_type: str | None = None
    data: str | None = field(default=None, repr=False)
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What a model thought before it answered.

    `signature` proves to the provider who made it that it was not changed; `redacted` holds
    thoughts that only the provider can read. Both mean nothing to any other.
    """

    text: str = ""
    signature: str | None = None
    redacted: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model's words where it declines to answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model asks for a tool. `arguments` is the JSON text of an object, as the model wrote it.

    `signature` is a provider's own mark that must come back with the call (Gemini's
    `thoughtSignature`); no other provider sees it.
    """

    id: str
    name: str
    arguments: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave for the call `call_id`; `name` is the tool's where it is known."""

    call_id: str
    content: tuple["Text | Image", ...]
    name: str | None = None
    is_error: bool = False


Part: TypeAlias = Text | Image | Reasoning | Refusal | ToolCall | ToolResult


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said in one go. Tool results stand in the user's turns, as that side's."""

    role: Role
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may ask for. `parameters` is a JSON schema of an object."""

    name: str
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Which tools the model may or must call: any of them ("required"), or the one of `name`."""

    mode: Literal["auto", "none", "required", "named"]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """JSON is asked for; by `schema` where there is one, else any object."""

    schema: JsonObject | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What a caller asks of a model.

    `reasoning_effort` is one of the protocol's words ("minimal", "low", "medium", "high", …),
    `reasoning_tokens` a budget; at most one of them is set, and 0 asks for no reasoning at all.
    `ignored` names parameters of the caller's protocol that have no counterpart here: they are
    dropped with a warning.
    """

    system: tuple[Text, ...] = ()
    turns: Sequence[Turn]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output: OutputFormat | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning_effort: str | None = None
    reasoning_tokens: int | None = None
    user: str | None = None
    stream: bool = False
    ignored: tuple[str, ...] = ()

    @property
    def has_image(self) -> bool:
        """Whether a picture is shown anywhere, also in a tool's result."""
        return any(
            isinstance(part, Image)
            or (
                isinstance(part, ToolResult) and any(isinstance(one, Image) for one in part.content)
            )
            for turn in self.turns
            for part in turn.parts
        )
