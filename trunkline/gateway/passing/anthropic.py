"""Anthropic's Messages where caller and provider both speak it: bodies pass as they are."""

from collections.abc import Mapping

import orjson

from trunkline.gateway.answers import Usage
from trunkline.gateway.conversation import JsonObject
from trunkline.gateway.cut_characters import without_halves
from trunkline.gateway.dialects.anthropic_answers import read_message, text_in
from trunkline.gateway.dialects.anthropic_errors import failure_in
from trunkline.gateway.dialects.anthropic_requests import PATH
from trunkline.gateway.dialects.anthropic_usage import UsageCounts
from trunkline.gateway.dialects.google_requests import SIGNATURE_MARK
from trunkline.gateway.framing import EventSplitter, EventTooLarge, ServerSentEvent
from trunkline.gateway.protocols import BadRequestBody, ProviderCall, SeenAnswer, StreamCut

_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
# Where a delta or a block holds what the model says.
_SAID = ("text", "thinking", "partial_json")


class AnthropicPassing:
    """A request's body with the model's wire name, an answer's as it is."""

    def ask(
        self,
        body: JsonObject,
        wire_name: str,
        *,
        known_provider: str | None = None,  # noqa: ARG002 - all who speak this take the same
    ) -> ProviderCall:
        """The body as it is, but for the model's name, and without what the request would be
        refused for: the agent in its metadata, which is for us; and what another model of the chain
        has said, thoughts that no provider of this protocol has signed and texts that are blank. A
        message of which nothing is left then goes too. A budget of thinking is dropped in a turn
        that another model began, by calls of tools without a thought. Raises `BadRequestBody` where
        it can't be written as JSON.
        """
        asked = {**body, "model": wire_name}
        metadata = asked.get("metadata")
        if isinstance(metadata, dict) and "agent" in metadata:
            asked["metadata"] = {name: told for name, told in metadata.items() if name != "agent"}
        messages = asked.get("messages")
        if isinstance(messages, list) and any(_has_foreign(message) for message in messages):
            own = [_own(message) for message in messages]
            messages = asked["messages"] = [message for message in own if message is not None]
        dropped: tuple[str, ...] = ()
        if _thinks_by_budget(asked) and isinstance(messages, list) and _is_thoughtless(messages):
            del asked["thinking"]
            dropped = ("thinking",)
        try:
            return ProviderCall(PATH, orjson.dumps(asked), dropped)
        except orjson.JSONEncodeError as error:
            raise BadRequestBody(f"the body can't be passed on: {error}") from error

    def look(self, body: bytes) -> SeenAnswer:
        """Usage and words of a `message`. Raises `UnreadableAnswer` and `StreamFailed`."""
        message, content = read_message(body)
        usage = UsageCounts().take(message.get("usage"))
        return SeenAnswer(usage, sum(_block_length(block) for block in content))

    def stream(self, body: JsonObject) -> "AnthropicPassingStream":  # noqa: ARG002 - the protocol's
        """Looks at one stream; each holds its usage, so the request changes nothing."""
        return AnthropicPassingStream()


