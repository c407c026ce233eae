"""The official Python SDKs, asked and heard alike, so that one test runs over both."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from trunkline.gateway.answers import Usage

Messages = Sequence[Any]
HELLO: Messages = [{"role": "user", "content": "hello"}]
MOST_TOKENS = 4_000
"""More than any simulated answer has; Anthropic's protocol demands a bound."""


class Way(StrEnum):
    """How an SDK is asked."""

    PLAIN = "plain"
    STREAM = "stream"
    """Its iterator over a stream's events."""
    HELPER = "helper"
    """Its streaming helper, which puts the answer together itself."""


@dataclass(frozen=True)
class Tool:
    """A function; `fields` are the names of its parameters, each a text."""

    name: str
    fields: tuple[str, ...]

    @property
    def schema(self) -> dict[str, object]:
        """Its parameters, as strict tools have them."""
        return {
            "type": "object",
            "properties": {name: {"type": "string"} for name in self.fields},
            "required": list(self.fields),
            "additionalProperties": False,
        }


@dataclass(frozen=True)
class Call:
    """What a model asked for."""

    id: str
    name: str
    arguments: dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Heard:
    """An answer as its SDK gave it. `finish` is the protocol's own word; `message` is what a caller
    appends to the conversation.
    """

    text: str
    finish: str | None
    usage: Usage
    message: Any
    calls: tuple[Call, ...] = ()
    reasoning: str = ""
    refusal: str | None = None
    stop_sequence: str | None = None


class Sdk(Protocol):
    """One of them. `finishes` has the protocol's word for each of ours."""

    finishes: Mapping[str, str]

    async def ask(
        self,
        way: Way,
        model: str,
        messages: Messages = HELLO,
        tools: Sequence[Tool] = (),
        **more: Any,
    ) -> Heard:
        """The answer, whole."""

    def results(self, heard: Heard, results: Mapping[str, str]) -> list[Any]:
        """What follows a message with calls: the message, and each call's result by its id."""

    def image(self, media_type: str, data: str) -> Messages:
        """A message that shows a picture."""


class OpenAiSdk:
    """`openai`, asynchronous."""

    finishes: Mapping[str, str] = MappingProxyType({
        "stop": "stop", "stop_sequence": "stop", "length": "length", "tools": "tool_calls",
        "refusal": "stop", "filtered": "content_filter",
    })  # fmt: skip

    def __init__(self, client: AsyncOpenAI) -> None:
        self.client = client

    async def ask(
        self,
        way: Way,
        model: str,
        messages: Messages = HELLO,
        tools: Sequence[Tool] = (),
        **more: Any,
    ) -> Heard:
        """By `chat.completions`."""
        asked: dict[str, Any] = {"model": model, "messages": list(messages), **more}
        if tools:
            asked["tools"] = [self._declared(tool) for tool in tools]
        completions = self.client.chat.completions
        if way is Way.PLAIN:
            return _heard_completion(await completions.create(**asked))
        asked["stream_options"] = {"include_usage": True}
        if way is Way.STREAM:
            return await _heard_chunks(await completions.create(stream=True, **asked))
        async with completions.stream(**asked) as stream:
            async for event in stream:
                assert event.type
            return _heard_completion(await stream.get_final_completion())

    def results(self, heard: Heard, results: Mapping[str, str]) -> list[Any]:
        """The message as it came, and messages of the role "tool"."""
        return [
            heard.message,
            *(
                {"role": "tool", "tool_call_id": call_id, "content": content}
                for call_id, content in results.items()
            ),
        ]

    def image(self, media_type: str, data: str) -> Messages:
        """As a data: URL."""
        shown = {"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{data}"}}
        return [{"role": "user", "content": [{"type": "text", "text": "what is it?"}, shown]}]

    def _declared(self, tool: Tool) -> object:
        function = {"name": tool.name, "strict": True, "parameters": tool.schema}
        return {"type": "function", "function": function}


def _heard_completion(completion: Any) -> Heard:
    [choice] = completion.choices
    message = choice.message
    return Heard(
        text=message.content or "",
        finish=choice.finish_reason,
        usage=_openai_usage(completion.usage),
        message=message,
        calls=tuple(
            Call(one.id, one.function.name, json.loads(one.function.arguments))
            for one in message.tool_calls or ()
        ),
        reasoning=getattr(message, "reasoning_content", None) or "",
        refusal=message.refusal,
    )


