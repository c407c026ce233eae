"""Gemini's protocol, v1beta: generateContent and streamGenerateContent.

https://ai.google.dev/api/generate-content
"""

from urllib.parse import quote

from trunkline.gateway.answers import ChatAnswer
from trunkline.gateway.conversation import Conversation
from trunkline.gateway.dialects.google_answers import GoogleStreamReader, read_answer
from trunkline.gateway.dialects.google_models import google_model
from trunkline.gateway.dialects.google_requests import request_body
from trunkline.gateway.dialects.google_thinking import thinking_config
from trunkline.gateway.protocols import ProviderCall
from trunkline.gateway.provider_json import write_body


class GoogleDialect:
    """A `Dialect`. Dropped where asked for: `parallel_tool_calls: false`, which has no counterpart,
    and thinking where the model has none or can't be without. `strict` and `user` are left out.
    """

    def ask(self, conversation: Conversation, wire_name: str) -> ProviderCall:
        """Raises `CannotSay`."""
        model = google_model(wire_name)
        thinking, dropped = thinking_config(conversation, model)
        body = write_body(request_body(conversation, model, thinking))
        parallel = "parallel_tool_calls" if conversation.parallel_tool_calls is False else None
        method = "streamGenerateContent?alt=sse" if conversation.stream else "generateContent"
        return ProviderCall(
            f"{model_path(wire_name)}:{method}",
            body,
            dropped=tuple(name for name in (parallel, dropped) if name is not None),
        )

    def read(self, body: bytes) -> ChatAnswer:
        """Raises `UnreadableAnswer`, `StreamFailed`."""
        return read_answer(body)

    def stream_reader(self) -> GoogleStreamReader:
        """A reader for one stream."""
        return GoogleStreamReader()


def model_path(wire_name: str) -> str:
    """The path of a model. A name with a slash, such as `tunedModels/x`, says its collection."""
    if "/" in wire_name:
        return f"/v1beta/{quote(wire_name)}"
    return f"/v1beta/models/{quote(wire_name, safe='')}"
