"""A chat as the body of `POST /api/chat`. https://docs.ollama.com/api/chat"""

from collections.abc import Iterator, Mapping

from trunkline.gateway.conversation import (
    Conversation,
    Image,
    Reasoning,
    Refusal,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from trunkline.gateway.protocols import CannotSay
from trunkline.gateway.provider_json import read_arguments

_LEVELS = {"minimal": "low", "low": "low", "medium": "medium"}
_HIGH = "high"
# The one family that takes levels; the others are told whether to think.
_WITH_LEVELS = "gpt-oss"
_NO_PARAMETERS: Mapping[str, object] = {"type": "object", "properties": {}}

Json = dict[str, object]


def request_body(conversation: Conversation, wire_name: str) -> tuple[Json, tuple[str, ...]]:
    """The whole request, and what was left out in the caller's words. Raises `CannotSay`."""
    body: Json = {
        "model": wire_name,
        "messages": _messages(conversation),
        "stream": conversation.stream,
        # Or else a prompt over the context loses its beginning, and a long answer its prompt, and
        # nobody is told. Servers from before these fields pass over them.
        "truncate": False,
        "shift": False,
    }
    dropped = []
    if conversation.parallel_tool_calls is False:
        dropped.append("parallel_tool_calls")
    if conversation.tools and _may_call(conversation):
        body["tools"] = [_declared(tool) for tool in conversation.tools]
    if conversation.output is not None:
        schema = conversation.output.schema
        body["format"] = "json" if schema is None else schema
    if (think := _think(conversation, wire_name)) is not None:
        body["think"] = think
        if conversation.reasoning_tokens:
            dropped.append("thinking.budget_tokens")
    if options := _options(conversation):
        body["options"] = options
    return body, tuple(dropped)


def _may_call(conversation: Conversation) -> bool:
    choice = conversation.tool_choice
    if choice is not None and choice.mode in {"required", "named"}:
        raise CannotSay(
            "Ollama can't be made to call a tool: leave tool_choice at 'auto', or use a model of "
            "another provider"
        )
    return choice is None or choice.mode != "none"


def _think(conversation: Conversation, wire_name: str) -> bool | str | None:
    effort, tokens = conversation.reasoning_effort, conversation.reasoning_tokens
    if effort is None and tokens is None:
        return None
    if tokens == 0 or effort == "none":
        return False
    if effort is not None and _WITH_LEVELS in wire_name:
        return _LEVELS.get(effort, _HIGH)
    return True


def _options(conversation: Conversation) -> Json:
    options: Json = {
        name: value
        for name, value in (
            ("num_predict", conversation.max_output_tokens),
            ("temperature", conversation.temperature),
            ("top_p", conversation.top_p),
            ("top_k", conversation.top_k),
            ("seed", conversation.seed),
            ("presence_penalty", conversation.presence_penalty),
            ("frequency_penalty", conversation.frequency_penalty),
        )
        if value is not None
    }
    if conversation.stop:
        options["stop"] = list(conversation.stop)
    return options


def _declared(tool: Tool) -> Json:
    function: Json = {"name": tool.name, "parameters": tool.parameters or _NO_PARAMETERS}
    if tool.description is not None:
        function["description"] = tool.description
    return {"type": "function", "function": function}


def _messages(conversation: Conversation) -> list[Json]:
    messages: list[Json] = []
    system = _joined([text.text for text in conversation.system])
    if system:
        messages.append({"role": "system", "content": system})
    names: dict[str, str] = {}
    for turn in conversation.turns:
        messages += _assistant(turn, names) if turn.role is Role.ASSISTANT else _user(turn, names)
    if not messages:
        # An empty list loads the model and answers nothing.
        raise CannotSay("Ollama wants at least one message that says something")
    return messages


def _assistant(turn: Turn, names: dict[str, str]) -> Iterator[Json]:
    """The model's turn as one message; notes the names of its calls by their ids."""
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[Json] = []
    images: list[str] = []
    for part in turn.parts:
        match part:
            case Text(text=text) | Refusal(text=text):
                texts.append(text)
            case Reasoning(text=text):
                thoughts.append(text)
            case ToolCall():
                names[part.id] = part.name
                function = {"name": part.name, "arguments": read_arguments(part)}
                calls.append({"id": part.id, "function": function})
            case Image():
                images.append(_data(part))
    message: Json = {"role": "assistant", "content": _joined(texts)}
    if thinking := _joined(thoughts):
        message["thinking"] = thinking
    if calls:
        message["tool_calls"] = calls
    if images:
        message["images"] = images
    if message["content"] or len(message) > 2:
        yield message


def _user(turn: Turn, names: Mapping[str, str]) -> Iterator[Json]:
    """Each tool's result as a message, and what the user says between them as one."""
    texts: list[str] = []
    images: list[str] = []
    for part in turn.parts:
        match part:
            case Text(text=text):
                texts.append(text)
            case Image():
                images.append(_data(part))
            case ToolResult():
                yield from _message("user", texts, images)
                texts, images = [], []
                yield _result(part, names)
    yield from _message("user", texts, images)


def _message(role: str, texts: list[str], images: list[str]) -> Iterator[Json]:
    content = _joined(texts)
    if images:
        yield {"role": role, "content": content, "images": images}
    elif content:
        yield {"role": role, "content": content}


def _result(result: ToolResult, names: Mapping[str, str]) -> Json:
    content = _joined([part.text for part in result.content if isinstance(part, Text)])
    if result.is_error:
        # The protocol has no other mark for it.
        content = f"Error: {content}"
    message: Json = {"role": "tool", "content": content, "tool_call_id": result.call_id}
    name = result.name or names.get(result.call_id)
    if name is not None:
        message["tool_name"] = name
    if images := [_data(part) for part in result.content if isinstance(part, Image)]:
        message["images"] = images
    return message


def _data(image: Image) -> str:
    if image.data is None:
        raise CannotSay(
            "an image by its URL can't be sent to Ollama: send its data, as a data: URL or in "
            "base64"
        )
    return image.data


def _joined(texts: list[str]) -> str:
    return "\n".join(text for text in texts if text)