async def _heard_chunks(stream: Any) -> Heard:
    """As a caller puts chunks together by hand."""
    said: dict[str, str] = {"content": "", "refusal": "", "reasoning_content": ""}
    calls: dict[int, dict[str, Any]] = {}
    finish = None
    usage = Usage()
    async for chunk in stream:
        if chunk.usage is not None:
            usage = _openai_usage(chunk.usage)
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            for name in said:
                said[name] += getattr(choice.delta, name, None) or ""
            for one in choice.delta.tool_calls or ():
                call = calls.setdefault(one.index, {"type": "function", "function": {}})
                function = call["function"]
                if one.id:
                    call["id"], function["name"] = one.id, one.function.name
                before = function.get("arguments", "")
                function["arguments"] = before + (one.function.arguments or "")
    message: dict[str, Any] = {"role": "assistant", "content": said["content"] or None}
    if calls:
        message["tool_calls"] = list(calls.values())
    return Heard(
        text=said["content"],
        finish=finish,
        usage=usage,
        message=message,
        calls=tuple(
            Call(one["id"], one["function"]["name"], json.loads(one["function"]["arguments"]))
            for one in calls.values()
        ),
        reasoning=said["reasoning_content"],
        refusal=said["refusal"] or None,
    )


def _openai_usage(usage: Any) -> Usage:
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    return Usage(
        input=usage.prompt_tokens,
        cache_read=(prompt and prompt.cached_tokens) or 0,
        cache_write=(prompt and getattr(prompt, "cache_write_tokens", None)) or 0,
        output=usage.completion_tokens,
        reasoning=(completion and completion.reasoning_tokens) or 0,
    )


class AnthropicSdk:
    """`anthropic`, asynchronous."""

    finishes: Mapping[str, str] = MappingProxyType({
        "stop": "end_turn", "stop_sequence": "stop_sequence", "length": "max_tokens",
        "tools": "tool_use", "refusal": "refusal", "filtered": "refusal",
    })  # fmt: skip

    def __init__(self, client: AsyncAnthropic) -> None:
        self.client = client

    async def ask(
        self,
        way: Way,
        model: str,
        messages: Messages = HELLO,
        tools: Sequence[Tool] = (),
        **more: Any,
    ) -> Heard:
        """By `messages`."""
        asked: dict[str, Any] = {
            "model": model, "messages": list(messages), "max_tokens": MOST_TOKENS, **more,
        }  # fmt: skip
        if tools:
            asked["tools"] = [
                {"name": tool.name, "input_schema": tool.schema, "strict": True} for tool in tools
            ]
        if way is Way.PLAIN:
            return _heard_message(await self.client.messages.create(**asked))
        if way is Way.STREAM:
            return await _heard_events(await self.client.messages.create(stream=True, **asked))
        async with self.client.messages.stream(**asked) as stream:
            text = "".join([piece async for piece in stream.text_stream])
            heard = _heard_message(await stream.get_final_message())
            assert heard.text == text
            return heard

    def results(self, heard: Heard, results: Mapping[str, str]) -> list[Any]:
        """The content as it came, and a message of blocks."""
        blocks = [
            {"type": "tool_result", "tool_use_id": call_id, "content": content}
            for call_id, content in results.items()
        ]
        return [heard.message, {"role": "user", "content": blocks}]

    def image(self, media_type: str, data: str) -> Messages:
        """In base64."""
        source = {"type": "base64", "media_type": media_type, "data": data}
        shown = {"type": "image", "source": source}
        return [{"role": "user", "content": [{"type": "text", "text": "what is it?"}, shown]}]


def _heard_message(message: Any) -> Heard:
    usage = message.usage
    read = usage.cache_read_input_tokens or 0
    write = usage.cache_creation_input_tokens or 0
    details = usage.output_tokens_details
    return Heard(
        text="".join(block.text for block in message.content if block.type == "text"),
        finish=message.stop_reason,
        stop_sequence=message.stop_sequence,
        usage=Usage(
            input=usage.input_tokens + read + write,
            cache_read=read,
            cache_write=write,
            output=usage.output_tokens,
            reasoning=(details and details.thinking_tokens) or 0,
        ),
        message={"role": "assistant", "content": message.content},
        calls=tuple(
            Call(block.id, block.name, dict(block.input))
            for block in message.content
            if block.type == "tool_use"
        ),
        reasoning="".join(block.thinking for block in message.content if block.type == "thinking"),
    )


async def _heard_events(stream: Any) -> Heard:
    """As a caller puts events together by hand."""
    message: Any = None
    blocks: list[Any] = []
    arguments: dict[int, str] = {}
    async for event in stream:
        match event.type:
            case "message_start":
                message = event.message
            case "content_block_start":
                assert event.index == len(blocks)
                blocks.append(event.content_block)
            case "content_block_delta":
                block, delta = blocks[event.index], event.delta
                match delta.type:
                    case "text_delta":
                        block.text += delta.text
                    case "thinking_delta":
                        block.thinking += delta.thinking
                    case "signature_delta":
                        block.signature = delta.signature
                    case "input_json_delta":
                        before = arguments.get(event.index, "")
                        arguments[event.index] = before + delta.partial_json
            case "message_delta":
                message.stop_reason = event.delta.stop_reason
                message.stop_sequence = event.delta.stop_sequence
                for name, count in event.usage.to_dict().items():
                    setattr(message.usage, name, getattr(event.usage, name, count))
    for index, text in arguments.items():
        blocks[index].input = json.loads(text or "{}")
    message.content = blocks
    return _heard_message(message)
