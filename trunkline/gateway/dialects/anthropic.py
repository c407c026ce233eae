"""Anthropic's Messages, spoken to a provider. https://platform.claude.com/docs/en/api/messages"""

from trunkline.gateway.answers import ChatAnswer
from trunkline.gateway.conversation import Conversation
from trunkline.gateway.dialects.anthropic_answers import read_answer
from trunkline.gateway.dialects.anthropic_requests import write_request
from trunkline.gateway.dialects.anthropic_streams import AnthropicStreamReader
from trunkline.gateway.protocols import ProviderCall


class AnthropicDialect:
    """`POST /v1/messages`, version 2023-06-01."""

    def ask(self, conversation: Conversation, wire_name: str) -> ProviderCall:
        """The request for this chat; `write_request` says what becomes of each part."""
        return write_request(conversation, wire_name)

    def read(self, body: bytes) -> ChatAnswer:
        """The `message` in the body of a 200."""
        return read_answer(body)

    def stream_reader(self) -> AnthropicStreamReader:
        """A reader for one stream, from `message_start` to `message_stop`."""
        return AnthropicStreamReader()
