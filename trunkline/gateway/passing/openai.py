"""Passes chat completions from a caller to a provider who speaks OpenAI's protocol too.

What passes is the caller's body and the provider's bytes, so a field that is new works on its first
day. Of a stream only whole events pass, each as it came.
"""

from collections.abc import Mapping

import orjson

from trunkline.gateway.answers import Usage
from trunkline.gateway.conversation import JsonObject
from trunkline.gateway.cut_characters import without_halves
from trunkline.gateway.dialects.openai import PATH
from trunkline.gateway.dialects.openai_answers import (
    arguments_of,
    finish_of,
    is_object,
    raise_error_of,
    read_answer,
    texts_of,
    thoughts_of,
    usage_of,
)
from trunkline.gateway.dialects.openai_streams import DONE
from trunkline.gateway.faces.openai_reading import asks_for_usage
from trunkline.gateway.framing import EventSplitter, EventTooLarge, ServerSentEvent
from trunkline.gateway.openai_compatible import messages_for, stream_options_for, with_own_seed
from trunkline.gateway.openai_signatures import GOOGLE, without_signatures
from trunkline.gateway.protocols import (
    BadRequestBody,
    ProviderCall,
    SeenAnswer,
    StreamCut,
    StreamFailed,
)

_OTHER_TOKENS = ("function_call", "audio")


class OpenAiPassing:
    """`POST /chat/completions`, in and out."""

    def ask(
        self, body: JsonObject, wire_name: str, *, known_provider: str | None = None
    ) -> ProviderCall:
        """The caller's body with the model's wire name for its name, and in a stream with the wish
        for usage. Google's marks on calls go to Google alone, and what others refuse goes not to
        them (see `openai_compatible`). Raises `BadRequestBody` where it is nested too deep to be
        written again.
        """
        asked = with_own_seed(known_provider, {**body, "model": wire_name})
        messages = body.get("messages")
        if isinstance(messages, list):
            if known_provider != GOOGLE:
                messages = without_signatures(messages)
            asked["messages"] = messages_for(known_provider, messages)
        options = body.get("stream_options")
        # Options that are none are for the provider to refuse.
        if body.get("stream") is True and (options is None or isinstance(options, Mapping)):
            asked.pop("stream_options", None)
            if (asking := stream_options_for(known_provider, options)) is not None:
                asked["stream_options"] = asking
        try:
            return ProviderCall(PATH, orjson.dumps(asked))
        except orjson.JSONEncodeError as error:
            raise BadRequestBody(
                f"the request can't be written as JSON ({error}): mend its text, or nest it less "
                "deeply"
            ) from None

    def look(self, body: bytes) -> SeenAnswer:
        """What stands in a `chat.completion`. Raises `UnreadableAnswer`, and `StreamFailed` where
        it is an error, or its finish reason says that it failed.
        """
        answer = read_answer(body)
        return SeenAnswer(answer.usage, _said_in(answer.message))

    def stream(self, body: JsonObject) -> "OpenAiPassingStream":
        """Looks at one stream. Usage by itself passes where the caller asked for it."""
        many = body.get("n")
        return OpenAiPassingStream(
            choices=max(1, many) if isinstance(many, int) else 1, usage_passes=asks_for_usage(body)
        )


class OpenAiPassingStream:
    """Looks at one stream. It is whole with a finish reason of each of its choices or with
    `[DONE]`, after which nothing passes.
    """

    def __init__(self, *, choices: int, usage_passes: bool) -> None:
        self.begun = False
        self.usage: Usage | None = None
        self.said = 0
        self._usage_passes = usage_passes
        self._splitter = EventSplitter()
        self._choices = choices
        self._finished: set[str] = set()
        self._done = False

    @property
    def done(self) -> bool:
        """Whether `[DONE]` has come."""
        return self._done

    def feed(self, chunk: bytes) -> bytes:
        """What to pass on of these bytes. Raises `StreamFailed`, or `StreamCut` where an event is
        too large; nothing of the same bytes has passed then, so tokens among them begin nothing.
        """
        begun = self.begun
        try:
            events = self._splitter.feed(chunk)
            return b"".join([event.raw for event in events if self._passes(event)])
        except StreamFailed:
            self.begun = begun
            raise
        except EventTooLarge as error:
            raise StreamCut(f"the provider sent {error}") from None

    def end(self) -> bytes:
        """What is left: an event without its blank line, and `[DONE]` where only the finish reason
        told of the end. Raises `StreamCut`, and `StreamFailed`.
        """
        rest = self.feed(b"\n\n") if self._splitter.rest() else b""
        if self._done:
            return rest
        if len(self._finished) < self._choices:
            raise StreamCut("the provider's stream ended within its answer")
        self._done = True
        return rest + b"data: " + DONE + b"\n\n"

    def _passes(self, event: ServerSentEvent) -> bool:
        data = event.data
        if self._done:
            return False
        if not data:
            return True
        if data.startswith(DONE):
            self._done = True
            return True
        try:
            said: object = orjson.loads(data)
        except orjson.JSONDecodeError:
            said = without_halves(data)
        if not isinstance(said, dict):
            return False
        # This runs for every token, so it calls no more than it must.
        if "error" in said or said.get("object") == "error":
            raise_error_of(said, data)
        choices = said.get("choices")
        if isinstance(choices, list):
            for choice in choices:
                if isinstance(choice, dict):
                    self._look(choice, data)
        used = said.get("usage")
        if used is None:
            return True
        self.usage = usage_of(used) or self.usage
        # The chunk that is there for the usage alone, which we asked for.
        return self._usage_passes or bool(choices)

    def _look(self, choice: dict[str, object], data: bytes) -> None:
        delta = choice.get("delta")
        if isinstance(delta, dict):
            content = delta.get("content")
            # Nearly all have content alone.
            said = len(content) if type(content) is str and len(delta) == 1 else _said_in(delta)
            self.said += said
            if not self.begun:
                self.begun = said > 0 or any(delta.get(name) for name in _OTHER_TOKENS)
        reason = choice.get("finish_reason")
        if reason is not None and finish_of(reason, data) is not None:
            self._finished.add(str(choice.get("index")))


def _said_in(message: dict[str, object]) -> int:
    """Characters that the model said in a message or a delta."""
    said, thought = texts_of(message.get("content"))
    length = len(said) + len(thoughts_of(message) or thought)
    refusal = message.get("refusal")
    if isinstance(refusal, str):
        length += len(refusal)
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if is_object(call) else None
        if is_object(function):
            name = function.get("name")
            length += len(name) if isinstance(name, str) else 0
            try:
                length += len(arguments_of(function.get("arguments")))
            except TypeError:
                continue  # Nested too deep for an estimate.
    return length
