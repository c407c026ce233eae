"""Reads a request in Anthropic's protocol. https://platform.claude.com/docs/en/api/messages"""

import re

from trunkline.gateway.conversation import Conversation, JsonObject, OutputFormat, Tool, ToolChoice
from trunkline.gateway.faces.anthropic_blocks import MessagesReader, only_anthropic
from trunkline.gateway.faces.anthropic_fields import (
    Json,
    object_at,
    objects_at,
    optional_count_at,
    optional_flag_at,
    optional_share_at,
    optional_text_at,
    text_at,
)
from trunkline.gateway.protocols import BadRequestBody

LARGEST_COUNT = 10**9
"""Tokens; more is a slip."""

_READ = frozenset(
    {
        "model",
        "stream",
        "messages",
        "system",
        "max_tokens",
        "tools",
        "tool_choice",
        "output_config",
        "output_format",
        "temperature",
        "top_p",
        "top_k",
        "stop_sequences",
        "thinking",
        "metadata",
    }
)
# Without them, the answer would be another.
_ONLY_ANTHROPIC = ("container", "mcp_servers")
_EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
# What a model does that is to think, and is told no effort.
_ADAPTIVE_EFFORT = "high"
# Names go into a header.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MOST_NAMES = 16
# What a tool may carry that changes no answer of another provider's.
_IGNORED_OF_TOOLS = (
    "cache_control",
    "eager_input_streaming",
    "input_examples",
    "defer_loading",
    "allowed_callers",
)
_OUTPUT_CONFIG = frozenset({"effort", "format"})


def read_request(body: JsonObject) -> Conversation:
    """The chat that is asked for. Raises `BadRequestBody`.

    `ignored` names parameters without a counterpart, also those that aren't known. Tools of
    Anthropic's servers, documents and other content that it alone has are refused.
    """
    values = dict(body)
    ignored: set[str] = set()
    _note_unread(values, _READ, "", ignored)
    reader = MessagesReader(ignored)
    turns = reader.turns(values.get("messages"))
    system = values.get("system")
    texts = reader.texts(system, "system") if system is not None else []
    most = optional_count_at(values, "max_tokens", "", 1, LARGEST_COUNT)
    if most is None:
        raise BadRequestBody("max_tokens is missing: say how much the model may say", "max_tokens")
    choice, parallel = _tool_choice(values.get("tool_choice"))
    config = _object_or_empty(values.get("output_config"), "output_config")
    _note_unread(config, _OUTPUT_CONFIG, "output_config.", ignored)
    effort, budget = _reasoning(values.get("thinking"), config, ignored)
    metadata = _object_or_empty(values.get("metadata"), "metadata")
    return Conversation(
        system=(*texts, *reader.system),
        turns=turns,
        tools=_tools(values.get("tools"), ignored),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        output=_output(values, config),
        max_output_tokens=most,
        temperature=optional_share_at(values, "temperature"),
        top_p=optional_share_at(values, "top_p"),
        top_k=optional_count_at(values, "top_k", "", 0, LARGEST_COUNT),
        stop=_stop(values.get("stop_sequences")),
        reasoning_effort=effort,
        reasoning_tokens=budget,
        user=optional_text_at(metadata, "user_id", "metadata"),
        stream=values.get("stream") is True,
        ignored=tuple(sorted(ignored)[:_MOST_NAMES]),
    )


def _note_unread(values: Json, known: frozenset[str], prefix: str, ignored: set[str]) -> None:
    for name, value in values.items():
        if name in known or value is None:
            continue
        if name in _ONLY_ANTHROPIC and value:
            raise only_anthropic("this parameter", name)
        if not _NAME.fullmatch(name):
            raise BadRequestBody(f"{name[:64]!r} is no parameter: leave it out")
        ignored.add(prefix + name)


def _object_or_empty(value: object, place: str) -> Json:
    return {} if value is None else object_at(value, place)


def _tools(tools: object, ignored: set[str]) -> tuple[Tool, ...]:
    if tools is None:
        return ()
    read = []
    for tool, place in objects_at(tools, "tools"):
        kind = tool.get("type")
        if kind not in (None, "custom"):
            raise only_anthropic("a tool of a type other than custom", place)
        ignored.update(name for name in _IGNORED_OF_TOOLS if tool.get(name))
        read.append(
            Tool(
                text_at(tool, "name", place),
                optional_text_at(tool, "description", place),
                object_at(tool.get("input_schema"), f"{place}.input_schema"),
                optional_flag_at(tool, "strict", place),
            )
        )
    return tuple(read)


def _tool_choice(value: object) -> tuple[ToolChoice | None, bool | None]:
    """The choice, and whether several calls at once are welcome."""
    if value is None:
        return None, None
    choice = object_at(value, "tool_choice")
    match choice.get("type"):
        case "auto":
            read = ToolChoice("auto")
        case "any":
            read = ToolChoice("required")
        case "none":
            read = ToolChoice("none")
        case "tool":
            read = ToolChoice("named", text_at(choice, "name", "tool_choice"))
        case _:
            at = "tool_choice.type"
            raise BadRequestBody(f"{at} must be auto, any, tool or none", at)
    disabled = optional_flag_at(choice, "disable_parallel_tool_use", "tool_choice")
    return read, None if disabled is None else not disabled


def _reasoning(thinking: object, config: Json, ignored: set[str]) -> tuple[str | None, int | None]:
    """The effort or the budget; an effort beside a budget, or beside none, is left out."""
    effort = optional_text_at(config, "effort", "output_config")
    if effort is not None and effort not in _EFFORTS:
        at = "output_config.effort"
        raise BadRequestBody(f"{at} must be low, medium, high, xhigh or max", at)
    if thinking is None:
        return effort, None
    wanted = object_at(thinking, "thinking")
    budget: int | None = None
    match wanted.get("type"):
        case "enabled":
            at = "thinking.budget_tokens"
            budget = optional_count_at(wanted, "budget_tokens", "thinking", 1, LARGEST_COUNT)
            if budget is None:
                raise BadRequestBody(f"{at} is missing: say how much the model may think", at)
        case "disabled":
            budget = 0
        case "adaptive":
            return effort or _ADAPTIVE_EFFORT, None
        case "between_tools":
            ignored.add("thinking")
            return effort, None
        case _:
            at = "thinking.type"
            raise BadRequestBody(f"{at} must be enabled, disabled or adaptive", at)
    if effort is not None:
        ignored.add("output_config.effort")
    return None, budget


def _output(values: Json, config: Json) -> OutputFormat | None:
    """The format, also where it stood before it moved into `output_config`."""
    wanted, place = config.get("format"), "output_config.format"
    if wanted is None:
        wanted, place = values.get("output_format"), "output_format"
    if wanted is None:
        return None
    given = object_at(wanted, place)
    if given.get("type") != "json_schema":
        raise BadRequestBody(f"{place}.type must be json_schema", f"{place}.type")
    return OutputFormat(schema=object_at(given.get("schema"), f"{place}.schema"))


def _stop(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BadRequestBody("stop_sequences must be a list of texts", "stop_sequences")
    return tuple(value)
