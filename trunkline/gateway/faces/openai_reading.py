"""Reads a request in OpenAI's protocol as a chat.

https://platform.openai.com/docs/api-reference/chat/create
"""

from collections.abc import Mapping

from trunkline.gateway.conversation import Conversation, JsonObject, OutputFormat
from trunkline.gateway.faces.openai_fields import (
    list_of,
    object_of,
    optional_count,
    optional_flag,
    optional_number,
    optional_object,
    optional_text,
    text_of,
)
from trunkline.gateway.faces.openai_messages import MessageReader
from trunkline.gateway.faces.openai_tools import read_tools
from trunkline.gateway.protocols import BadRequestBody

MOST_STOPS = 4
_MOST_TOKENS = 10**9
_ONLY_OPENAI = "works only with a provider that speaks OpenAI's protocol"
_EFFORTS = frozenset({"minimal", "low", "medium", "high", "xhigh", "max"})

_READ = frozenset(
    {
        "model", "messages", "stream", "stream_options", "n",
        "tools", "tool_choice", "parallel_tool_calls",
        "response_format", "max_tokens", "max_completion_tokens",
        "temperature", "top_p", "top_k", "stop", "seed", "presence_penalty", "frequency_penalty",
        "reasoning_effort", "modalities",
    }
)  # fmt: skip
# For the books alone: nobody misses them in an answer.
_BOOKKEEPING = frozenset({"user", "metadata"})
# Without them the answer would be another one than is asked for.
_REFUSED = {
    "audio": _ONLY_OPENAI,
    "web_search_options": _ONLY_OPENAI,
    "moderation": _ONLY_OPENAI,
    # An answer has the new form, which whoever asks in the old one does not read.
    "functions": f"{_ONLY_OPENAI}: declare tools",
    "function_call": f"{_ONLY_OPENAI}: give tool_choice",
}
_MOST_IGNORED = 20


def read_request(body: JsonObject) -> Conversation:
    """The chat that is asked for. Raises `BadRequestBody`."""
    _refuse(body)
    messages = MessageReader()
    for number, message in enumerate(list_of(body.get("messages"), "messages")):
        path = f"messages[{number}]"
        messages.read(object_of(message, path), path)
    messages.finish()
    if not messages.turns:
        raise BadRequestBody("messages must hold one that isn't the system's", "messages")
    tools = read_tools(body)
    effort, reasoning_tokens = _reasoning(body)
    most = optional_count(body, "max_completion_tokens", 1, _MOST_TOKENS)
    most_by_old_name = optional_count(body, "max_tokens", 1, _MOST_TOKENS)
    return Conversation(
        system=tuple(messages.system),
        turns=tuple(messages.turns),
        tools=tools.tools,
        tool_choice=tools.choice,
        parallel_tool_calls=tools.parallel,
        output=_output(body),
        max_output_tokens=most_by_old_name if most is None else most,
        temperature=optional_number(body, "temperature", 0, 2),
        top_p=optional_number(body, "top_p", 0, 1),
        # Not OpenAI's: many who are compatible take it.
        top_k=optional_count(body, "top_k", 0, _MOST_TOKENS),
        stop=_stop(body.get("stop")),
        seed=optional_count(body, "seed", -(2**63), 2**63 - 1),
        presence_penalty=optional_number(body, "presence_penalty", -2, 2),
        frequency_penalty=optional_number(body, "frequency_penalty", -2, 2),
        reasoning_effort=effort,
        reasoning_tokens=reasoning_tokens,
        user=optional_text(body, "user"),
        stream=body.get("stream") is True,
        ignored=_ignored(body, messages),
    )


def asks_for_usage(body: JsonObject) -> bool:
    """Whether the caller of a stream wants the chunk that tells of usage."""
    options = body.get("stream_options")
    return isinstance(options, Mapping) and options.get("include_usage") is True


def _refuse(body: JsonObject) -> None:
    """What asks for another kind of answer than a chat of ours can hold."""
    for name, why in _REFUSED.items():
        if body.get(name) is not None:
            raise BadRequestBody(f"{name} {why}", name)
    if body.get("modalities") not in (None, [], ["text"]):
        raise BadRequestBody(
            'modalities other than ["text"] work only with a provider that speaks OpenAI\'s '
            "protocol",
            "modalities",
        )
    many = body.get("n")
    if many is not None and (many != 1 or isinstance(many, bool)):
        raise BadRequestBody("n must be 1: ask several times for several answers", "n")
    optional_object(body, "stream_options")


def _ignored(body: JsonObject, messages: MessageReader) -> tuple[str, ...]:
    """The parameters that are left out. Their names go into a header: none but plain words may."""
    ignored = ["messages.name"] if messages.has_names else []
    for name, value in body.items():
        if name in _READ or name in _BOOKKEEPING or value is None or value is False:
            continue
        if not (name.isascii() and name.isidentifier() and len(name) <= 64):
            raise BadRequestBody("a parameter's name is no plain word: leave it out")
        ignored.append(name)
    if len(ignored) > _MOST_IGNORED:
        raise BadRequestBody(
            f"more than {_MOST_IGNORED} parameters have no counterpart: leave some out"
        )
    return tuple(ignored)


def _reasoning(body: JsonObject) -> tuple[str | None, int | None]:
    effort = optional_text(body, "reasoning_effort")
    if effort == "none":
        return None, 0
    if effort is not None and effort not in _EFFORTS:
        raise BadRequestBody(
            "reasoning_effort must be one of none, minimal, low, medium, high, xhigh and max",
            "reasoning_effort",
        )
    return effort, None


def _stop(given: object) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, str):
        return (given,)
    stops = list_of(given, "stop")
    if len(stops) > MOST_STOPS:
        raise BadRequestBody(f"stop takes at most {MOST_STOPS} sequences", "stop")
    return tuple(text_of(one, f"stop[{number}]") for number, one in enumerate(stops))


def _output(body: JsonObject) -> OutputFormat | None:
    wanted = optional_object(body, "response_format")
    if wanted is None:
        return None
    match wanted.get("type"):
        case "text":
            return None
        case "json_object":
            return OutputFormat()
        case "json_schema":
            path = "response_format.json_schema"
            given = object_of(wanted.get("json_schema"), path)
            return OutputFormat(
                optional_object(given, "schema", f"{path}."),
                optional_text(given, "name", f"{path}."),
                optional_text(given, "description", f"{path}."),
                optional_flag(given, "strict", f"{path}."),
            )
    raise BadRequestBody(
        "response_format.type must be text, json_object or json_schema", "response_format.type"
    )
