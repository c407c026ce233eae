"""A request as every protocol means it. `protocols/` read it out of their own bodies."""

from dataclasses import dataclass
from enum import StrEnum

from server.simulated.json_values import Json, json_object, json_objects, json_text

_IMAGE_FIELDS = ("image_url", "image", "source", "inlineData", "inline_data", "fileData")
MOST_TOOLS = 256
_DEEPEST = 8
_CHARACTERS_A_TOKEN = 4
_TOKENS_A_MESSAGE = 4


class InvalidAsk(ValueError):
    """The request itself is wrong; `field` says where, in the protocol's own path."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class Choice(StrEnum):
    """Whether tools may be called. A named one is `Asked.tool_wanted`."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call, with the JSON schema of its arguments."""

    name: str
    schema: Json


@dataclass(frozen=True, slots=True)
class Content:
    """What is in a message: its text, how many images, and whether it is a tool's result."""

    text: str = ""
    images: int = 0
    tool_result: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of the conversation; the system's words are one too."""

    role: str
    content: Content


@dataclass(frozen=True, slots=True)
class Asked:
    """What to answer, and in which form."""

    model: str
    messages: tuple[Message, ...]
    # Tokens that this protocol's models count for an image.
    image_tokens: int
    stream: bool = False
    usage_in_stream: bool = True
    most_tokens: int | None = None
    stop_words: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: Choice = Choice.AUTO
    tool_wanted: str | None = None
    parallel_tools: bool = True
    # None: free text. An empty schema: any JSON object.
    schema: Json | None = None
    reasoning: bool = False
    # Gemini streams a JSON array unless asked for events.
    as_array: bool = False

    @property
    def prompt(self) -> str:
        """Every word of the conversation."""
        return "\n".join(f"{one.role}: {one.content.text}" for one in self.messages)

    @property
    def input_tokens(self) -> int:
        """Counted as models roughly do: a token for four characters, more for each image."""
        tokens = sum(
            _TOKENS_A_MESSAGE
            + -(-len(one.content.text) // _CHARACTERS_A_TOKEN)
            + one.content.images * self.image_tokens
            for one in self.messages
        )
        tools = sum(len(tool.name) + len(str(tool.schema)) for tool in self.tools)
        return tokens + -(-tools // _CHARACTERS_A_TOKEN)

    @property
    def last(self) -> Content:
        """What the answer is to follow."""
        return self.messages[-1].content if self.messages else Content()


def read_content(value: object, depth: int = _DEEPEST) -> Content:
    """A message's content in any protocol: a text, or parts of text, images and tools' results."""
    if isinstance(value, str):
        return Content(value)
    texts: list[str] = []
    images = 0
    tool_result = False
    for part in value if isinstance(value, list) and depth else ():
        if isinstance(part, str):
            texts.append(part)
        if not isinstance(part, dict):
            continue
        texts.append(json_text(part.get("text")))
        images += any(name in part for name in _IMAGE_FIELDS)
        if part.get("type") == "tool_result" or "functionResponse" in part:
            tool_result = True
            texts.append(str(part.get("functionResponse", "")))
        inner = read_content(part.get("content"), depth - 1)
        texts.append(inner.text)
        images += inner.images
    return Content(" ".join(filter(None, texts)), images, tool_result)


def read_model(value: object) -> str:
    """The name of the model. Raises `InvalidAsk`."""
    if not isinstance(value, str) or not value:
        raise InvalidAsk("you must provide a model parameter", "model")
    return value


def read_stop_words(value: object) -> tuple[str, ...]:
    """One text or a list of them."""
    if isinstance(value, str):
        value = [value]
    return (
        tuple(one for one in value if one and isinstance(one, str))
        if isinstance(value, list)
        else ()
    )


def read_functions(value: object) -> tuple[Tool, ...]:
    """Tools as OpenAI declares them."""
    functions = [json_object(one.get("function")) for one in json_objects(value)[:MOST_TOOLS]]
    return tuple(
        Tool(json_text(one["name"]), json_object(one.get("parameters")))
        for one in functions
        if json_text(one.get("name"))
    )
