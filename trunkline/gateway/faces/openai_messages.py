"""Reads the messages of a request in OpenAI's protocol.

https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages
"""

from trunkline.gateway.conversation import (
    Image,
    JsonObject,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from trunkline.gateway.faces.openai_fields import (
    list_of,
    name_of,
    object_of,
    optional_text,
    text_of,
)
from trunkline.gateway.protocols import BadRequestBody

_ONLY_OPENAI = "works only with a provider that speaks OpenAI's protocol"


class MessageReader:
    """Gathers messages, in their order, as instructions of the system and turns."""

    def __init__(self) -> None:
        self.system: list[Text] = []
        self.turns: list[Turn] = []
        self.has_names = False
        """Whether a speaker has a name, which nobody else's protocol has."""
        self._tool_names: dict[str, str] = {}
        self._results: list[ToolResult] = []
        # Calls of the old kind, `function_call`, have no ids: results are told apart by name.
        self._open_functions: dict[str, str] = {}

    def read(self, message: JsonObject, path: str) -> None:
        """One more message; `path` is where it stands. Raises `BadRequestBody`."""
        role = message.get("role")
        if role not in ("tool", "function"):
            self.finish()
            self.has_names = self.has_names or message.get("name") is not None
        match role:
            case "user":
                parts: tuple[Part, ...] = _content(message, path, images=True)
                self.turns.append(Turn(Role.USER, parts))
            case "assistant":
                self.turns.append(Turn(Role.ASSISTANT, self._of_assistant(message, path)))
            case "system" | "developer":
                self.system += _texts(message, path)
            case "tool":
                self._results.append(self._of_tool(message, path))
            case "function":
                self._results.append(self._of_function(message, path))
            case _:
                raise BadRequestBody(
                    f"{path}.role must be one of system, developer, user, assistant and tool",
                    f"{path}.role",
                )

    def finish(self) -> None:
        """No more results of tools follow: those that came stand in one turn of the user's."""
        if self._results:
            self.turns.append(Turn(Role.USER, tuple(self._results)))
            self._results.clear()

    def _of_assistant(self, message: JsonObject, path: str) -> tuple[Part, ...]:
        if message.get("audio") is not None:
            raise BadRequestBody(f"{path}.audio {_ONLY_OPENAI}", f"{path}.audio")
        parts: list[Part] = []
        # What compatible providers say, and we, comes back from callers who keep whole messages.
        thought = message.get("reasoning_content") or message.get("reasoning")
        if isinstance(thought, str) and thought:
            parts.append(Reasoning(thought))
        if message.get("content") is not None:
            parts += _content(message, path, images=False)
        if refusal := optional_text(message, "refusal", f"{path}."):
            parts.append(Refusal(refusal))
        calls = self._calls(message, path)
        if calls:
            # Beside a call, no words are often an empty text, which some providers refuse.
            parts = [part for part in parts if part != Text("")]
        parts += calls
        if not parts:
            raise BadRequestBody(
                f"{path} says nothing: give it content, tool_calls or both", f"{path}.content"
            )
        return tuple(parts)

    def _calls(self, message: JsonObject, path: str) -> list[ToolCall]:
        calls = []
        given = message.get("tool_calls")
        for number, one in enumerate([] if given is None else list_of(given, f"{path}.tool_calls")):
            at = f"{path}.tool_calls[{number}]"
            call = object_of(one, at)
            if call.get("type", "function") != "function":
                raise BadRequestBody(
                    f"{at} is no call of a function, which {_ONLY_OPENAI}", f"{at}.type"
                )
            given_id = name_of(call.get("id"), f"{at}.id")
            calls.append(_call(call.get("function"), f"{at}.function", given_id))
        legacy = message.get("function_call")
        if legacy is not None:
            call_id = f"call_{len(self.turns)}"
            calls.append(_call(legacy, f"{path}.function_call", call_id))
            self._open_functions[calls[-1].name] = call_id
        for one in calls:
            self._tool_names[one.id] = one.name
        return calls

    def _of_tool(self, message: JsonObject, path: str) -> ToolResult:
        call_id = name_of(message.get("tool_call_id"), f"{path}.tool_call_id")
        return ToolResult(call_id, _texts(message, path), self._tool_names.get(call_id))

    def _of_function(self, message: JsonObject, path: str) -> ToolResult:
        name = name_of(message.get("name"), f"{path}.name")
        call_id = self._open_functions.pop(name, None)
        if call_id is None:
            raise BadRequestBody(
                f"{path} answers no function_call of an assistant's message before it",
                f"{path}.name",
            )
        return ToolResult(call_id, _texts(message, path), name)


def _call(given: object, path: str, call_id: str) -> ToolCall:
    function = object_of(given, path)
    name = name_of(function.get("name"), f"{path}.name")
    arguments = text_of(function.get("arguments"), f"{path}.arguments")
    return ToolCall(call_id, name, arguments if arguments.strip() else "{}")


def _texts(message: JsonObject, path: str) -> tuple[Text, ...]:
    """The content of a message that may hold text alone."""
    parts = _content(message, path, images=False)
    for part in parts:
        if not isinstance(part, Text):
            raise BadRequestBody(
                f"{path}.content must be text: {message['role']} messages hold no refusals",
                f"{path}.content",
            )
    return tuple(part for part in parts if isinstance(part, Text))


def _content(message: JsonObject, path: str, *, images: bool) -> tuple[Text | Image | Refusal, ...]:
    content = message.get("content")
    if isinstance(content, str):
        return (Text(content),)
    if not isinstance(content, list) or not content:
        raise BadRequestBody(
            f"{path}.content must be a string or an array of content parts, with one at least",
            f"{path}.content",
        )
    return tuple(
        _part(part, f"{path}.content[{number}]", images=images)
        for number, part in enumerate(content)
    )


def _part(given: object, path: str, *, images: bool) -> Text | Image | Refusal:
    part = object_of(given, path)
    kind = part.get("type")
    match kind:
        case "text":
            return Text(text_of(part.get("text"), f"{path}.text"))
        case "refusal":
            return Refusal(text_of(part.get("refusal"), f"{path}.refusal"))
        case "image_url" if images:
            return _image(part, f"{path}.image_url")
        case "image_url":
            raise BadRequestBody(
                f"{path} is an image, which can stand in a user's message alone", path
            )
        case "input_audio" | "file":
            raise BadRequestBody(f"{path}: a part of type {kind} {_ONLY_OPENAI}", path)
        case _:
            raise BadRequestBody(f"{path}.type must be text, image_url or refusal", f"{path}.type")


def _image(part: JsonObject, path: str) -> Image:
    url = text_of(object_of(part.get("image_url"), path).get("url"), f"{path}.url")
    scheme, _, rest = url.partition(":")
    match scheme.lower():
        case "http" | "https" if rest.startswith("//"):
            return Image(url=url)
        case "data":
            head, comma, data = rest.partition(",")
            media_type, *parameters = head.lower().split(";")
            if comma and data and media_type.startswith("image/") and "base64" in parameters:
                return Image(media_type, data)
    raise BadRequestBody(
        f"{path}.url must be an http or https URL, or data:image/…;base64,…", f"{path}.url"
    )
