"""Ollama's own protocol: `POST /api/chat`. https://docs.ollama.com/api/chat"""

from trunkline.gateway.answers import ChatAnswer
from trunkline.gateway.conversation import Conversation
from trunkline.gateway.dialects.ollama_answers import OllamaStreamReader, read_answer
from trunkline.gateway.dialects.ollama_requests import request_body
from trunkline.gateway.protocols import ProviderCall
from trunkline.gateway.provider_json import write_body


class OllamaDialect:
    """A `Dialect`. Dropped where asked for: `parallel_tool_calls: false`, and a budget of thinking,
    of which only that there is one is told. `strict` and `user` are left out.
    """

    def ask(self, conversation: Conversation, wire_name: str) -> ProviderCall:
        """Raises `CannotSay`."""
        body, dropped = request_body(conversation, wire_name)
        return ProviderCall("/api/chat", write_body(body), dropped)

    def read(self, body: bytes) -> ChatAnswer:
        """Raises `UnreadableAnswer`, `StreamFailed`."""
        return read_answer(body)

    def stream_reader(self) -> OllamaStreamReader:
        """A reader for one stream."""
        return OllamaStreamReader()
