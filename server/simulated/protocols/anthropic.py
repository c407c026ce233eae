"""Anthropic's messages. https://platform.claude.com/docs/en/api/messages"""

from collections.abc import Iterator, Mapping

import orjson

from server.simulated.answer import Answer, Stop, ToolCall
from server.simulated.asked import (
    MOST_TOOLS,
    Asked,
    Choice,
    InvalidAsk,
    Message,
    Tool,
    read_content,
    read_model,
    read_stop_words,
)
from server.simulated.json_values import Json, json_count, json_object, json_objects, json_text
from server.simulated.protocols import anthropic_errors
from server.simulated.protocols.protocol import Failure, Frame, Page, Part, Prompt, server_sent
from server.simulated.reaction import Reaction

_IMAGE_TOKENS = 1_600
_CHOICES = {"any": Choice.REQUIRED, "none": Choice.NONE}
_FINISH = {
    Stop.WHOLE: "end_turn",
    Stop.STOP_WORD: "stop_sequence",
    Stop.LENGTH: "max_tokens",
    Stop.TOOL: "tool_use",
    Stop.REFUSAL: "refusal",
    Stop.FILTERED: "refusal",
}
# What `message_delta` tells of the usage.
_CUMULATIVE = {
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
}
_SIGNATURE = "c2ltdWxhdGVkLXNpZ25hdHVyZQ=="


class Anthropic:
    """`POST /v1/messages`, `GET /v1/models`."""

    name = "anthropic"
    id_header: str | None = "request-id"
    stream_type = "text/event-stream; charset=utf-8"

    def key_of(self, headers: Mapping[str, str]) -> str | None:
        """`x-api-key`."""
        return headers.get("x-api-key")

    def read(self, prompt: Prompt) -> Asked:
        """A message."""
        body = prompt.body
        if "anthropic-version" not in prompt.headers:
            raise InvalidAsk("anthropic-version: header is required")
        if not body.get("model"):
            raise InvalidAsk("model: Field required")
        most = json_count(body.get("max_tokens"))
        if most is None:
            raise InvalidAsk("max_tokens: Field required")
        given = json_objects(body.get("messages"))
        if not given:
            raise InvalidAsk("messages: at least one message is required")
        messages = [
            Message(json_text(one.get("role")), read_content(one.get("content"))) for one in given
        ]
        if body.get("system"):
            messages.insert(0, Message("system", read_content(body["system"])))
        choice = json_object(body.get("tool_choice"))
        thinking = json_object(body.get("thinking")).get("type")
        return Asked(
            model=read_model(body["model"]),
            messages=tuple(messages),
            image_tokens=_IMAGE_TOKENS,
            stream=body.get("stream") is True,
            most_tokens=most,
            stop_words=read_stop_words(body.get("stop_sequences")),
            tools=tuple(
                Tool(json_text(one["name"]), json_object(one.get("input_schema")))
                for one in json_objects(body.get("tools"))[:MOST_TOOLS]
                if json_text(one.get("name"))
            ),
            tool_choice=_CHOICES.get(json_text(choice.get("type")), Choice.AUTO),
            tool_wanted=json_text(choice.get("name")) or None,
            parallel_tools=choice.get("disable_parallel_tool_use") is not True,
            schema=_schema(body),
            reasoning=thinking in ("enabled", "adaptive"),
        )

    def whole(self, answer: Answer) -> Json:
        """A `message`."""
        content: list[Json] = []
        if answer.reasoning:
            thought = {"thinking": answer.thoughts, "signature": _SIGNATURE}
            content.append({"type": "thinking", **thought})
        if answer.pieces:
            content.append({"type": "text", "text": answer.text})
        content += [
            _tool_use(call) | {"input": orjson.loads(call.arguments)} for call in answer.calls
        ]
        whole = _message(answer, content, _FINISH[answer.stop])
        return whole | ({"usage": _usage(answer)} if answer.usage_told else {})

    def stream(self, answer: Answer) -> Iterator[Frame]:
        """From `message_start` to `message_stop`."""
        start = _message(answer, [], None)
        if answer.usage_told:
            start["usage"] = _usage(answer) | {"output_tokens": 1}
        yield _event(Part.OPENING, "message_start", {"message": start})
        pinged = False
        for index, (block, deltas) in enumerate(_blocks(answer)):
            begun = {"index": index, "content_block": block}
            part = Part.OPENING if index == 0 else Part.BETWEEN
            yield _event(part, "content_block_start", begun)
            if not pinged:
                yield Frame(Part.OPENING, self.ping())
                pinged = True
            for part, delta in deltas:
                more = {"index": index, "delta": delta}
                yield _event(part, "content_block_delta", more)
            yield _event(Part.BETWEEN, "content_block_stop", {"index": index})
        delta = {"stop_reason": _FINISH[answer.stop], "stop_sequence": answer.stop_word}
        counted = {name: count for name, count in _usage(answer).items() if name in _CUMULATIVE}
        told = {"usage": counted} if answer.usage_told else {}
        yield _event(Part.FINISH, "message_delta", {"delta": delta, **told})
        yield _event(Part.DONE, "message_stop", {})

    def ping(self) -> bytes:
        """An event of its own."""
        return server_sent({"type": "ping"}, "ping")

    def malformed(self) -> bytes:
        """JSON that ends within a text."""
        broken = b'{"type": "content_block_delta", "index": 0, "delta": {"type": "text_de'
        return b"event: content_block_delta\ndata: " + broken + b"\n\n"

    def error_frame(self, message: str) -> bytes:
        """`event: error`."""
        return server_sent(anthropic_errors.error("overloaded_error", message), "error")

    def failure(self, reaction: Reaction, model: str) -> Failure:
        """An `error`."""
        return anthropic_errors.failure(reaction, model)

    def models(self, page: Page) -> Json:
        """Pages by `after_id`."""
        names = list(page.models)
        after = page.query.get("after_id", "")
        begin = names.index(after) + 1 if after in names else 0
        shown = names[begin : begin + page.page_size]
        return {
            "data": [_model(name) for name in shown],
            "has_more": begin + page.page_size < len(names),
            "first_id": shown[0] if shown else None,
            "last_id": shown[-1] if shown else None,
        }


