"""Reads what a request in OpenAI's protocol says of tools, in its new words and its old ones.

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
    """The tools, and which of them are to be called."""

    tools: tuple[Tool, ...]
    choice: ToolChoice | None


def read_tools(body: JsonObject) -> AskedTools:
    """`tools` and `tool_choice`, or `functions` and `function_call`. Raises `BadRequestBody`."""
    given, old = body.get("tools"), body.get("functions")
    tools = [] if given is None else _tools(given)
    tools += [] if old is None else _functions(old)
    names = {tool.name for tool in tools}
    if len(names) < len(tools):
        raise BadRequestBody("two tools have the same name: give each its own", "tools")
    choice, allowed = _choice(body)
    if choice is None:
        return AskedTools(tuple(tools), None)
    if choice.mode in {"required", "named"} and not tools:
        raise BadRequestBody("tool_choice demands a tool, but there are no tools", "tool_choice")
    for name in [choice.name] if choice.name is not None else allowed or []:
        if name not in names:
            raise BadRequestBody("tool_choice names a tool that is not in tools", "tool_choice")
    if allowed is not None:
        tools = [tool for tool in tools if tool.name in allowed]
    return AskedTools(tuple(tools), choice)


def _tools(given: object) -> list[Tool]:
    tools = []
    for number, one in enumerate(list_of(given, "tools")):
        path = f"tools[{number}]"
        tool = object_of(one, path)
        if tool.get("type") != "function":
            raise BadRequestBody(f"{path}: a tool that is no function {_CUSTOM}", f"{path}.type")
        tools.append(_tool(tool.get("function"), f"{path}.function"))
    return tools


def _functions(given: object) -> list[Tool]:
    functions = list_of(given, "functions")
    return [_tool(one, f"functions[{number}]") for number, one in enumerate(functions)]


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
        return _old_choice(body.get("function_call")), None
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


def _old_choice(given: object) -> ToolChoice | None:
    match given:
        case None:
            return None
        case "auto" | "none":
            return ToolChoice(given)
        case {"name": str(name)} if name:
            return ToolChoice("named", name)
    raise BadRequestBody(
        'function_call must be "none", "auto", or an object with a name', "function_call"
    )


def _function_name(given: object, path: str) -> str:
    return name_of(object_of(given, path).get("name"), f"{path}.name")
