"""The body of a chat completion.

https://platform.openai.com/docs/api-reference/chat/create
"""

from collections.abc import Iterator, Mapping

from trunkline.gateway.conversation import (
    Conversation,
    Image,
    JsonObject,
    OutputFormat,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from trunkline.gateway.dialects.openai_models import UNKNOWN, OpenAiModel, openai_model
from trunkline.gateway.openai_compatible import messages_for, stream_options_for, with_own_seed
from trunkline.gateway.protocols import CannotSay

MOST_STOPS = 4
"""OpenAI's own bound; others have their own, or none."""

_LEAST_OF_EFFORT = ((16_384, "high"), (4_096, "medium"), (1, "low"), (0, "none"))
"""Which effort a budget of tokens for reasoning becomes: the first whose least it reaches."""

# As OpenAI names them, with what they are where nothing is said.
_SAMPLING: Mapping[str, float] = {
    "temperature": 1,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
}
_SAME_NAME = ("seed", "user")


def effort_of(reasoning_tokens: int) -> str:
    """The effort nearest to a budget of tokens, which OpenAI's protocol has no word for: none for
    0, low below 4,096, medium below 16,384, else high.
    """
    return next(word for least, word in _LEAST_OF_EFFORT if reasoning_tokens >= least)


def body_of(
    conversation: Conversation,
    wire_name: str,
    *,
    official: bool,
    known_provider: str | None = None,
) -> tuple[dict[str, object], tuple[str, ...]]:
    """The request, and the parameters that it leaves out. Raises `CannotSay`."""
    messages = messages_for(known_provider, list(_messages(conversation)))
    body: dict[str, object] = {"model": wire_name, "messages": messages}
    dropped: list[str] = []
    model = openai_model(wire_name) if official else UNKNOWN
    for name in _SAME_NAME:
        value = getattr(conversation, name)
        if value is not None:
            body[name] = value
    _add_sampling(conversation, model, body, dropped)
    if conversation.max_output_tokens is not None:
        # OpenAI's newer models refuse the old name, most others know no other.
        name = "max_completion_tokens" if official else "max_tokens"
        body[name] = conversation.max_output_tokens
    if conversation.top_k is not None:
        if official:
            dropped.append("top_k")
        else:
            body["top_k"] = conversation.top_k
    if conversation.stop:
        if not model.samples:
            raise CannotSay(
                f"OpenAI's {wire_name} takes no stop sequences: leave them out, or use another "
                "model"
            )
        if official and len(conversation.stop) > MOST_STOPS:
            raise CannotSay(
                f"OpenAI takes at most {MOST_STOPS} stop sequences, not {len(conversation.stop)}: "
                "leave some out"
            )
        body["stop"] = list(conversation.stop)
    _add_effort(conversation, model, body, dropped, official=official)
    if conversation.output is not None:
        body["response_format"] = _format(conversation.output)
    body.update(_tools(conversation))
    if not model.may_say_one_call and body.pop("parallel_tool_calls", None) is False:
        dropped.append("parallel_tool_calls")
    if conversation.stream:
        body["stream"] = True
        _add(body, stream_options=stream_options_for(known_provider))
    return with_own_seed(known_provider, body), tuple(dropped)


def _add_sampling(
    conversation: Conversation, model: OpenAiModel, body: dict[str, object], dropped: list[str]
) -> None:
    for name, default in _SAMPLING.items():
        value = getattr(conversation, name)
        if value is None:
            continue
        if model.samples:
            body[name] = value
        elif value != default:
            dropped.append(name)


def _add_effort(
    conversation: Conversation,
    model: OpenAiModel,
    body: dict[str, object],
    dropped: list[str],
    *,
    official: bool,
) -> None:
    asked, tokens = conversation.reasoning_effort, conversation.reasoning_tokens
    if tokens == 0 and not official:
        # Most who are compatible refuse the word "none", and don't reason unasked.
        dropped.append("reasoning")
        return
    if tokens is not None:
        asked = effort_of(tokens)
    if asked is None:
        return
    effort = model.effort_for(asked)
    if effort is not None:
        body["reasoning_effort"] = effort
    # A model that doesn't reason does what "none" asks for; one that can't do without does not.
    unfollowed = effort not in (None, "none") if asked == "none" else effort is None
    if unfollowed:
        dropped.append("reasoning")


def _messages(conversation: Conversation) -> Iterator[object]:
    if conversation.system:
        # One, as many servers take no more, and none but at the beginning.
        text = "\n\n".join(part.text for part in conversation.system)
        yield {"role": "system", "content": text}
    for turn in conversation.turns:
        if turn.role is Role.USER:
            yield from _of_user(turn)
        else:
            yield _of_assistant(turn)


def _of_user(turn: Turn) -> Iterator[JsonObject]:
    results = [part for part in turn.parts if isinstance(part, ToolResult)]
    content: list[JsonObject] = []
    for result in results:
        # Directly behind the calls, whatever else the turn says first: OpenAI refuses it otherwise.
        yield {"role": "tool", "tool_call_id": result.call_id, "content": _result_text(result)}
        images = [_image(part) for part in result.content if isinstance(part, Image)]
        if images:
            content.append(_text(f"From the result of the tool call {result.call_id}:"))
            content += images
    content += [_of_user_part(part) for part in turn.parts if not isinstance(part, ToolResult)]
    if len(content) == 1 and len(turn.parts) == 1 and isinstance(turn.parts[0], Text):
        yield {"role": "user", "content": turn.parts[0].text}
    elif content:
        yield {"role": "user", "content": content}


def _of_user_part(part: Part) -> JsonObject:
    match part:
        case Text():
            return _text(part.text)
        case Image():
            return _image(part)
        case _:
            raise CannotSay(
                "OpenAI's protocol takes text, images and tool results from a user: leave out the "
                f"{type(part).__name__} in a user's message"
            )


def _of_assistant(turn: Turn) -> JsonObject:
    texts, refusals, calls = [], [], []
    for part in turn.parts:
        match part:
            case Text():
                texts.append(part.text)
            case Refusal():
                refusals.append(part.text)
            case ToolCall():
                calls.append(_call(part))
            case Reasoning():
                pass  # It means nothing to another provider than the one who made it.
            case _:
                raise CannotSay(
                    "OpenAI's protocol takes text and tool calls from an assistant: leave out the "
                    f"{type(part).__name__} in an assistant's message"
                )
    message: dict[str, object] = {"role": "assistant"}
    # As one text, as many servers take no list of parts here.
    message["content"] = "\n\n".join(texts) if texts or not (calls or refusals) else None
    if refusals:
        message["refusal"] = "\n\n".join(refusals)
    if calls:
        message["tool_calls"] = calls
    return message


def _call(call: ToolCall) -> JsonObject:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _result_text(result: ToolResult) -> str:
    """OpenAI has no mark for a tool that failed, so the words say it."""
    text = "\n\n".join(part.text for part in result.content if isinstance(part, Text))
    if result.is_error and not text.lower().startswith("error"):
        return f"Error: {text}" if text else "Error"
    return text


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def _image(image: Image) -> JsonObject:
    if image.data is not None and image.media_type is not None:
        url = f"data:{image.media_type};base64,{image.data}"
    elif image.url is not None:
        url = image.url
    else:
        raise CannotSay("an image has neither a URL nor data with a media type: give one of them")
    return {"type": "image_url", "image_url": {"url": url}}


def _format(output: OutputFormat) -> JsonObject:
    if output.schema is None:
        return {"type": "json_object"}
    schema: dict[str, object] = {"name": output.name or "answer", "schema": output.schema}
    _add(schema, description=output.description, strict=output.strict)
    return {"type": "json_schema", "json_schema": schema}


def _tools(conversation: Conversation) -> JsonObject:
    choice = conversation.tool_choice
    if not conversation.tools:
        # OpenAI refuses to choose among no tools.
        if choice is not None and choice.mode in {"required", "named"}:
            raise CannotSay("a tool must be called, but there are none: give `tools`")
        return {}
    said: dict[str, object] = {"tools": [_tool(tool) for tool in conversation.tools]}
    if choice is not None:
        said["tool_choice"] = _choice(choice)
    _add(said, parallel_tool_calls=conversation.parallel_tool_calls)
    return said


def _tool(tool: Tool) -> JsonObject:
    function: dict[str, object] = {"name": tool.name}
    _add(
        function,
        description=tool.description,
        parameters=tool.parameters,
        strict=tool.strict,
    )
    return {"type": "function", "function": function}


def _choice(choice: ToolChoice) -> object:
    if choice.mode == "named":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode


def _add(to: dict[str, object], **said: object) -> None:
    to.update({name: value for name, value in said.items() if value is not None})