def _model(name: str) -> Json:
    return {
        "type": "model",
        "id": name,
        "display_name": name.title(),
        "created_at": "2026-01-01T00:00:00Z",
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
        "capabilities": {"image_input": {"supported": True}, "thinking": {"supported": False}},
    }


def _event(part: Part, kind: str, data: Json) -> Frame:
    return Frame(part, server_sent({"type": kind, **data}, kind))


def _message(answer: Answer, content: list[Json], finish: str | None) -> Json:
    return {
        "id": f"msg_{answer.id}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        "stop_reason": finish,
        "stop_sequence": answer.stop_word if finish else None,
    }


def _blocks(answer: Answer) -> Iterator[tuple[Json, list[tuple[Part, Json]]]]:
    """Each content block as it begins, with its deltas."""
    if answer.reasoning:
        thoughts: list[tuple[Part, Json]] = [
            (Part.TOKEN, {"type": "thinking_delta", "thinking": piece})
            for piece in answer.reasoning
        ]
        signed: tuple[Part, Json] = (
            Part.BETWEEN,
            {"type": "signature_delta", "signature": _SIGNATURE},
        )
        yield {"type": "thinking", "thinking": "", "signature": ""}, [*thoughts, signed]
    if answer.pieces:
        yield (
            {"type": "text", "text": ""},
            [(Part.TOKEN, {"type": "text_delta", "text": piece}) for piece in answer.pieces],
        )
    for call in answer.calls:
        begun: tuple[Part, Json] = (Part.BETWEEN, {"type": "input_json_delta", "partial_json": ""})
        pieces: list[tuple[Part, Json]] = [
            (Part.TOKEN, {"type": "input_json_delta", "partial_json": piece})
            for piece in call.pieces
        ]
        yield _tool_use(call), [begun, *pieces]


def _tool_use(call: ToolCall) -> Json:
    return {"type": "tool_use", "id": f"toolu_{call.id}", "name": call.name, "input": {}}


def _usage(answer: Answer) -> Json:
    usage = answer.usage
    return {
        # What came from the cache or went into it is counted beside the input, not in it.
        "input_tokens": usage.input_tokens - usage.cached - usage.cache_written,
        "cache_creation_input_tokens": usage.cache_written,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_written,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": usage.output_tokens,
        "service_tier": "standard",
    }


def _schema(body: Json) -> Json | None:
    output = json_object(json_object(body.get("output_config")).get("format"))
    wanted = output or json_object(body.get("output_format"))
    return json_object(wanted.get("schema")) if wanted.get("type") == "json_schema" else None
