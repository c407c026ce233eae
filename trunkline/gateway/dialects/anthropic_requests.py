"""A chat as a request in Anthropic's protocol. https://platform.claude.com/docs/en/api/messages"""

import orjson

from trunkline.gateway.conversation import Conversation, OutputFormat, Role, Tool, ToolChoice
from trunkline.gateway.dialects.anthropic_messages import (
    awaits_answer_to_calls,
    messages_of,
    text_blocks,
)
from trunkline.gateway.dialects.anthropic_models import ModelTraits, traits_of
from trunkline.gateway.dialects.anthropic_schemas import SchemaNarrower
from trunkline.gateway.dialects.anthropic_thinking import Thinking, thinking_for
from trunkline.gateway.protocols import CannotSay, ProviderCall

PATH = "/v1/messages"

_CHOICES = {"auto": "auto", "required": "any", "none": "none", "named": "tool"}
_LONGEST_USER = 256
_HOTTEST = 1.0
# What it must be at least beside thinking.
_LEAST_TOP_P = 0.95


def write_request(conversation: Conversation, wire_name: str) -> ProviderCall:
    """The request. Raises `CannotSay`.

    - `max_tokens` is the caller's, else `DEFAULT_MAX_TOKENS`, and the thoughts' budget on top.
    - Dropped: seed, both penalties, a temperature above 1, blank stop sequences, a user's name of
      more than 256 characters; top_p beside a temperature; every sampling parameter that thinking
      or the model's version forbids.
    - Reasoning is dropped where the API forbids it: beside a forced tool, before an answer whose
      beginning is given, and, for budgets, after calls whose thoughts the caller didn't keep.
    - Schemas that the model is held to, of the answer and of strict tools, are narrowed to what the
      API takes (`SchemaNarrower`); keywords it doesn't hold to are dropped, as `schema.minimum`.
    - JSON without a schema can't be said: there is no such mode, and words that ask for JSON are no
      promise of it.
    """
    traits = traits_of(wire_name)
    messages = messages_of(conversation.turns)
    choice = _tool_choice(conversation)
    forced = choice is not None and choice["type"] in ("any", "tool")
    begun = messages[-1].role is Role.ASSISTANT
    unproven = not traits.adaptive and awaits_answer_to_calls(messages)
    possible = not (forced or begun or unproven)
    thinking = thinking_for(conversation, traits, possible=possible)
    body: dict[str, object] = {"model": wire_name, "max_tokens": thinking.max_tokens}
    dropped: list[str] = []
    narrower = SchemaNarrower()
    if system := text_blocks(conversation.system):
        body["system"] = system[0]["text"] if len(system) == 1 else system
    body["messages"] = [message.json() for message in messages]
    if conversation.tools:
        body["tools"] = [_tool(tool, narrower) for tool in conversation.tools]
    if choice is not None:
        body["tool_choice"] = choice
    if thinking.config is not None:
        body["thinking"] = thinking.config
    if output := _output_config(conversation.output, thinking, narrower):
        body["output_config"] = output
    if conversation.stream:
        body["stream"] = True
    _add_sampling(conversation, traits, thinking, body, dropped)
    _add_rest(conversation, thinking, body, dropped)
    dropped += sorted(f"schema.{keyword}" for keyword in narrower.untaken)
    try:
        return ProviderCall(PATH, orjson.dumps(body), tuple(dropped))
    except orjson.JSONEncodeError as error:
        raise CannotSay(f"the request can't be written as JSON: {error}") from error


def _add_sampling(
    conversation: Conversation,
    traits: ModelTraits,
    thinking: Thinking,
    body: dict[str, object],
    dropped: list[str],
) -> None:
    temperature, top_p, top_k = conversation.temperature, conversation.top_p, conversation.top_k
    if temperature is not None:
        warm = temperature == _HOTTEST if thinking.is_on else temperature <= _HOTTEST
        if traits.sampling and warm:
            body["temperature"] = temperature
        else:
            dropped.append("temperature")
    if top_p is not None:
        wide = not thinking.is_on or top_p >= _LEAST_TOP_P
        # The two together are refused since Claude 4.1.
        if traits.sampling and wide and "temperature" not in body:
            body["top_p"] = top_p
        else:
            dropped.append("top_p")
    if top_k is not None:
        if traits.sampling and not thinking.is_on:
            body["top_k"] = top_k
        else:
            dropped.append("top_k")


def _add_rest(
    conversation: Conversation, thinking: Thinking, body: dict[str, object], dropped: list[str]
) -> None:
    stop = [one for one in conversation.stop if one.strip()]
    if stop:
        body["stop_sequences"] = stop
    if len(stop) < len(conversation.stop):
        dropped.append("stop")
    user = conversation.user
    if user and len(user) <= _LONGEST_USER:
        body["metadata"] = {"user_id": user}
    elif user:
        dropped.append("user")
    if thinking.dropped:
        by_effort = conversation.reasoning_effort is not None
        dropped.append("reasoning_effort" if by_effort else "thinking")
    if conversation.seed is not None:
        dropped.append("seed")
    # A penalty of 0 is none.
    if conversation.presence_penalty:
        dropped.append("presence_penalty")
    if conversation.frequency_penalty:
        dropped.append("frequency_penalty")


def _tool(tool: Tool, narrower: SchemaNarrower) -> dict[str, object]:
    schema = dict(tool.parameters or {})
    schema.setdefault("type", "object")
    if schema["type"] == "object":
        schema.setdefault("properties", {})
    written: dict[str, object] = {"name": tool.name, "input_schema": schema}
    if tool.description:
        written["description"] = tool.description
    if tool.strict:
        written["input_schema"] = narrower.narrowed(schema)
        written["strict"] = True
    return written


def _tool_choice(conversation: Conversation) -> dict[str, object] | None:
    choice = conversation.tool_choice
    one_at_a_time = conversation.parallel_tool_calls is False
    if not conversation.tools:
        if choice is not None and choice.mode in ("required", "named"):
            raise CannotSay("a tool is to be called, but no tools are given: give them")
        return None
    if choice is None:
        if not one_at_a_time:
            return None
        choice = ToolChoice("auto")
    written: dict[str, object] = {"type": _CHOICES[choice.mode]}
    if choice.mode == "named":
        written["name"] = choice.name
    if one_at_a_time and choice.mode != "none":
        written["disable_parallel_tool_use"] = True
    return written


def _output_config(
    output: OutputFormat | None, thinking: Thinking, narrower: SchemaNarrower
) -> dict[str, object]:
    config: dict[str, object] = {}
    if thinking.effort is not None:
        config["effort"] = thinking.effort
    if output is not None:
        if output.schema is None:
            raise CannotSay(
                "Anthropic's models have no JSON mode without a schema: give a json_schema"
            )
        config["format"] = {"type": "json_schema", "schema": narrower.narrowed(output.schema)}
    return config
