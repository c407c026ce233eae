"""Reads what a request in OpenAI's protocol says of tools.

https://platform.openai.com/docs/guides/function-calling
"""

from typing import NamedTuple

from trunkline.gateway.conversation import JsonObject, Tool, ToolChoice
from trunkline.gateway.faces.openai_fields import (
    list_of,
    name_of,
    object_of,
    optional_flag,
    optional_object,
    optional_text,
)
from trunkline.gateway.protocols import BadRequestBody

_CUSTOM = (
    "works only with a provider that speaks OpenAI's protocol: declare a tool of type function"
)


class AskedTools(NamedTuple):
    """The tools, which of them are to be called, and whether several at once."""

    tools: tuple[Tool, ...] = ()
    choice: ToolChoice | None = None
    parallel: bool | None = None


def read_tools(body: JsonObject) -> AskedTools:
    """`tools`, `tool_choice` and `parallel_tool_calls`; without tools nothing is said of the
    others. Raises `BadRequestBody`.
    """
    parallel = optional_flag(body, "parallel_tool_calls")
    given = body.get("tools")
    tools = [] if given is None else _tools(given)
    names = {tool.name for tool in tools}
    if len(names) < len(tools):
        raise BadRequestBody("two tools have the same name: give each its own", "tools")
    choice, allowed = _choice(body)
    if not tools:
        if choice is not None and choice.mode in {"required", "named"}:
            raise BadRequestBody("tool_choice demands a tool, but there is none", "tool_choice")
        return AskedTools()
    if choice is None:
        return AskedTools(tuple(tools), None, parallel)
    for name in [choice.name] if choice.name is not None else allowed or []:
        if name not in names:
            raise BadRequestBody("tool_choice names a tool that is not in tools", "tool_choice")
    if allowed is not None:
        tools = [tool for tool in tools if tool.name in allowed]
    return AskedTools(tuple(tools), choice, parallel)


def _tools(given: object) -> list[Tool]:
    tools = []
    for number, one in enumerate(list_of(given, "tools")):
        path = f"tools[{number}]"
        tool = object_of(one, path)
        if tool.get("type") != "function":
            raise BadRequestBody(f"{path}: a tool that is no function {_CUSTOM}", f"{path}.type")
        tools.append(_tool(tool.get("function"), f"{path}.function"))
    return tools


def _tool(given: object, path: str) -> Tool:
    function = object_of(given, path)
    return Tool(
        name_of(function.get("name"), f"{path}.name"),
        optional_text(function, "description", f"{path}."),
        optional_object(function, "parameters", f"{path}."),
        optional_flag(function, "strict", f"{path}."),
    )


def _choice(body: JsonObject) -> tuple[ToolChoice | None, list[str] | None]:
    """The choice, and the names of the tools that alone may be called where it says so."""
    choice = body.get("tool_choice")
    if choice is None:
        return None, None
    match choice:
        case "auto" | "none" | "required":
            return ToolChoice(choice), None
        case {"type": "function", "function": function}:
            return ToolChoice("named", _function_name(function, "tool_choice.function")), None
        case {"type": "custom"}:
            raise BadRequestBody(f"tool_choice: a custom tool {_CUSTOM}", "tool_choice.type")
        case {"type": "allowed_tools", "allowed_tools": allowed}:
            return _allowed(allowed)
    raise BadRequestBody(
        'tool_choice must be "none", "auto", "required", or an object that names a function',
        "tool_choice",
    )


def _allowed(given: object) -> tuple[ToolChoice, list[str]]:
    """The tools that aren't allowed are left out: so every provider can be told."""
    path = "tool_choice.allowed_tools"
    allowed = object_of(given, path)
    names = []
    for number, one in enumerate(list_of(allowed.get("tools"), f"{path}.tools")):
        tool = object_of(one, f"{path}.tools[{number}]")
        names.append(_function_name(tool.get("function"), f"{path}.tools[{number}].function"))
    match allowed.get("mode"):
        case "auto" | "required" as mode if names:
            return ToolChoice(mode), names
    raise BadRequestBody(f'{path} must have tools, and a mode of "auto" or "required"', path)


def _function_name(given: object, path: str) -> str:
    return name_of(object_of(given, path).get("name"), f"{path}.name")
