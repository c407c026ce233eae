"""Anthropic's Messages, spoken to callers. https://platform.claude.com/docs/en/api/messages"""

from trunkline.gateway.answers import AnswerHead, ChatAnswer
from trunkline.gateway.conversation import Conversation, JsonObject
from trunkline.gateway.faces.anthropic_answers import write_answer, write_error
from trunkline.gateway.faces.anthropic_requests import read_request
from trunkline.gateway.faces.anthropic_streams import AnthropicStreamWriter
from trunkline.gateway.protocols import CallerError


class AnthropicFace:
    """`POST /v1/messages` as it is served to callers, version 2023-06-01."""

    @property
    def keep_alive(self) -> bytes:
        """A ping."""
        return b'event: ping\ndata: {"type":"ping"}\n\n'

    @property
    def id_headers(self) -> tuple[bytes, ...]:
        """`request-id`."""
        return (b"request-id",)

    def answer_id(self, request_id: str) -> str:
        """`msg_…`."""
        return f"msg_{request_id}"

    def read(self, body: JsonObject) -> Conversation:
        """The chat that is asked for. Raises `BadRequestBody`."""
        return read_request(body)

    def write(self, answer: ChatAnswer, head: AnswerHead) -> bytes:
        """A `message`."""
        return write_answer(answer, head)

    def stream_writer(
        self,
        head: AnswerHead,
        body: JsonObject,  # noqa: ARG002 - each stream holds its usage, whatever was asked
    ) -> AnthropicStreamWriter:
        """A writer for one stream."""
        return AnthropicStreamWriter(head)

    def error(self, error: CallerError) -> bytes:
        """An `error`."""
        return write_error(error)

    def stream_error(self, error: CallerError) -> bytes:
        """The event `error`."""
        return b"event: error\ndata: %b\n\n" % write_error(error)