class AnthropicPassingStream:
    """One stream. It is whole once a stop reason has come, or `message_stop`."""

    __slots__ = ("_counts", "_splitter", "_stopped", "_whole", "begun", "said", "usage")

    def __init__(self) -> None:
        self.begun = False
        self.usage: Usage | None = None
        self.said = 0
        self._splitter = EventSplitter()
        self._counts = UsageCounts()
        self._whole = False
        self._stopped = False

    @property
    def done(self) -> bool:
        """Whether `message_stop` has come."""
        return self._stopped

    def feed(self, chunk: bytes) -> bytes:
        """The whole events in these bytes, without the malformed and those after `message_stop`.
        Raises `StreamFailed`, and `StreamCut` for an endless event.
        """
        try:
            events = self._splitter.feed(chunk)
        except EventTooLarge as error:
            raise StreamCut(f"the provider's stream has {error}") from error
        return b"".join(
            [event.raw for event in events if not self._stopped and self._is_good(event)]
        )

    def end(self) -> bytes:
        """Its end, with the `message_stop` that callers wait for where it has none. Raises
        `StreamCut` where it was not whole, or `StreamFailed`.
        """
        # A last event may come without the blank line that ends it.
        rest = self.feed(b"\n\n") if self._splitter.rest() else b""
        if not self._whole:
            raise StreamCut("the provider's stream ended without a stop reason")
        return rest if self._stopped else rest + _STOP

    def _is_good(self, event: ServerSentEvent) -> bool:
        """Notes what the event says. Comments are good, an event that is no JSON object is not."""
        if not event.data:
            return not event.name
        try:
            message: object = orjson.loads(event.data)
        except orjson.JSONDecodeError:
            message = without_halves(event.data)
        if not isinstance(message, dict):
            return False
        kind = message.get("type")
        if kind == "content_block_delta":
            self._note(message.get("delta"))
        elif kind == "content_block_start":
            block = message.get("content_block")
            if isinstance(block, dict):
                self._note(block)
                if block.get("type") in ("tool_use", "redacted_thinking"):
                    self.begun = True
                    self.said += len(text_in(block, "name"))
        elif kind == "message_start":
            start = message.get("message")
            if isinstance(start, dict):
                self.usage = self._counts.take(start.get("usage"))
        elif kind == "message_delta":
            delta = message.get("delta")
            self._whole |= isinstance(delta, dict) and bool(text_in(delta, "stop_reason"))
            self.usage = self._counts.take(message.get("usage"))
        elif kind == "message_stop":
            self._whole = self._stopped = True
        elif kind == "error":
            raise failure_in(message, event.data)
        return True

    def _note(self, said: object) -> None:
        if isinstance(said, dict):
            for name in _SAID:
                if words := text_in(said, name):
                    self.said += len(words)
                    self.begun = True


def _has_foreign(message: object) -> bool:
    # Another model's words are in the assistant's messages; what a user says is never ours to mend.
    if not isinstance(message, dict) or message.get("role") != "assistant":
        return False
    content = message.get("content")
    return isinstance(content, list) and any(_is_foreign(block) for block in content)


def _own(message: object) -> object | None:
    """The message without what is foreign; None where it had nothing else."""
    if not isinstance(message, dict) or not _has_foreign(message):
        return message
    content = [block for block in message["content"] if not _is_foreign(block)]
    return {**message, "content": content} if content else None


def _is_foreign(block: object) -> bool:
    if not isinstance(block, dict):
        return False
    if block.get("type") == "text":
        text = block.get("text")
        return isinstance(text, str) and (not text or text.isspace())
    if block.get("type") != "thinking":
        return False
    signature = block.get("signature")
    # One that is neither is for the provider to refuse.
    return not signature or (isinstance(signature, str) and signature.startswith(SIGNATURE_MARK))


def _thinks_by_budget(asked: Mapping[str, object]) -> bool:
    thinking = asked.get("thinking")
    # What clears thoughts from the context demands that there may be some.
    return (
        isinstance(thinking, dict)
        and thinking.get("type") == "enabled"
        and "context_management" not in asked
    )


def _is_thoughtless(messages: list[object]) -> bool:
    """Whether the model is to go on with a turn in which tools were called, and nothing thought:
    https://platform.claude.com/docs/en/build-with-claude/extended-thinking.
    """
    called = False
    for message in reversed(messages):
        if not isinstance(message, dict):
            break
        content = message.get("content")
        blocks = content if isinstance(content, list) else []
        kinds = [block.get("type") for block in blocks if isinstance(block, dict)]
        if message.get("role") == "assistant":
            if "thinking" in kinds or "redacted_thinking" in kinds:
                return False
        elif "tool_result" in kinds:
            called = True
        else:
            break
    return called


def _block_length(block: Mapping[str, object]) -> int:
    """Characters that the model said in a block."""
    length = sum(len(text_in(block, name)) for name in ("text", "thinking", "name"))
    given = block.get("input")
    if isinstance(given, dict):
        try:
            length += len(orjson.dumps(given).decode())
        except orjson.JSONEncodeError:
            # Nested deeper than it is written: it passes, and its length stays unknown.
            return length
    return length
